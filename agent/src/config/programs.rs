//! What checks need of this host: programs that can be run, and by nobody else changed; directories; certificates.

use super::{
    diagnostic::{Fault, Place, Report},
    file::File,
    health,
    table::Field,
};
use crate::{
    check::{Check, Subject, command_problems},
    client::{Tls, Trust, roots},
};

/// Looks for what `checks`, those of this node, need.
pub(super) fn check(file: &File, checks: &[Check], report: &mut Report<'_>) {
    for check in checks {
        let Some(written) = file.checks.iter().find(|written| written.name.value() == Some(&check.name)) else {
            continue;
        };
        match &check.subject {
            Subject::Command(command) => {
                for (what, remedy) in command_problems(command) {
                    report.error(place(&written.command, written), Fault::new(what, remedy));
                }
            }
            Subject::File(path) => {
                let directory = path.parent().filter(|directory| !directory.is_dir());
                if let Some(directory) = directory {
                    let what =
                        format!("there is no directory `{}`, so the file can never be there", directory.display());
                    report.error(place(&written.file, written), Fault::new(what, "make it, or mend the path"));
                }
            }
            Subject::Http(request) => {
                check_trust(request.server.tls.as_ref(), place(&written.http, written), written, report);
            }
            Subject::Grpc(request) => {
                check_trust(request.server.tls.as_ref(), place(&written.grpc, written), written, report);
            }
            Subject::Tcp(_) | Subject::Process(_) | Subject::Interface(_) | Subject::Address(_) => {}
        }
    }
}

fn check_trust(tls: Option<&Tls>, url: &Place, written: &health::Check, report: &mut Report<'_>) {
    let Some(Tls { trust, .. }) = tls else { return };
    if let Err(what) = roots(trust) {
        let (place, remedy) = match trust {
            Trust::Host => (url, "install ca-certificates, or give ca_file = ..., or verify = false"),
            Trust::File(_) | Trust::Anybody => (
                place(&written.ca_file, written),
                "name a file of certificates in PEM, from -----BEGIN CERTIFICATE----- on",
            ),
        };
        report.error(place, Fault::new(what, remedy));
    }
}

fn place<'f, T>(field: &'f Field<T>, written: &'f health::Check) -> &'f Place {
    field.given().map_or(&written.heading, |given| &given.place)
}
