//! An agent that is asked again and again, and may be away at times.

use std::{fmt, time::Duration};

use time::OffsetDateTime;

use crate::observe::Snapshot;

/// What is known of an agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Contact {
    /// What it said last.
    pub(crate) snapshot: Option<Snapshot>,
    /// There while it does not answer.
    pub(crate) absence: Option<Absence>,
}

/// That an agent does not answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Absence {
    /// When that was noticed: time since 1970.
    since: Duration,
    /// Why, as far as that can be seen from outside.
    why: String,
}

impl Contact {
    /// Takes in what came of a question at `wall`, a time since 1970.
    pub(crate) fn note(&mut self, answer: anyhow::Result<Snapshot>, wall: Duration) {
        match answer {
            Ok(snapshot) => *self = Self { snapshot: Some(snapshot), absence: None },
            Err(error) => {
                let since = self.absence.as_ref().map_or(wall, |absence| absence.since);
                self.absence = Some(Absence { since, why: format!("{error:#}") });
            }
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AWAY the agent has not answered since {}: {}", time_of_day(self.since), self.why)
    }
}

/// The time of day in UTC, of a time since 1970.
pub(crate) fn time_of_day(wall: Duration) -> String {
    let (hours, minutes, seconds) = (OffsetDateTime::UNIX_EPOCH + wall).to_hms();
    format!("{hours:02}:{minutes:02}:{seconds:02} UTC")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::observe::testing::snapshot;

    #[test]
    fn an_absence_begins_with_the_first_question_that_is_not_answered() {
        let mut contact = Contact::default();
        contact.note(Ok(snapshot()), Duration::from_secs(1));
        assert_eq!(contact.absence, None);
        contact.note(Err(anyhow!("no socket")), Duration::from_secs(86_400 + 3_723));
        contact.note(Err(anyhow!("no answer")), Duration::from_secs(86_400 + 3_725));
        let said = contact.absence.as_ref().unwrap().to_string();
        assert_eq!(said, "AWAY the agent has not answered since 01:02:03 UTC: no answer");
        assert_eq!(contact.snapshot, Some(snapshot()));
        contact.note(Ok(snapshot()), Duration::from_secs(100_000));
        assert_eq!(contact.absence, None);
    }
}
