//! What keepalived hands to notify scripts and writes into its FIFO, byte for byte, so that what was written for it works.

use crate::observe::event::{Condition, Event, Subject};

/// What follows the arguments of a notify script.
pub(super) fn arguments(event: &Event) -> [String; 4] {
    let name = event.subject.name().to_owned();
    [kind(&event.subject).to_owned(), name, state(event.to).to_owned(), event.priority.to_string()]
}

/// A line of the FIFO, with its end.
pub(super) fn line(event: &Event) -> String {
    format!("{} \"{}\" {} {}\n", kind(&event.subject), event.subject.name(), state(event.to), event.priority)
}

const fn kind(subject: &Subject) -> &'static str {
    match subject {
        Subject::Router { .. } => "INSTANCE",
        Subject::Group { .. } => "GROUP",
    }
}

/// keepalived's name of a state. What lacks an address waits in Initialize here, and is in FAULT there.
const fn state(condition: Condition) -> &'static str {
    match condition {
        Condition::Active => "MASTER",
        Condition::Backup => "BACKUP",
        Condition::Initialize | Condition::Fault => "FAULT",
        Condition::Stopped => "STOP",
        Condition::Deleted => "DELETED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::event::tests::event;

    #[test]
    fn states_have_the_names_of_keepalived() {
        for (to, name) in [
            (Condition::Active, "MASTER"),
            (Condition::Backup, "BACKUP"),
            (Condition::Fault, "FAULT"),
            (Condition::Initialize, "FAULT"),
            (Condition::Stopped, "STOP"),
            (Condition::Deleted, "DELETED"),
        ] {
            let event = event(1, "web a", Condition::Backup, to);
            assert_eq!(arguments(&event), ["INSTANCE", "web a", name, "200"]);
            assert_eq!(line(&event), format!("INSTANCE \"web a\" {name} 200\n"));
        }
    }

    #[test]
    fn a_group_has_no_priority() {
        let mut event = event(1, "", Condition::Backup, Condition::Active);
        (event.subject, event.priority) = (Subject::Group { name: "both".to_owned() }.into(), 0);
        assert_eq!(arguments(&event), ["GROUP", "both", "MASTER", "0"]);
        assert_eq!(line(&event), "GROUP \"both\" MASTER 0\n");
    }
}
