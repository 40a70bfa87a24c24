use std::{os::unix::fs::PermissionsExt, path::PathBuf};

use super::*;

fn shell(script: &str) -> Command {
    let arguments = ["-c", script].map(str::to_owned).to_vec();
    Command { program: PathBuf::from("/bin/sh"), arguments, user: None, group: None }
}

async fn run(command: Command) -> Result<String, String> {
    Runner::new("ingress".to_owned(), command).look().await
}

#[tokio::test]
async fn the_status_decides_and_the_output_explains() {
    assert_eq!(run(shell("exit 0")).await, Ok("status 0".to_owned()));
    assert_eq!(run(shell("echo; exit 0")).await, Ok("status 0".to_owned()));
    assert_eq!(run(shell("echo no; echo more >&2; exit 3")).await, Err("status 3, having said \"no\"".to_owned()));
    assert_eq!(run(shell("kill -9 $$")).await, Err("signal: 9 (SIGKILL)".to_owned()));
    let missing = Command { program: PathBuf::from("/nowhere"), ..shell("") };
    assert_eq!(
        run(missing).await,
        Err("`/nowhere` cannot be started: No such file or directory (os error 2)".to_owned())
    );
}

/// Megabytes fill no memory and stop nobody.
#[tokio::test]
async fn output_is_taken_and_cut() {
    let said = run(shell("head -c 10000000 /dev/zero | tr '\\0' x; exit 1")).await.unwrap_err();
    assert_eq!(said, format!("status 1, having said \"{}\"", "x".repeat(OUTPUT_MAX)));
}

#[tokio::test]
async fn the_environment_is_clean() {
    let said = run(shell("test \"$(env | cut -d= -f1 | sort | tr '\\n' ' ')\" = 'PATH PWD VIPD_CHECK ' || env")).await;
    assert_eq!(said, Ok("status 0".to_owned()));
    assert_eq!(run(shell("test \"$VIPD_CHECK\" = ingress -a \"$PWD\" = /")).await, Ok("status 0".to_owned()));
}

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The process that a script has started, and written the number of.
async fn started(file: &Path) -> i32 {
    loop {
        if let Some(pid) = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()) {
            return pid;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn wait_for_death(pid: i32) {
    let gone = async {
        while is_alive(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), gone).await.unwrap_or_else(|_| panic!("process {pid} is still there"));
}

/// What it leaves behind holds its output open, and would hold up the look.
#[tokio::test]
async fn what_it_has_started_ends_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; exit 0", file.display());
    assert_eq!(run(shell(&script)).await, Ok("status 0".to_owned()));
    wait_for_death(started(&file).await).await;
}

#[tokio::test]
async fn one_that_hangs_is_killed_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let script = format!("trap '' TERM; sleep 600 & echo $! > {}; wait; wait", file.display());
    let mut runner = Runner::new("ingress".to_owned(), shell(&script));
    let child = tokio::select! {
        said = runner.look() => panic!("{said:?}"),
        child = started(&file) => child,
    };
    let leader = runner.running.as_ref().unwrap().group.as_raw();
    assert!(is_alive(child) && is_alive(leader));
    runner.give_up().await;
    assert!(runner.running.is_none() && !Path::new(&format!("/proc/{leader}")).exists());
    wait_for_death(child).await;
}

/// A task that is dropped leaves nothing either.
#[tokio::test]
async fn it_ends_with_its_check() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", file.display());
    let mut runner = Runner::new("ingress".to_owned(), shell(&script));
    let child = tokio::select! {
        said = runner.look() => panic!("{said:?}"),
        child = started(&file) => child,
    };
    drop(runner);
    wait_for_death(child).await;
}

#[tokio::test]
async fn it_has_the_rights_of_its_user() {
    if !Uid::effective().is_root() {
        return;
    }
    let nobody = Command { user: Some("nobody".to_owned()), ..shell("id -un; id -gn; id -G | wc -w; exit 1") };
    assert_eq!(run(nobody.clone()).await, Err("status 1, having said \"nobody\"".to_owned()));
    let alone = Command { arguments: vec!["-c".to_owned(), "test $(id -G | wc -w) = 1".to_owned()], ..nobody.clone() };
    assert_eq!(run(alone).await, Ok("status 0".to_owned()), "supplementary groups");
    let group = Command {
        group: Some("daemon".to_owned()),
        arguments: vec!["-c".to_owned(), "test $(id -gn) = daemon".to_owned()],
        ..nobody
    };
    assert_eq!(run(group).await, Ok("status 0".to_owned()));
    let unknown = Command { user: Some("no-such-user".to_owned()), ..shell("") };
    assert_eq!(run(unknown).await, Err("there is no user \"no-such-user\"".to_owned()));
}

#[test]
fn what_others_could_change_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("check");
    let command = Command { program: program.clone(), ..shell("") };
    // A directory for everybody is on the way to it.
    let said = |command: &Command| -> Vec<String> {
        let is_above =
            |what: &str| dir.path().ancestors().skip(1).any(|up| what.starts_with(&format!("`{}`", up.display())));
        problems(command).into_iter().map(|(what, _)| what).filter(|what| !is_above(what)).collect()
    };
    let name = program.display();
    assert_eq!(said(&command), [format!("`{name}` cannot be run: No such file or directory (os error 2)")]);
    fs::write(&program, "").unwrap();
    assert_eq!(said(&command), [format!("`{name}` cannot be run: it is no executable file")]);
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(&program, 0o755);
    assert_eq!(said(&command), [""; 0]);
    for mode in [0o775, 0o757] {
        set(&program, mode);
        let expected =
            format!("`{name}` can be written by others than its owner (mode {mode:04o}), and is run or leads there");
        assert_eq!(said(&command), [expected]);
    }
    set(&program, 0o755);
    set(dir.path(), 0o777);
    let expected = format!(
        "`{}` can be written by others than its owner (mode 0777), and is run or leads there",
        dir.path().display()
    );
    assert_eq!(said(&command), [expected]);
}
