use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::unistd::Uid;

use super::*;

fn shell(script: &str) -> Program {
    let arguments = ["-c", script].map(str::to_owned).to_vec();
    Program { path: PathBuf::from("/bin/sh"), arguments, user: None, group: None }
}

async fn run(program: Program) -> Result<String, String> {
    Runner::new("ingress".to_owned(), program).look().await
}

#[tokio::test]
async fn the_status_decides_and_the_output_explains() {
    assert_eq!(run(shell("exit 0")).await, Ok("exit status 0".to_owned()));
    assert_eq!(run(shell("echo; exit 0")).await, Ok("exit status 0".to_owned()));
    assert_eq!(run(shell("echo no; echo more >&2; exit 3")).await, Err("exit status 3, having said \"no\"".to_owned()));
    assert_eq!(run(shell("kill -9 $$")).await, Err("SIGKILL".to_owned()));
    let missing = Program { path: PathBuf::from("/nowhere"), ..shell("") };
    assert_eq!(
        run(missing).await,
        Err("`/nowhere` is not run: `/nowhere` cannot be looked at: No such file or directory (os error 2); put the program there, or \
             correct the path `/nowhere`"
            .to_owned())
    );
}

/// Megabytes fill no memory and stop nobody.
#[tokio::test]
async fn output_is_taken_and_cut() {
    let said = run(shell("head -c 10000000 /dev/zero | tr '\\0' x; exit 1")).await.unwrap_err();
    assert_eq!(said, format!("exit status 1, having said \"{}\"", "x".repeat(SHOWN_MAX)));
}

#[tokio::test]
async fn the_environment_is_clean() {
    let said = run(shell("test \"$(env | cut -d= -f1 | sort | tr '\\n' ' ')\" = 'PATH PWD VIPD_CHECK ' || env")).await;
    assert_eq!(said, Ok("exit status 0".to_owned()));
    assert_eq!(run(shell("test \"$VIPD_CHECK\" = ingress -a \"$PWD\" = /")).await, Ok("exit status 0".to_owned()));
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
    assert_eq!(run(shell(&script)).await, Ok("exit status 0".to_owned()));
    wait_for_death(started(&file).await).await;
}

#[tokio::test]
async fn one_that_hangs_is_killed_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let script = format!("trap '' TERM; sleep 600 & echo $! > {}; wait; wait", file.display());
    let mut runner = Runner::new("ingress".to_owned(), shell(&script));
    let leader = runner.begin().await.unwrap().group().as_raw();
    let child = started(&file).await;
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
    runner.begin().await.unwrap();
    let child = started(&file).await;
    drop(runner);
    wait_for_death(child).await;
}

#[tokio::test]
async fn it_has_the_rights_of_its_user() {
    if !Uid::effective().is_root() {
        return;
    }
    let nobody = Program { user: Some("nobody".to_owned()), ..shell("id -un; id -gn; id -G | wc -w; exit 1") };
    assert_eq!(run(nobody.clone()).await, Err("exit status 1, having said \"nobody\"".to_owned()));
    let alone = Program { arguments: vec!["-c".to_owned(), "test $(id -G | wc -w) = 1".to_owned()], ..nobody.clone() };
    assert_eq!(run(alone).await, Ok("exit status 0".to_owned()), "supplementary groups");
    let group = Program {
        group: Some("daemon".to_owned()),
        arguments: vec!["-c".to_owned(), "test $(id -gn) = daemon".to_owned()],
        ..nobody
    };
    assert_eq!(run(group).await, Ok("exit status 0".to_owned()));
    let unknown = Program { user: Some("no-such-user".to_owned()), ..shell("") };
    assert_eq!(run(unknown).await, Err("`/bin/sh` is not run: there is no user \"no-such-user\"".to_owned()));
}
