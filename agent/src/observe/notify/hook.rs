//! Runs a program for an event: no shell, its own process group, a deadline, and output that is read and mostly thrown away.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    process::{Child, Command},
    time::{sleep, timeout},
};
use tracing::info;

use super::{hook_file::RunAs, keepalived};
use crate::{
    config::notify::Exec,
    observe::event::{Event, Subject},
};

/// Where programs are looked for by the program that is run.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Of its output, so many bytes are logged.
const SAID_MAX: usize = 2048;
/// How much is read at a time: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// How long a program that prints without end waits for each chunk beyond the first.
const SLOW_DOWN: Duration = Duration::from_millis(1);

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

/// Runs the program for `event`, until it ends, its time is over, or `abort` says so. In the last two cases its process group
/// is killed.
pub(super) async fn run(exec: &Exec, event: &Event, abort: impl Future<Output = ()>) -> Ended {
    let program = exec.program.display();
    let (mut child, mut output) = match start(exec, event) {
        Ok(started) => started,
        Err(error) => return Ended::Badly(format!("{error:#}")),
    };
    let mut said = Vec::new();
    let ended = tokio::select! {
        status = child.wait() => match status {
            Ok(status) if status.success() => Ended::Well,
            Ok(status) => Ended::Badly(format!("`{program}` failed: {}", describe(status))),
            Err(error) => Ended::Badly(format!("failed to wait for `{program}`: {error}")),
        },
        never = drain(&mut output, &mut said) => match never {},
        () = sleep(exec.timeout) => Ended::Badly(format!("`{program}` was killed: it took longer than {:?}", exec.timeout)),
        () = abort => Ended::Aborted,
    };
    if child.id().is_some() {
        kill(&mut child).await;
    }
    // What it has printed at last is in the pipe still; a process that it has left behind may hold the other end.
    let mut rest = vec![0; CHUNK];
    if let Ok(len) = output.try_read(&mut rest) {
        keep(&rest[..len], &mut said);
    }
    for line in String::from_utf8_lossy(&said).lines() {
        info!(event = event.sequence, "`{program}` says: {}", line.escape_debug());
    }
    ended
}

fn start(exec: &Exec, event: &Event) -> anyhow::Result<(Child, pipe::Receiver)> {
    let program = exec.program.display();
    let (reader, writer) = io::pipe().context("failed to make a pipe")?;
    let output = pipe::Receiver::from_owned_fd(OwnedFd::from(reader)).context("failed to watch a pipe")?;
    let mut command = Command::new(&exec.program);
    command.args(&exec.arguments).args(keepalived::arguments(event)).current_dir("/").process_group(0);
    command.env_clear().env("PATH", PATH).envs(variables(event));
    command.stdin(input(event)?).stdout(Stdio::from(writer.try_clone()?)).stderr(Stdio::from(writer));
    if exec.user.is_some() || exec.group.is_some() {
        let RunAs { uid, gid } = RunAs::find(exec.user.as_deref(), exec.group.as_deref())?;
        command.uid(uid.as_raw()).gid(gid.as_raw());
    }
    let child = command.spawn().with_context(|| format!("failed to start `{program}`"))?;
    Ok((child, output))
}

/// The event as JSON, a line. It fits into a pipe, so nobody waits for a program that does not read it.
fn input(event: &Event) -> anyhow::Result<Stdio> {
    use std::io::Write as _;
    let (reader, mut writer) = io::pipe().context("failed to make a pipe")?;
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    line.truncate(CHUNK);
    writer.write_all(&line).context("failed to write into a pipe")?;
    Ok(Stdio::from(reader))
}

/// The event as variables of the environment.
fn variables(event: &Event) -> Vec<(&'static str, String)> {
    let mut variables = vec![
        ("VIPD_SEQUENCE", event.sequence.to_string()),
        ("VIPD_TIME", event.time_text()),
        ("VIPD_CLUSTER", event.cluster.clone()),
        ("VIPD_NODE", event.node.clone()),
        ("VIPD_NAME", event.subject.name().to_owned()),
        ("VIPD_FROM", event.from.to_string()),
        ("VIPD_STATE", event.to.to_string()),
        ("VIPD_REASON", event.reason.clone()),
        ("VIPD_CAUSE", event.cause.kind.clone()),
        ("VIPD_PRIORITY", event.priority.to_string()),
        ("VIPD_SEVERITY", event.severity.name().to_owned()),
    ];
    match &event.subject {
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

/// Reads what is printed, and keeps the beginning. Never ends: who has closed its output may still run.
async fn drain(output: &mut pipe::Receiver, said: &mut Vec<u8>) -> std::convert::Infallible {
    let mut chunk = vec![0; CHUNK];
    loop {
        match output.read(&mut chunk).await {
            Ok(0) | Err(_) => std::future::pending().await,
            Ok(len) => keep(&chunk[..len], said),
        }
        if said.len() == SAID_MAX {
            sleep(SLOW_DOWN).await;
        }
    }
}

fn keep(bytes: &[u8], said: &mut Vec<u8>) {
    let room = SAID_MAX - said.len();
    said.extend(bytes.iter().take(room));
}

/// Kills the process group, and waits for the end of its leader.
async fn kill(child: &mut Child) {
    if let Some(pid) = child.id() {
        // The leader is not reaped yet, so nobody else has the number.
        let _ = killpg(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        // A process that cannot be killed now is one that the kernel holds; it is reaped when it ends.
        let _ = timeout(Duration::from_secs(1), child.wait()).await;
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => {
            Signal::try_from(signal).map_or_else(|_| signal.to_string(), |signal| signal.to_string())
        }
        (None, None) => status.to_string(),
    }
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
        Exec { program, arguments, user: None, group: None, timeout: Duration::from_secs(20) }
    }

    async fn ended(exec: &Exec) -> Ended {
        run(exec, &event(7, "web a", Condition::Backup, Condition::Active), pending()).await
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
        fs::remove_file(dir.path().join("hook")).unwrap();
        let gone = Exec { program: dir.path().join("hook"), ..script(&dir.path().join("."), "") };
        fs::remove_file(&gone.program).unwrap();
        let no_such = format!("failed to start `{hook}`: No such file or directory (os error 2)");
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
        let hook = exec.program.display();
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
        assert_eq!(run(&exec, &event, started).await, Ended::Aborted);
        wait_for_death(&pid).await;
    }
}
