//! The command line: what may be typed, and nothing else.

mod commands;
mod completions;
mod contact;
mod events;
mod generate;
mod keygen;
mod manual;
mod rejects;
pub mod schema;
mod speakers;
mod status;
mod top;

use std::{os::fd::RawFd, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::instance::Instance;

pub use commands::execute;
pub use generate::Document;
pub use status::StatusArgs;

/// Keeps virtual IP addresses on a live node (VRRPv3, RFC 9568), with adverts judged in the kernel by XDP.
#[derive(Debug, Parser)]
#[command(version, after_help = "Exit status: 0 done, 1 failed, 2 wrong usage or configuration.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `vipd` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run in the foreground until SIGTERM, then hand over.
    Run {
        /// The configuration.
        #[command(flatten)]
        config: ConfigArgs,
        /// What another program in this process has left, by file descriptor.
        #[arg(long, hide = true)]
        resume: Option<RawFd>,
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Have the running agent go on with what its configuration file says now; virtual routers that do not change are not
    /// touched, and a file that is wrong changes nothing.
    Reload {
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Have the running agent replace its program, after an upgrade, and go on in the same process: roles, addresses and
    /// timers stay. A program or a configuration that does not start is refused.
    Restart {
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Show that this program starts, before a running agent becomes it.
    #[command(hide = true)]
    Rehearse {
        /// The configuration.
        #[command(flatten)]
        config: ConfigArgs,
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Read the configuration, report every mistake, and exit.
    Check {
        /// The configuration.
        #[command(flatten)]
        config: ConfigArgs,
        /// Also say what `reload` would change: the running agent reads its own file for that.
        #[arg(long)]
        diff: bool,
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Show what is wrong, and the state of each virtual router.
    Status {
        /// How to show it.
        #[command(flatten)]
        args: StatusArgs,
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Watch virtual routers, peers, checks, rejected frames and events on the whole terminal, as they change.
    Top {
        /// Time between two looks, in seconds.
        #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = status::seconds)]
        every: Duration,
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Tell why each virtual router is in its state, and what would change that.
    Explain {
        /// Name of a virtual router; all without it.
        #[arg(value_name = "VR")]
        router: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Show what happens as it happens: each change of state of a virtual router, or of a group of them.
    ///
    /// Goes on when the agent is restarted. What is no longer kept is said to be missed.
    Events {
        /// Begin after the event of this number; 0: with all that are kept.
        #[arg(long, value_name = "SEQ")]
        since: Option<u64>,
        /// Print JSON, an event a line.
        #[arg(long)]
        json: bool,
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Let another node serve the virtual routers of a name, and keep from taking them back; confirmed by that node's advert.
    Transfer {
        /// Name of the virtual routers.
        #[arg(value_name = "VR")]
        router: String,
        /// The node that is to serve; the best of the others without it.
        #[arg(long, value_name = "NODE")]
        to: Option<String>,
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Let other nodes serve wherever there are any, until `undrain`; after a restart of the agent too.
    Drain {
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Take part again as configured, after `drain` or `transfer`.
    Undrain {
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Show the last bad frames, the newest last; also while the agent hangs, and after it was killed.
    Rejects {
        /// How to show them.
        #[command(flatten)]
        args: RejectsArgs,
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Show every speaker of VRRP and CARP that was heard, and strangers that claim virtual addresses; also while the
    /// agent hangs, and after it was killed.
    Speakers {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Make a key for [auth]: print it, or put it into a new file.
    Keygen {
        /// A file to make, which only its owner can read.
        #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
    },
    /// Hand over what an agent that was killed has left, and remove its addresses; for ExecStopPost of its service.
    ///
    /// The agent's supervisor does the same, unless it was killed with it or is switched off. Refused while the agent runs.
    Release {
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Watch the agent at the other end of standard input; the agent starts this itself.
    #[command(hide = true)]
    Supervise {
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Remove the pinned maps that a killed agent has left.
    Detach {
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Print what has a shell complete commands and options of vipd.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write what is made of the program itself: for packages, and for the pages in docs.
    #[command(hide = true)]
    Generate {
        /// What.
        what: Document,
        /// Where to.
        #[arg(value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}

/// Where the configuration is, and which node of it this machine is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The cluster's configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "/etc/vipd/vipd.toml", value_hint = ValueHint::FilePath)]
    pub config: PathBuf,
    /// Which node of the configuration this is; else the host name decides, else whose address is ours.
    #[arg(long, value_name = "NAME", env = "VIPD_NODE")]
    pub node: Option<String>,
}

/// How the last bad frames are shown.
#[derive(Debug, Args)]
pub struct RejectsArgs {
    /// Write them into a capture file (pcapng) for tcpdump and Wireshark, the reason in a comment; `-`: standard output.
    #[arg(long, value_name = "FILE", conflicts_with = "json", value_hint = ValueHint::FilePath)]
    pub pcap: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// No more than the newest of them.
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
}

/// Which of several agents on one machine.
#[derive(Debug, Args)]
pub struct InstanceArg {
    /// Name of this agent where several run on one machine, each with interfaces of its own.
    #[arg(long, value_name = "NAME")]
    instance: Option<Instance>,
}

impl InstanceArg {
    fn get(self) -> Instance {
        self.instance.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
