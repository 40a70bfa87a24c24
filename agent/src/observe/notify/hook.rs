//! Runs a program for an event, with a deadline.

use std::{io, process::Stdio, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::info;

use super::keepalived;
use crate::{
    config::notify::Exec,
    observe::event::{Event, Subject},
    program::{Occasion, Program, Running, describe},
};

/// What a pipe holds, in bytes.
const PIPE: usize = 64 * 1024;
/// Of what a program prints, so many lines are logged.
const LINES_MAX: usize = 20;
/// How long a program that was killed is waited for.
const DEATH_PATIENCE: Duration = Duration::from_secs(1);

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With status 0.
    Well,
    /// In another way, as a sentence.
    Badly(String),
    /// It was killed, because the agent could not wait for it.
    Aborted,
}

/// What says why a program is not to be run.
type Examine = fn(&Program) -> Result<(), String>;

/// Runs the program for `event`, until it ends, its time is over, or `abort` says so. In the last two cases its process group
/// is killed. It is not run where its file is no longer what the configuration was checked for.
pub(super) async fn run(exec: &Arc<Exec>, event: &Arc<Event>, abort: impl Future<Output = ()>) -> Ended {
    run_examined(Program::examine, exec, event, abort).await
}

async fn run_examined(
    examine: Examine,
    exec: &Arc<Exec>,
    event: &Arc<Event>,
    abort: impl Future<Output = ()>,
) -> Ended {
    let program = exec.program.path.display();
    let mut running = None;
    let (ended, was_killed) = tokio::select! {
        ended = carry_out(examine, exec, event, &mut running) => (ended, false),
        () = sleep(exec.timeout) => {
            (Ended::Badly(format!("`{program}` was killed: it took longer than {:?}", exec.timeout)), true)
        }
        () = abort => (Ended::Aborted, true),
    };
    if let Some(running) = &mut running {
        if was_killed {
            // One that cannot be killed now is held by the kernel; it is reaped when it ends.
            let _ = timeout(DEATH_PATIENCE, running.kill()).await;
        }
        for line in running.said().lines().take(LINES_MAX) {
            info!(event = event.sequence, "`{program}` says: {}", line.escape_debug());
        }
    }
    ended
}

async fn carry_out(examine: Examine, exec: &Arc<Exec>, event: &Arc<Event>, running: &mut Option<Running>) -> Ended {
    let program = exec.program.path.display();
    let (of, about) = (Arc::clone(exec), Arc::clone(event));
    // Users may have to be looked up somewhere else, and the program may lie there.
    let started = spawn_blocking(move || {
        examine(&of.program).map_err(anyhow::Error::msg)?;
        start(&of, &about)
    })
    .await;
    let running = match started.map_err(anyhow::Error::new).flatten() {
        Ok(started) => running.insert(started),
        Err(error) => return Ended::Badly(format!("{error:#}")),
    };
    running.ended().await;
    match running.status().await {
        Ok(status) if status.success() => Ended::Well,
        Ok(status) => Ended::Badly(format!("`{program}` failed: {}", describe(status))),
        Err(error) => Ended::Badly(format!("failed to wait for `{program}`: {error}")),
    }
}

fn start(exec: &Exec, event: &Event) -> anyhow::Result<Running> {
    let occasion =
        Occasion { arguments: keepalived::arguments(event).into(), variables: variables(event), input: input(event)? };
    Running::start(&exec.program, occasion).map_err(anyhow::Error::msg)
}

/// The event as JSON, a line. It fits into a pipe, so nobody waits for a program that does not read it.
fn input(event: &Event) -> anyhow::Result<Stdio> {
    use std::io::Write as _;
    let (reader, mut writer) = io::pipe().context("failed to make a pipe")?;
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    line.truncate(PIPE);
    writer.write_all(&line).context("failed to write into a pipe")?;
    Ok(Stdio::from(reader))
}

/// The event as variables of the environment.
fn variables(event: &Event) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("VIPD_SEQUENCE", event.sequence.to_string()),
        ("VIPD_TIME", event.time_text()),
        ("VIPD_CLUSTER", event.cluster.to_string()),
        ("VIPD_NODE", event.node.to_string()),
        ("VIPD_NAME", event.subject.name().to_owned()),
        ("VIPD_FROM", event.from.to_string()),
        ("VIPD_STATE", event.to.to_string()),
        ("VIPD_REASON", event.reason.clone()),
        ("VIPD_CAUSE", event.cause.kind.clone()),
        ("VIPD_PRIORITY", event.priority.to_string()),
        ("VIPD_SEVERITY", event.severity.name().to_owned()),
    ];
    match &*event.subject {
        Subject::Router { family, vrid, interface, .. } => variables.extend([
            ("VIPD_KIND", "router".to_owned()),
            ("VIPD_FAMILY", family.clone()),
            ("VIPD_VRID", vrid.to_string()),
            ("VIPD_INTERFACE", interface.clone()),
        ]),
        Subject::Group { .. } => variables.push(("VIPD_KIND", "group".to_owned())),
    }
    variables
}

#[cfg(test)]
mod tests {
    use std::{fs, future::pending, os::unix::fs::PermissionsExt, path::Path};

    use tokio::sync::Mutex;

    use super::*;
    use crate::observe::event::{Condition, tests::event};

    /// A file that another test's child has open for writing, between fork and exec, cannot be executed.
    static TURN: Mutex<()> = Mutex::const_new(());

    fn script(dir: &Path, text: &str) -> Exec {
        let program = dir.join("hook");
        fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let arguments = vec!["first".to_owned()];
        let program = Program { path: program, arguments, user: None, group: None };
        Exec { program, timeout: Duration::from_secs(20) }
    }

    async fn ended(exec: &Exec) -> Ended {
        let event = event(7, "web a", Condition::Backup, Condition::Active);
        run_examined(|_| Ok(()), &Arc::new(exec.clone()), &Arc::new(event), pending()).await
    }

    #[tokio::test]
    async fn it_is_told_in_three_ways() {
        let _turn = TURN.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out").display().to_string();
        let exec = script(
            dir.path(),
            &format!("printf '%s|' \"$@\" > {out}; cat >> {out}; env | sort >> {out}; pwd >> {out}"),
        );
        assert_eq!(ended(&exec).await, Ended::Well);
        let told = fs::read_to_string(&out).unwrap();
        let mut lines = told.lines();
        let first = lines.next().unwrap();
        let json = first.strip_prefix("first|INSTANCE|web a|MASTER|200|").unwrap();
        assert_eq!(
            serde_json::from_str::<Event>(json).unwrap(),
            event(7, "web a", Condition::Backup, Condition::Active)
        );
        let lines: Vec<_> = lines.filter(|line| !line.starts_with("_=") && !line.starts_with("PWD=")).collect();
        let expected = [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "VIPD_CAUSE=active_silent",
            "VIPD_CLUSTER=ingress",
            "VIPD_FAMILY=IPv4",
            "VIPD_FROM=Backup",
            "VIPD_INTERFACE=vsw0",
            "VIPD_KIND=router",
            "VIPD_NAME=web a",
            "VIPD_NODE=n1",
            "VIPD_PRIORITY=200",
            "VIPD_REASON=no advert from an Active Router",
            "VIPD_SEQUENCE=7",
            "VIPD_SEVERITY=warning",
            "VIPD_STATE=Active",
            "VIPD_TIME=1970-01-01T00:00:07Z",
            "VIPD_VRID=51",
            "/",
        ];
        assert_eq!(lines.iter().filter(|line| !line.starts_with("OLDPWD=")).copied().collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn how_it_ended_is_told() {
        let _turn = TURN.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let hook = dir.path().join("hook");
        let hook = hook.display();
        for (text, expected) in [
            ("exit 0", Ended::Well),
            ("exit 7", Ended::Badly(format!("`{hook}` failed: exit status 7"))),
            ("kill -SEGV $$", Ended::Badly(format!("`{hook}` failed: SIGSEGV"))),
            ("head -c 8000000 /dev/zero", Ended::Well),
            ("exec >&- 2>&-; exit 3", Ended::Badly(format!("`{hook}` failed: exit status 3"))),
        ] {
            assert_eq!(ended(&script(dir.path(), text)).await, expected, "{text}");
        }
        let gone = script(dir.path(), "");
        fs::remove_file(&gone.program.path).unwrap();
        let no_such = format!("`{hook}` cannot be started: No such file or directory (os error 2)");
        assert_eq!(ended(&gone).await, Ended::Badly(no_such));
    }

    async fn wait_for_death(pid_file: &Path) {
        let pid = fs::read_to_string(pid_file).unwrap();
        let is_gone = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            // Whoever is to reap it may take a moment.
            stat.map_or(true, |stat| stat.contains(") Z "))
        };
        let gone = async {
            while !is_gone() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), gone).await.unwrap();
    }

    #[tokio::test]
    async fn the_whole_group_is_killed_when_its_time_is_over() {
        let _turn = TURN.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let text = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", pid.display());
        let exec = Exec { timeout: Duration::from_secs(2), ..script(dir.path(), &text) };
        let hook = exec.program.path.display();
        assert_eq!(ended(&exec).await, Ended::Badly(format!("`{hook}` was killed: it took longer than 2s")));
        wait_for_death(&pid).await;

        let exec = script(dir.path(), &text);
        fs::remove_file(&pid).unwrap();
        let started = async {
            while !pid.exists() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let event = event(7, "web a", Condition::Backup, Condition::Active);
        assert_eq!(run_examined(|_| Ok(()), &Arc::new(exec), &Arc::new(event), started).await, Ended::Aborted);
        wait_for_death(&pid).await;
    }
}
