//! What is wrong with the key files that `[auth]` names, at the place where it names them.

use super::{
    diagnostic::{Fault, Report},
    file::File,
};
use crate::keys;

/// Looks at every key file of `file`.
pub(super) fn check(file: &File, report: &mut Report<'_>) {
    let keys = file.auth.value().and_then(|auth| auth.keys.value());
    for file in keys.into_iter().flatten().filter_map(|key| key.file.given()) {
        for problem in keys::examine(&file.value) {
            let fault = Fault::new(format!("\"{}\" {problem}", file.value.display()), problem.remedy(&file.value));
            if problem.is_serious() && !problem.waits_for_service(&file.value) {
                report.error(&file.place, fault);
            } else {
                report.warning(&file.place, fault);
            }
        }
    }
}
