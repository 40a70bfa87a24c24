//! What is wrong with the programs, secrets and certificates that `[[notify]]` and `[[hetzner]]` name, at the place where they
//! name them.

use std::path::{Path, PathBuf};

use super::{
    diagnostic::{Fault, Report},
    file::{File, Notify},
    table::Field,
};
use crate::{
    client::{self, Trust},
    observe::notify::hook_file::{self, RunAs},
    secret::Secret,
};

/// Looks at every program and secret of `file`.
pub(super) fn check(file: &File, report: &mut Report<'_>) {
    for notify in &file.notify {
        check_program(notify, report);
        check_pipe(notify, report);
        check_secrets([&notify.webhook_secret, &notify.token, &notify.password], report);
        check_certificates(&notify.ca_file, report);
    }
    for entry in &file.hetzner {
        check_secrets([&entry.password, &entry.token], report);
        check_certificates(&entry.ca_file, report);
    }
}

fn check_secrets<const N: usize>(secrets: [&Field<Secret>; N], report: &mut Report<'_>) {
    for given in secrets.into_iter().filter_map(Field::given) {
        if let Some((what, remedy)) = Secret::examine(&given.value) {
            report.error(&given.place, Fault::new(what.to_string(), remedy));
        }
    }
}

fn check_certificates(ca_file: &Field<PathBuf>, report: &mut Report<'_>) {
    if let Some(ca_file) = ca_file.given()
        && let Err(error) = client::roots(&Trust::File(ca_file.value.clone()))
    {
        let remedy = "name a file with one or more certificates in PEM";
        report.error(&ca_file.place, Fault::new(error, remedy));
    }
}

/// The program must be there, for whoever runs it, and nobody else may change it.
fn check_program(notify: &Notify, report: &mut Report<'_>) {
    let Some(program) = notify.exec.value().and_then(|words| words.first()) else { return };
    let run_as = match RunAs::find(notify.user.value().map(String::as_str), notify.group.value().map(String::as_str)) {
        Ok(run_as) => run_as,
        Err(error) => {
            let place = [notify.user.given(), notify.group.given()].into_iter().flatten().next();
            let place = place.map_or(&program.place, |given| &given.place);
            report.error(place, Fault::new(error.to_string(), "create it on this host, or name another one"));
            return;
        }
    };
    let path = Path::new(&program.value);
    if path.is_absolute() {
        for problem in hook_file::examine(path, run_as) {
            report.error(&program.place, Fault::new(problem.to_string(), problem.remedy()));
        }
    }
}

/// Whatever is there already must be a pipe.
fn check_pipe(notify: &Notify, report: &mut Report<'_>) {
    use std::os::unix::fs::FileTypeExt as _;
    let Some(fifo) = notify.fifo.given() else { return };
    match fifo.value.metadata() {
        Ok(metadata) if !metadata.file_type().is_fifo() => {
            let what = format!("`{}` is there and is no named pipe", fifo.value.display());
            report.error(&fifo.place, Fault::new(what, "remove it, or name another path; vipd makes the pipe"));
        }
        Ok(_) => {}
        // A directory below /run may be made by whoever is started first.
        Err(_) if fifo.value.parent().is_some_and(Path::is_dir) => {}
        Err(_) => {
            let what = format!("the directory of `{}` is not there", fifo.value.display());
            report.warning(&fifo.place, Fault::new(what, "make it before vipd starts, or lines wait for it"));
        }
    }
}
