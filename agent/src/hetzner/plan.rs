//! What to do next so that an address is routed to this node while it is Active. Decides and does nothing.
//!
//! While the node is Active: look where the address is routed; ask for it where that is not here; follow what was asked for until
//! it is done; look again. An answer that says yes is not believed before a look confirms it. While the node is not Active there is
//! nothing to do: whoever is Active asks.

use std::time::Duration;

use tokio::time::Instant;

use super::{allowance::Allowance, api::Call};

/// How long after a failure it is tried again at most; after each next one twice as long.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long at most.
const AGAIN_AFTER_MAX: Duration = Duration::from_mins(1);
/// How long what only an operator can mend is left alone. Robot shuts out an address for ten minutes that has shown a wrong
/// password three times.
const MENDED_AFTER: Duration = Duration::from_mins(10);
/// How often it is asked whether an action is done.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// How long an action may take before it is looked what it has come to.
const FOLLOW_MAX: Duration = Duration::from_mins(2);
/// How long it may be that an address is not routed here until that is an alarm.
const ALARM_AFTER: Duration = Duration::from_mins(2);

/// How an API wants to be treated.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// How often it is looked while the address is routed here.
    pub(super) recheck: Duration,
    /// How long after a request was accepted the address may still be elsewhere.
    pub(super) settle: Duration,
    /// How often it is looked meanwhile.
    pub(super) settle_every: Duration,
    /// How long another action on the same address is waited for, at least; at most twice as long.
    pub(super) busy: Duration,
    /// Looks.
    pub(super) looks: Allowance,
    /// Requests that change something.
    pub(super) asks: Allowance,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Look where the address is routed.
    Look,
    /// Send this, which brings it nearer.
    Ask(Call),
    /// Ask what has become of this action.
    Follow(u64),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The address is routed here.
    Here,
    /// It is not.
    Away {
        /// To whom it is, as people know it; `None`: to nobody.
        holder: Option<String>,
        /// What to ask for.
        remedy: Call,
    },
    /// What was asked for is accepted, as this action if it has a number.
    Accepted(Option<u64>),
    /// The action is not done yet.
    Running,
    /// The action is done.
    Done,
    /// The action has failed: what was accepted will not be.
    Failed(Trouble),
}

/// Why a step has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Something else is done to the address at the moment.
    Busy(String),
    /// It may go better later.
    Passing {
        /// What went wrong.
        why: String,
        /// Not before, if that is known.
        after: Option<Duration>,
    },
    /// More was asked for than the API allows.
    Limited {
        /// What it says.
        why: String,
        /// When it may be asked again.
        after: Duration,
    },
    /// It will not go better before somebody mends it.
    Operator {
        /// What is wrong.
        why: String,
        /// What to do.
        remedy: String,
    },
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Busy(why) | Self::Passing { why, .. } | Self::Limited { why, .. } => f.write_str(why),
            Self::Operator { why, remedy } => write!(f, "{why}: {remedy}"),
        }
    }
}

/// Where the address is, as far as is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// Not known.
    #[default]
    Unknown,
    /// Here.
    Here,
    /// With that one, or with nobody.
    Away(Option<String>),
}

/// What is known, and what to do next.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pace: Pace,
    is_active: bool,
    place: Place,
    next: Option<(Step, Instant)>,
    asked: Option<Asked>,
    /// Failures in a row.
    failures: u32,
    trouble: Option<Trouble>,
    /// Since when this node is Active, and it is not known that it has the address.
    wanting_since: Option<Instant>,
}

/// What was accepted.
#[derive(Clone, Debug)]
struct Asked {
    call: Call,
    at: Instant,
}

impl Plan {
    pub(super) const fn new(pace: Pace) -> Self {
        Self {
            pace,
            is_active: false,
            place: Place::Unknown,
            next: None,
            asked: None,
            failures: 0,
            trouble: None,
            wanting_since: None,
        }
    }

    /// Takes in whether the node is Active. Whatever was being done for the role before is void.
    pub(super) fn turn(&mut self, is_active: bool, now: Instant) {
        if self.is_active == is_active {
            return;
        }
        self.is_active = is_active;
        (self.place, self.asked, self.failures, self.trouble) = (Place::Unknown, None, 0, None);
        self.wanting_since = is_active.then_some(now);
        self.next = is_active.then_some((Step::Look, now));
    }

    /// Tries again now what has failed: an operator may have mended it.
    pub(super) fn nudge(&mut self, now: Instant) {
        if self.is_active && self.trouble.is_some() {
            self.look_at(now);
        }
    }

    /// What to do next, and when; `None`: nothing, before the role changes.
    pub(super) fn next(&self, now: Instant) -> Option<(&Step, Instant)> {
        let (step, at) = self.next.as_ref()?;
        let allowed_at = match step {
            Step::Look => self.pace.looks.next_at(now),
            Step::Ask(_) => self.pace.asks.next_at(now),
            // It is over soon.
            Step::Follow(_) => now,
        };
        Some((step, allowed_at.max(*at)))
    }

    /// Counts the step that is begun now, also where nothing is ever heard of it.
    pub(super) fn begin(&mut self, now: Instant) {
        match self.next {
            Some((Step::Look, _)) => self.pace.looks.take(now),
            Some((Step::Ask(_), _)) => self.pace.asks.take(now),
            Some((Step::Follow(_), _)) | None => {}
        }
    }

    /// Takes in what came of the step; `dice` is a number from 0 to 1, by chance.
    pub(super) fn hear(&mut self, heard: Result<Heard, Trouble>, now: Instant, dice: f64) {
        let Some((step, _)) = self.next.take() else { return };
        match heard {
            Ok(Heard::Here) => {
                (self.place, self.asked, self.failures, self.trouble) = (Place::Here, None, 0, None);
                self.wanting_since = None;
                self.look_at(now + self.pace.recheck);
            }
            Ok(Heard::Away { holder, remedy }) => self.find_away(holder, remedy, now, dice),
            Ok(Heard::Accepted(action)) => self.accepted(step, action, now),
            Ok(Heard::Running) => self.wait_for(step, now),
            Ok(Heard::Done) => self.look_at(now),
            Ok(Heard::Failed(trouble)) => {
                self.asked = None;
                self.fail(trouble, now, dice);
            }
            Err(trouble) => self.fail(trouble, now, dice),
        }
    }

    fn find_away(&mut self, holder: Option<String>, remedy: Call, now: Instant, dice: f64) {
        self.wanting_since.get_or_insert(now);
        self.place = Place::Away(holder);
        match &self.asked {
            // It has an effect, though not the last one.
            Some(asked) if asked.call != remedy => self.ask(remedy, now),
            Some(asked) if now < asked.at + self.pace.settle => {
                self.look_at(now + self.pace.settle_every);
            }
            Some(_) => {
                let why = "the API has accepted the request, and the address is still not routed here".to_owned();
                self.asked = None;
                self.fail(Trouble::Passing { why, after: None }, now, dice);
            }
            None => self.ask(remedy, now),
        }
    }

    fn ask(&mut self, call: Call, now: Instant) {
        self.next = Some((Step::Ask(call), now));
    }

    fn accepted(&mut self, step: Step, action: Option<u64>, now: Instant) {
        if let Step::Ask(call) = step {
            self.asked = Some(Asked { call, at: now });
        }
        match action {
            Some(action) => self.next = Some((Step::Follow(action), now + FOLLOW_EVERY)),
            None => self.look_at(now),
        }
    }

    fn wait_for(&mut self, step: Step, now: Instant) {
        let is_late = self.asked.as_ref().is_none_or(|asked| now >= asked.at + FOLLOW_MAX);
        if is_late { self.look_at(now) } else { self.next = Some((step, now + FOLLOW_EVERY)) }
    }

    /// Looks again some time: whatever has failed, that shows what is to be done.
    fn fail(&mut self, trouble: Trouble, now: Instant, dice: f64) {
        self.wanting_since.get_or_insert(now);
        let after = match &trouble {
            Trouble::Busy(_) => self.pace.busy.mul_f64(1.0 + dice),
            Trouble::Limited { after, .. } => *after,
            Trouble::Operator { .. } => MENDED_AFTER,
            Trouble::Passing { after, .. } => {
                let span = again_after(self.failures).mul_f64(dice);
                self.failures = self.failures.saturating_add(1);
                after.map_or(span, |after| after.max(span))
            }
        };
        self.trouble = Some(trouble);
        self.look_at(now + after);
    }

    fn look_at(&mut self, at: Instant) {
        self.next = Some((Step::Look, at));
    }

    /// Whether this node is to have the address.
    pub(super) const fn is_active(&self) -> bool {
        self.is_active
    }

    /// Where it is.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// What went wrong last, unless that is over.
    pub(super) const fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// From when on people should know that this node is Active, and not known to have the address.
    pub(super) fn alarm_at(&self) -> Option<Instant> {
        let since = self.wanting_since?;
        let is_for_operator = matches!(self.trouble, Some(Trouble::Operator { .. }));
        Some(if is_for_operator { since } else { since + ALARM_AFTER })
    }
}

/// How long after so many failures it is tried again at most.
fn again_after(failures: u32) -> Duration {
    (AGAIN_AFTER * 2_u32.pow(failures.min(10))).min(AGAIN_AFTER_MAX)
}

#[cfg(test)]
mod tests;
