//! What each command does.

use std::{
    io::{self, Write},
    os::fd::RawFd,
    process::ExitCode,
};

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};
use tracing::warn;

use super::{
    Cli, Command, ConfigArgs, completions::completions, doctor::doctor, events::events, generate::generate,
    import::import, keygen::keygen, rejects::rejects, speakers::speakers, status::status, top,
};
use crate::{
    config::{Attach, Config, ConfigError, Identity},
    daemon::{self, Origin},
    datapath::object,
    instance::Instance,
    link,
    observe::{
        Snapshot,
        control::{self, Request},
    },
    restart::Memory,
    supervisor,
};

/// Exit status for wrong usage or configuration.
pub(super) const WRONG_INPUT: u8 = 2;

/// Carries out the command; errors are for the caller to print.
pub fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Run { config, resume, instance } => run(&config, resume, &instance.get()),
        Command::Check { config, diff, instance } => check(&config, diff.then(|| instance.get()).as_ref()),
        Command::Restart { instance } => restart(&instance.get()),
        Command::Rehearse { config, instance } => rehearse(&config, &instance.get()),
        Command::Reload { instance } => order(&Request::Reload {}, &instance.get()),
        Command::Status { args, instance } => status(&args, &instance.get()),
        Command::Top { every, instance } => top::run(&instance.get(), every),
        Command::Explain { router, json, instance } => explain(router, json, &instance.get()),
        Command::Events { since, json, instance } => Err(events(since, json, &instance.get())),
        Command::Transfer { router, to, instance } => order(&Request::Transfer { router, to }, &instance.get()),
        Command::Drain { instance } => order(&Request::Drain {}, &instance.get()),
        Command::Undrain { instance } => order(&Request::Undrain {}, &instance.get()),
        Command::Rejects { args, instance } => rejects(&args, &instance.get()),
        Command::Speakers { json, instance } => speakers(json, &instance.get()),
        Command::Import(args) => import(args),
        Command::Doctor { config, args, instance } => doctor(&args, &origin(&config, &runtime()?)?, &instance.get()),
        Command::Keygen { output } => keygen(output.as_deref()),
        Command::Release { instance } => release(&instance.get()),
        Command::Supervise { instance } => {
            supervisor::watch::run(&instance.get())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Detach { instance } => detach(&instance.get()),
        Command::Completions { shell } => completions(shell),
        Command::Generate { what, directory } => generate(what, &directory),
    }
}

fn run(args: &ConfigArgs, resume: Option<RawFd>, instance: &Instance) -> anyhow::Result<ExitCode> {
    // First of all: nothing is open but what the program before has left open.
    let hint = "starting anew, since what the program before has left is not understood";
    let memory =
        resume.map(Memory::read).and_then(|memory| memory.inspect_err(|error| warn!("{hint}: {error:#}")).ok());
    let runtime = runtime()?;
    let origin = origin(args, &runtime)?;
    let config = match Config::read(&origin.path, &origin.identity) {
        Ok(config) => config,
        Err(error) => return refuse(error),
    };
    for warning in &config.warnings {
        warn!("{warning}");
    }
    runtime.block_on(daemon::run(config, origin, instance, memory))?;
    Ok(ExitCode::SUCCESS)
}

fn check(args: &ConfigArgs, running: Option<&Instance>) -> anyhow::Result<ExitCode> {
    let origin = origin(args, &runtime()?)?;
    let config = match Config::read(&origin.path, &origin.identity) {
        Ok(config) => config,
        Err(error) => return refuse(error),
    };
    let mut out = io::stdout().lock();
    for warning in &config.warnings {
        writeln!(out, "{warning}")?;
    }
    let (file, node, count) = (args.config.display(), &config.node, config.virtual_routers.len());
    writeln!(out, "{file}: correct; node `{node}` takes part in {count} virtual routers")?;
    drop(out);
    match running {
        Some(instance) => order(&Request::Plan {}, instance),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn rehearse(args: &ConfigArgs, instance: &Instance) -> anyhow::Result<ExitCode> {
    let origin = origin(args, &runtime()?)?;
    match Config::read(&origin.path, &origin.identity) {
        Ok(config) if config.guard.attach == Attach::Off => Ok(ExitCode::SUCCESS),
        Ok(_) => object::rehearse(&instance.pin_dir()).map(|()| ExitCode::SUCCESS),
        Err(error) => refuse(error),
    }
}

fn restart(instance: &Instance) -> anyhow::Result<ExitCode> {
    let Snapshot { version, pid, .. } = control::restart(&instance.socket())?;
    writeln!(io::stdout(), "vipd {version} goes on as process {pid}")?;
    Ok(ExitCode::SUCCESS)
}

fn explain(router: Option<String>, json: bool, instance: &Instance) -> anyhow::Result<ExitCode> {
    let explanations = control::ask_why(&instance.socket(), router)?;
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, &explanations)?;
        writeln!(out)?;
    } else {
        explanations.iter().try_for_each(|explanation| write!(out, "{explanation}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Has the running agent do something, and prints what it has done.
fn order(request: &Request, instance: &Instance) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    for line in control::order(&instance.socket(), request)? {
        writeln!(out, "{line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn release(instance: &Instance) -> anyhow::Result<ExitCode> {
    let _lock = daemon::lock(instance)?;
    let released = supervisor::release::release(instance)?;
    let mut out = io::stdout().lock();
    match released {
        None => writeln!(out, "{instance} has left nothing")?,
        Some(active) if active.is_empty() => writeln!(out, "{instance} was Active nowhere; its addresses are gone")?,
        Some(active) => writeln!(out, "handed over {}; the addresses are gone", active.join(", "))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn detach(instance: &Instance) -> anyhow::Result<ExitCode> {
    let removed = runtime()?.block_on(daemon::detach(instance))?;
    let dir = instance.pin_dir();
    let mut out = io::stdout().lock();
    if removed {
        writeln!(out, "removed {}", dir.display())?;
    } else {
        writeln!(out, "nothing is pinned in {}", dir.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("failed to start the runtime")
}

/// Where the configuration is, and what this machine knows of itself.
fn origin(args: &ConfigArgs, runtime: &Runtime) -> anyhow::Result<Origin> {
    let addresses = runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().context("failed to open a netlink socket")?;
        tokio::spawn(connection);
        link::survey(&handle).await
    });
    let identity = Identity {
        node: args.node.clone(),
        host_name: nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()),
        addresses: addresses?.0,
    };
    Ok(Origin { path: args.config.clone(), identity })
}

/// Prints every mistake of the configuration.
fn refuse(error: ConfigError) -> anyhow::Result<ExitCode> {
    writeln!(io::stderr(), "{:#}", anyhow::Error::new(error))?;
    Ok(ExitCode::from(WRONG_INPUT))
}
