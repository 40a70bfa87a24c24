//! What checks, notifications and `[[hetzner]]` need of this host: programs that can be run, and by nobody else changed; directories, secrets,
//! certificates. Each fault is told at the place that names it.

use std::{
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use super::{
    diagnostic::{Fault, Place, Report},
    file::{File, Notify},
    health,
    metrics::Credentials,
    table::{Field, Located},
};
use crate::{
    check::{Check, Kubernetes, Subject, api_problem},
    client::{Tls, Trust, roots},
    observe::metrics::tls::{self, TlsError},
    program::permission::{RunAs, examine},
    secret::Secret,
};

/// Looks for what every `[[notify]]` of `file` needs.
pub(super) fn check_notifications(file: &File, report: &mut Report<'_>) {
    for notify in &file.notify {
        check_program(&notify.exec, [&notify.user, &notify.group], report);
        check_pipe(notify, report);
        check_secrets([&notify.webhook_secret, &notify.token, &notify.password], report);
        check_certificates(&notify.ca_file, report);
    }
}

/// Looks for what every `[[hetzner]]` of `file` needs.
pub(super) fn check_hetzner(file: &File, report: &mut Report<'_>) {
    for entry in &file.hetzner {
        check_secrets([&entry.password, &entry.token], report);
        check_certificates(&entry.ca_file, report);
    }
}

/// Looks for what `[metrics]` of `file` needs.
pub(super) fn check_metrics(file: &File, report: &mut Report<'_>) {
    let metrics = &file.metrics;
    check_secrets([&metrics.password], report);
    if let (Some(certificate), Some(key)) = (metrics.certificate_file.given(), metrics.key_file.given()) {
        let (certificate_file, key_file) = (certificate.value.clone(), key.value.clone());
        if let Err(error) = tls::acceptor(&Credentials { certificate_file, key_file }) {
            let (place, remedy) = match error {
                TlsError::Certificate { .. } => {
                    (&certificate.place, "name a file of certificates in PEM, that of the server first".to_owned())
                }
                TlsError::Key(_, ref remedy) => (&key.place, remedy.clone()),
                TlsError::Unlike(_) => (&key.place, "name the key that the certificate was made for".to_owned()),
            };
            report.error(place, Fault::new(error.to_string(), remedy));
        }
    }
}

/// Looks for what `checks`, those of this node, need.
pub(super) fn check_checks(file: &File, checks: &[Check], report: &mut Report<'_>) {
    let mut is_api_told = false;
    for check in checks {
        let Some(written) = file.checks.iter().find(|written| written.name.value() == Some(&check.name)) else {
            continue;
        };
        match &check.subject {
            Subject::Command(_) => check_program(&written.command, [&written.user, &written.group], report),
            Subject::File(path) => {
                let directory = path.parent().filter(|directory| !directory.is_dir());
                if let Some(directory) = directory {
                    let what =
                        format!("there is no directory `{}`, so the file can never be there", directory.display());
                    report.error(place(&written.file, written), Fault::new(what, "make it, or mend the path"));
                }
            }
            Subject::Http(request) => {
                check_tls(request.server.tls.as_ref(), place(&written.http, written), written, report);
            }
            Subject::Grpc(request) => {
                check_tls(request.server.tls.as_ref(), place(&written.grpc, written), written, report);
            }
            Subject::Kubernetes(asked) => {
                if !std::mem::replace(&mut is_api_told, true) {
                    check_api(asked, file, written, report);
                }
            }
            Subject::Tcp(_) | Subject::Process(_) | Subject::Interface(_) | Subject::Address(_) => {}
        }
    }
}

/// The program must be there, for whoever runs it, and nobody else may change it.
fn check_program(words: &Field<Vec<Located<String>>>, run_as: [&Field<String>; 2], report: &mut Report<'_>) {
    let Some(program) = words.value().and_then(|words| words.first()) else { return };
    let [user, group] = run_as.map(|field| field.value().map(String::as_str));
    let found = match RunAs::find(user, group) {
        Ok(found) => found,
        Err(error) => {
            let place = run_as.into_iter().find_map(Field::given);
            let place = place.map_or(&program.place, |given| &given.place);
            report.error(place, Fault::new(error.to_string(), "create it on this host, or name another one"));
            return;
        }
    };
    let path = Path::new(&program.value);
    if path.is_absolute() {
        for problem in examine(path, found) {
            report.error(&program.place, Fault::new(problem.to_string(), problem.remedy()));
        }
    }
}

/// Whatever is there already must be a pipe.
fn check_pipe(notify: &Notify, report: &mut Report<'_>) {
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

fn check_secrets<const N: usize>(secrets: [&Field<Secret>; N], report: &mut Report<'_>) {
    for given in secrets.into_iter().filter_map(Field::given) {
        if let Some((what, remedy)) = Secret::examine(&given.value) {
            report.error(&given.place, Fault::new(what.to_string(), remedy));
        }
    }
}

fn check_certificates(ca_file: &Field<PathBuf>, report: &mut Report<'_>) {
    if let Some(ca_file) = ca_file.given() {
        check_trust(&Trust::File(ca_file.value.clone()), &ca_file.place, report);
    }
}

fn check_tls(tls: Option<&Tls>, url: &Place, written: &health::Check, report: &mut Report<'_>) {
    if let Some(Tls { trust, .. }) = tls {
        let place = if matches!(trust, Trust::File(_)) { place(&written.ca_file, written) } else { url };
        check_trust(trust, place, report);
    }
}

fn check_trust(trust: &Trust, place: &Place, report: &mut Report<'_>) {
    if let Err(what) = roots(trust) {
        let remedy = match trust {
            Trust::Host => "install ca-certificates, or give ca_file = ..., or verify = false",
            Trust::File(_) | Trust::Anybody => {
                "name a file of certificates in PEM, from -----BEGIN CERTIFICATE----- on"
            }
        };
        report.error(place, Fault::new(what, remedy));
    }
}

/// Whether it is known how to reach the API of Kubernetes. That it answers is not asked for: nothing waits for that.
fn check_api(asked: &Kubernetes, file: &File, written: &health::Check, report: &mut Report<'_>) {
    let Some(problem) = api_problem(asked.kubeconfig.as_deref()) else { return };
    if let Some(given) = file.kubernetes.kubeconfig.given() {
        let what = format!("`{}` does not say how to reach the API: {problem}", given.value.display());
        let remedy = "name a kubeconfig with a server, its certificate-authority, and a user with a token, tokenFile or client-certificate";
        report.error(&given.place, Fault::new(what, remedy));
    } else {
        let what = format!("the agent runs in no pod that has a service account to ask Kubernetes with: {problem}");
        let remedy = "add [kubernetes] with kubeconfig = ..., or let the pod have its service account";
        report.error(&written.heading, Fault::new(what, remedy));
    }
}

fn place<'f, T>(field: &'f Field<T>, written: &'f health::Check) -> &'f Place {
    field.given().map_or(&written.heading, |given| &given.place)
}
