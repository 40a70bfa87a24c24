//! Whether a program may be run on behalf of the agent: whoever could change it would have the agent's rights.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    unistd::{Gid, Group, Uid, User},
};

/// Links that are followed on the way to a program, as many as the kernel follows.
const LINKS_MAX: usize = 40;

/// As whom a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// The user.
    pub uid: Uid,
    /// The group.
    pub gid: Gid,
}

/// Why nobody is known by a name.
#[derive(Debug, thiserror::Error)]
pub enum NoSuch {
    /// There is no such user.
    #[error("there is no user {0:?}")]
    User(String),
    /// There is no such group.
    #[error("there is no group {0:?}")]
    Group(String),
    /// The question failed.
    #[error("failed to look for {name:?} among users and groups: {source}")]
    Unknown {
        /// The name.
        name: String,
        /// Why.
        source: nix::Error,
    },
}

impl RunAs {
    /// The user and the group of these names: those of the agent, and the user's own group, unless given.
    pub fn find(user: Option<&str>, group: Option<&str>) -> Result<Self, NoSuch> {
        let unknown = |name: &str| {
            let name = name.to_owned();
            |source| NoSuch::Unknown { name, source }
        };
        let mut run_as = Self { uid: Uid::effective(), gid: Gid::effective() };
        if let Some(name) = user {
            let user = User::from_name(name).map_err(unknown(name))?;
            let user = user.ok_or_else(|| NoSuch::User(name.to_owned()))?;
            run_as = Self { uid: user.uid, gid: user.gid };
        }
        if let Some(name) = group {
            let group = Group::from_name(name).map_err(unknown(name))?;
            run_as.gid = group.ok_or_else(|| NoSuch::Group(name.to_owned()))?.gid;
        }
        Ok(run_as)
    }
}

/// What keeps a program from being run. Prints as a sentence.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be looked at.
    #[error("`{}` cannot be looked at: {source}", path.display())]
    Unreadable {
        /// It, or a directory on the way.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is a directory, say.
    #[error("`{}` is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// Who runs it may not.
    #[error("`{}` cannot be executed by the user {uid} who runs it (mode {mode:04o})", path.display())]
    NotExecutable {
        /// It.
        path: PathBuf,
        /// Who.
        uid: Uid,
        /// Its mode.
        mode: u32,
    },
    /// Who runs it does not get through a directory on the way.
    #[error("`{}` cannot be entered by the user {uid} who runs the program (mode {mode:04o})", path.display())]
    NotEnterable {
        /// The directory.
        path: PathBuf,
        /// Who.
        uid: Uid,
        /// Its mode.
        mode: u32,
    },
    /// It, or a directory on the way, belongs to somebody else.
    #[error("`{}` belongs to the user {owner}, who can change what is run", path.display())]
    Owner {
        /// What.
        path: PathBuf,
        /// Whom.
        owner: u32,
    },
    /// It, or a directory on the way, can be written by others.
    #[error("`{}` can be written by others than its owner (mode {mode:04o}), who can change what is run", path.display())]
    Writable {
        /// What.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

impl Problem {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Unreadable { path, .. } => format!("put the program there, or correct the path `{}`", path.display()),
            Self::NotRegular(_) => "name the file of the program".to_owned(),
            Self::NotExecutable { path, .. } => format!("chmod 755 {}", path.display()),
            Self::NotEnterable { path, .. } => format!("chmod a+x {}", path.display()),
            Self::Owner { path, .. } => format!("chown root {}", path.display()),
            Self::Writable { path, .. } => format!("chmod go-w {}", path.display()),
        }
    }
}

/// Everything that keeps `program` from being run by `run_as`.
#[must_use]
pub fn examine(program: &Path, run_as: RunAs) -> Vec<Problem> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        |source| vec![Problem::Unreadable { path, source }]
    };
    let Way { passed, target } = match way(program).map_err(unreadable(program)) {
        Ok(way) => way,
        Err(problems) => return problems,
    };
    let mut problems = Vec::new();
    for path in passed.iter().rev() {
        match fs::symlink_metadata(path).map_err(unreadable(path)) {
            Ok(metadata) => {
                let access = Access::of(&metadata);
                problems.extend(who_else(path, &access, run_as));
                // Root gets through any.
                if *path != target && !run_as.uid.is_root() && !access.lets_execute(run_as) {
                    problems.push(Problem::NotEnterable { path: path.clone(), uid: run_as.uid, mode: access.mode });
                }
            }
            Err(found) => problems.extend(found),
        }
    }
    match fs::metadata(&target).map_err(unreadable(&target)) {
        Ok(metadata) if !metadata.is_file() => problems.push(Problem::NotRegular(target)),
        Ok(metadata) if !Access::of(&metadata).lets_execute(run_as) => problems.push(Problem::NotExecutable {
            path: target,
            uid: run_as.uid,
            mode: metadata.permissions().mode() & 0o7777,
        }),
        Ok(_) => {}
        Err(found) => problems.extend(found),
    }
    problems
}

/// How the kernel finds a program.
#[derive(Debug)]
struct Way {
    /// Every directory that says what comes next, and the program itself, each once, in that order. No links: whoever may write to the directory
    /// of a link can change it, and nobody else.
    passed: Vec<PathBuf>,
    /// The program, by a path without links.
    target: PathBuf,
}

/// Walks to `program` one name at a time.
fn way(program: &Path) -> io::Result<Way> {
    let (mut target, mut passed, mut links) = (PathBuf::new(), Vec::new(), 0);
    let mut ahead = names(program);
    while let Some(name) = ahead.pop() {
        if name == ".." {
            target.pop();
            continue;
        }
        // The root replaces everything.
        target.push(&name);
        if !fs::symlink_metadata(&target)?.is_symlink() {
            if !passed.contains(&target) {
                passed.push(target.clone());
            }
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(Errno::ELOOP.into());
        }
        ahead.extend(names(&fs::read_link(&target)?));
        target.pop();
    }
    Ok(Way { passed, target })
}

/// The names in `path`, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    path.components().rev().map(Component::as_os_str).map(ToOwned::to_owned).collect()
}

/// Who may do what with a file.
#[derive(Clone, Copy, Debug)]
struct Access {
    owner: u32,
    group: u32,
    mode: u32,
}

impl Access {
    fn of(metadata: &fs::Metadata) -> Self {
        Self { owner: metadata.uid(), group: metadata.gid(), mode: metadata.mode() & 0o7777 }
    }

    const fn lets_execute(self, run_as: RunAs) -> bool {
        let bit = if run_as.uid.is_root() {
            0o111
        } else if self.owner == run_as.uid.as_raw() {
            0o100
        } else if self.group == run_as.gid.as_raw() {
            0o010
        } else {
            0o001
        };
        self.mode & bit != 0
    }
}

/// Who else than root and who runs it can change what is at `path`, or exchange it for something else.
fn who_else(path: &Path, access: &Access, run_as: RunAs) -> Option<Problem> {
    let path = path.to_owned();
    if access.owner != 0 && access.owner != run_as.uid.as_raw() {
        return Some(Problem::Owner { path, owner: access.owner });
    }
    let group_writes = access.mode & 0o020 != 0 && access.group != 0;
    let others_write = access.mode & 0o002 != 0;
    (group_writes || others_write).then_some(Problem::Writable { path, mode: access.mode })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const ROOT: RunAs = RunAs { uid: Uid::from_raw(0), gid: Gid::from_raw(0) };
    const USER: RunAs = RunAs { uid: Uid::from_raw(7), gid: Gid::from_raw(8) };

    #[test]
    fn nobody_else_may_change_what_is_run() {
        let access = |owner, group, mode| Access { owner, group, mode };
        for (access, run_as, expected) in [
            (access(0, 0, 0o755), ROOT, None),
            (access(0, 0, 0o775), ROOT, None),
            (
                access(0, 50, 0o775),
                ROOT,
                Some("`/x` can be written by others than its owner (mode 0775), who can change what is run"),
            ),
            (
                access(0, 0, 0o757),
                ROOT,
                Some("`/x` can be written by others than its owner (mode 0757), who can change what is run"),
            ),
            (
                access(0, 0, 0o1777),
                ROOT,
                Some("`/x` can be written by others than its owner (mode 1777), who can change what is run"),
            ),
            (access(7, 8, 0o755), ROOT, Some("`/x` belongs to the user 7, who can change what is run")),
            (access(7, 8, 0o755), USER, None),
            (access(0, 0, 0o755), USER, None),
            (access(9, 8, 0o755), USER, Some("`/x` belongs to the user 9, who can change what is run")),
        ] {
            let said = who_else(Path::new("/x"), &access, run_as).map(|problem| problem.to_string());
            assert_eq!(said.as_deref(), expected, "{access:?} by {run_as:?}");
        }
    }

    #[test]
    fn who_runs_it_must_be_able_to() {
        let access = |owner, group, mode| Access { owner, group, mode };
        for (access, run_as, expected) in [
            (access(0, 0, 0o100), ROOT, true),
            (access(0, 0, 0o644), ROOT, false),
            (access(0, 0, 0o750), USER, false),
            (access(0, 8, 0o750), USER, true),
            (access(0, 0, 0o755), USER, true),
            (access(7, 0, 0o655), USER, false),
        ] {
            assert_eq!(access.lets_execute(run_as), expected, "{access:?} by {run_as:?}");
        }
    }

    #[test]
    fn links_and_directories_on_the_way_count() {
        let dir = tempfile::tempdir().unwrap();
        let (open, program) = (dir.path().join("open"), dir.path().join("program"));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let link = open.join("link");
        symlink(&program, &link).unwrap();
        let run_as = RunAs { uid: Uid::effective(), gid: Gid::effective() };
        let named = |path: &Path| {
            let about = |problem: &Problem| problem.to_string().contains(&*open.to_string_lossy());
            examine(path, run_as).iter().filter(|problem| about(problem)).count()
        };
        assert_eq!((named(&program), named(&link)), (0, 1));
        let said = |path: &Path| examine(path, run_as).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(said(&open).iter().any(|what| what.ends_with("is not a regular file")), "{:?}", said(&open));
        let (none, circle) = (dir.path().join("none"), dir.path().join("circle"));
        symlink(&circle, &circle).unwrap();
        assert_eq!(
            said(&circle),
            [format!("`{}` cannot be looked at: Too many levels of symbolic links (os error 40)", circle.display())]
        );
        assert_eq!(
            said(&none),
            [format!("`{}` cannot be looked at: No such file or directory (os error 2)", none.display())]
        );
    }

    #[test]
    fn who_runs_it_must_get_there() {
        let dir = tempfile::tempdir().unwrap();
        let closed = dir.path().join("closed");
        fs::create_dir(&closed).unwrap();
        let program = closed.join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        for (path, mode) in [(dir.path(), 0o755), (&closed, 0o700), (&program, 0o755)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let said = |run_as| {
            let problems = examine(&program, run_as).iter().map(ToString::to_string).collect::<Vec<_>>();
            problems.into_iter().filter(|what| what.contains("cannot be entered")).collect::<Vec<_>>()
        };
        let what = "cannot be entered by the user 7 who runs the program (mode 0700)";
        assert_eq!(said(USER), [format!("`{}` {what}", closed.display())]);
        assert_eq!(said(ROOT), [""; 0]);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(said(USER), [""; 0]);
    }

    /// `check` leads to `open/current/check`, and `open/current` to where the program is: whoever writes to `open` can lead it
    /// elsewhere, though nothing at either end is his.
    #[test]
    fn links_in_the_middle_of_the_way_count() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let [open, app, bin] = ["open", "app", "bin"].map(|name| dir.join(name));
        for made in [&open, &app, &bin] {
            fs::create_dir(made).unwrap();
        }
        let program = app.join("check");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        symlink("../app", open.join("current")).unwrap();
        symlink(open.join("current/check"), bin.join("check")).unwrap();
        let run_as = RunAs { uid: Uid::effective(), gid: Gid::effective() };
        let said = || {
            let problems = examine(&bin.join("check"), run_as).iter().map(ToString::to_string).collect::<Vec<_>>();
            problems.into_iter().filter(|what| what.contains(&*dir.to_string_lossy())).collect::<Vec<_>>()
        };
        assert_eq!(said(), [""; 0]);
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let what = "can be written by others than its owner (mode 0777), who can change what is run";
        assert_eq!(said(), [format!("`{}` {what}", open.display())]);
    }
}
