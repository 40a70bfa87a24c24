//! Who removed what vipd holds, as far as the kernel tells.

use std::{collections::HashMap, fs};

use tokio::time::Instant;

use crate::perform::holdings::Subject;

/// Removals that are remembered. What vipd never held does not count, so more than that come from a program that makes fun of it.
const REMOVALS_MAX: usize = 16_384;

/// The last removal of each thing.
#[derive(Clone, Debug, Default)]
pub struct Removals(HashMap<Subject, Removal>);

/// A removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Who has asked for it.
    pub by: String,
    /// When it was heard of.
    pub at: Instant,
}

impl Removals {
    /// The removal of `subject`, if it is later than `since`.
    #[must_use]
    pub fn of(&self, subject: &Subject, since: Instant) -> Option<&Removal> {
        self.0.get(subject).filter(|removal| removal.at > since)
    }

    /// Takes in what was removed now, and by whom.
    pub(super) fn note_all(&mut self, removed: Vec<(Subject, String)>) {
        if self.0.len() + removed.len() > REMOVALS_MAX {
            self.0.clear();
        }
        let at = Instant::now();
        self.0.extend(removed.into_iter().map(|(subject, by)| (subject, Removal { by, at })));
    }
}

/// Who is behind a netlink port, which for most programs is the number of their process. The kernel gives 0 where it acts by
/// itself, and for IPv6 addresses.
pub(super) fn owner(port: u32) -> String {
    match (port, fs::read_to_string(format!("/proc/{port}/comm"))) {
        (0, _) => "unknown".to_owned(),
        (_, Ok(name)) => format!("`{}`, process {port}", name.trim_end()),
        (_, Err(_)) => format!("process {port}, which has ended"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_counts_until_the_thing_is_there_again() {
        let (mut removals, subject) = (Removals::default(), Subject::Address("10.77.0.101".parse().unwrap()));
        let before = Instant::now();
        removals.note_all(vec![(subject, "`ip`, process 7".to_owned())]);
        assert_eq!(removals.of(&subject, before).map(|removal| removal.by.as_str()), Some("`ip`, process 7"));
        assert_eq!(removals.of(&subject, Instant::now()), None);
        assert_eq!(removals.of(&Subject::Address("10.77.0.102".parse().unwrap()), before), None);
    }

    #[test]
    fn whoever_lives_is_called_by_name() {
        let own = fs::read_to_string("/proc/self/comm").unwrap();
        let pid = std::process::id();
        assert_eq!(owner(pid), format!("`{}`, process {pid}", own.trim_end()));
        assert_eq!(owner(0), "unknown");
        // Larger than any process number: PID_MAX_LIMIT is 4,194,304.
        assert_eq!(owner(4_200_000_000), "process 4200000000, which has ended");
    }
}
