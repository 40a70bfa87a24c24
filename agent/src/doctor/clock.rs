//! Whether the clock can be signed by. Without `[auth]` nothing goes by it.

use super::{host::Host, kind::Kind, report::Report};
use crate::{clock, config::Config};

/// Programs that keep a clock right.
const KEEPERS: [&str; 5] = ["chronyd", "systemd-timesyncd", "ntpd", "openntpd", "ptp4l"];

/// Looks at the clock, where adverts are signed or verified.
pub(super) fn look(report: &mut Report, host: &Host, config: &Config) {
    let Some(auth) = &config.auth else { return };
    let mut area = report.area("clock");
    let keeper = KEEPERS.into_iter().find(|name| host.program(name).is_some());
    let running = keeper.map_or_else(|| "no program that keeps it is seen".to_owned(), |name| format!("{name} runs"));
    match clock::uncertainty() {
        None => {
            let what = format!("the kernel's clock is not synchronised; {running}");
            area.find(
                Kind::ClockUnsynchronised,
                what,
                "run chrony or systemd-timesyncd on every node: timedatectl set-ntp true",
            );
        }
        Some(uncertainty) if uncertainty > auth.window / 2 => {
            let what = format!("it may be off by {uncertainty:?}, and `window` is {:?}; {running}", auth.window);
            area.find(
                Kind::ClockInaccurate,
                what,
                "`chronyc sources` or `timedatectl timesync-status` shows why; or raise `window`",
            );
        }
        Some(uncertainty) => area.conclude(format!("synchronised to within {uncertainty:?}; {running}")),
    }
}
