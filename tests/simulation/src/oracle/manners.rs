//! I4: how a router leaves, answers and gives way.

use std::{net::IpAddr, ops::RangeInclusive, time::Duration};

use vrrp::{
    Instant, Parameters, Priority, Version,
    election::{Advert, State, StateName},
};

use super::{Oracle, Record, Violation, takeover, violated};
use crate::{
    clock::{Time, nanoseconds},
    host::{Heard, Host, Said},
};

/// What is known about how a router behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manners {
    /// When it last sent an advert, by its own clock, and when the last one in turn. A suspension puts both back.
    pub(super) spoke_at: Option<Instant>,
    pub(super) in_turn_at: Option<Instant>,
    /// When it has last said the shortest interval. A goodbye must follow at once, unless that is its own.
    hastened: Option<(Time, Follows)>,
    /// When its priority was lowered while it was Active, and what it was before.
    pub(super) fell_back: Option<(Time, u8)>,
    /// The router whose shortest interval it has just heeded, as a Backup.
    pub(super) hastened_by: Option<IpAddr>,
    /// A supervisor has left in its name.
    pub(super) is_relieved: bool,
    pub(super) has_slept: bool,
    /// Its term as Active is over, and it must say so before anything else.
    pub(super) is_over: bool,
}

/// What must follow the shortest interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    Goodbye,
    /// An advert of the lower priority that the router has from now on.
    LowerPriority,
    Anything,
}

impl Manners {
    /// A state has changed.
    pub(super) const fn turn(&mut self) {
        (self.is_relieved, self.has_slept, self.is_over) = (false, false, false);
        self.hastened_by = None;
    }

    /// Whether it has sent nothing for longer than the shortest wait of a Backup.
    pub(super) fn was_silent(&self, parameters: &Parameters, at: Instant) -> bool {
        let longest = parameters.advertisement_interval.duration() * u32::from(parameters.down_timer_adverts);
        !parameters.is_owner() && self.spoke_at.is_some_and(|spoke_at| at > spoke_at + longest)
    }

    /// Whether it has sent nothing for longer than a router of this `priority` waits.
    fn let_take_over(&self, parameters: &Parameters, priority: Priority, at: Instant) -> bool {
        let interval = nanoseconds(parameters.advertisement_interval.duration());
        let sender = Parameters { priority, stagger: Duration::ZERO, ..*parameters };
        self.was_silent(parameters, at - Duration::from_nanos(takeover::skew(&sender, interval)))
    }

    /// The same by its schedule, which answers are no part of: an advert in turn may be late by an interval at most.
    pub(super) fn may_have_been_silent(&self, parameters: &Parameters, at: Instant) -> bool {
        let interval = parameters.advertisement_interval.duration();
        let longest = interval * u32::from(parameters.down_timer_adverts);
        !parameters.is_owner() && self.in_turn_at.is_some_and(|in_turn_at| at + interval > in_turn_at + longest)
    }
}

impl Oracle {
    /// Every advert says the interval of its sender, but for one: in version 3 the shortest goes before each goodbye, and before
    /// the first advert of a lower priority than before, at the same moment. Nothing is said by a router whose term is over.
    pub(super) fn check_manners(&mut self, host: usize, said: Said, now: Time, there: &Host) -> Result<(), Violation> {
        let Said { priority, interval, is_answer } = said;
        let manners = &mut self.records[host].manners;
        let (parameters, number) = (there.parameters(), host + 1);
        if manners.is_over && there.is_running() {
            return violated(now, || format!("I4: host {number} advertises {priority}, and its term is over"));
        }
        let is_hasty = interval == takeover::HASTE && priority > 0;
        let is_own = [0, parameters.priority.get()].contains(&priority);
        let may_fall_back = is_hasty && manners.fell_back == Some((now, priority)) && parameters.version == Version::V3;
        let falls_back = may_fall_back && !is_own;
        if !is_own && !falls_back {
            return violated(now, || format!("I4: host {number} advertises another's priority {priority}"));
        }
        let must_hasten = priority == 0 && parameters.version == Version::V3;
        if must_hasten && manners.hastened.is_none_or(|(at, _)| at != now) {
            return violated(now, || format!("I4: host {number} says goodbye and has hastened nobody"));
        }
        self.judged.hastened += u64::from(must_hasten);
        match manners.hastened.take() {
            Some((_, Follows::Goodbye)) if priority > 0 => {
                return violated(now, || format!("I4: host {number} says the shortest interval and no goodbye"));
            }
            Some((_, Follows::LowerPriority)) if priority == 0 || falls_back => {
                return violated(now, || format!("I4: host {number} falls back, and says {priority} after that"));
            }
            Some(_) | None => {}
        }
        self.judged.fell_back += u64::from(falls_back);
        let follows = match there.interval() {
            _ if falls_back => Follows::LowerPriority,
            takeover::HASTE => Follows::Anything,
            _ => Follows::Goodbye,
        };
        manners.hastened = (is_hasty && parameters.version == Version::V3).then_some((now, follows));
        if interval != there.interval() && !(is_hasty && parameters.version == Version::V3) {
            return violated(now, || format!("I4: host {number} says another's interval"));
        }
        manners.spoke_at = Some(there.now(now));
        if !is_answer {
            manners.in_turn_at = manners.spoke_at;
        }
        Ok(())
    }

    /// A router takes in first that its term is over, and that a goodbye was begun is no end.
    pub(super) fn check_end_of_term(&self, host: usize, now: Time, there: &Host) -> Result<(), Violation> {
        let Record { manners, met_at, .. } = &self.records[host];
        let is_late = now > met_at + 2 * self.scenario.latency;
        if manners.is_over && is_late && there.is_running() && there.state() == StateName::Active {
            return violated(now, || format!("I1: host {} is Active, and its term is over", host + 1));
        }
        if matches!(manners.hastened, Some((at, Follows::Goodbye | Follows::LowerPriority)) if at < now) {
            return violated(now, || {
                format!("I4: host {} has said the shortest interval and nothing after it", host + 1)
            });
        }
        Ok(())
    }

    /// Who is not Active answers nobody. An Active Router answers who loses to it, and who leaves, at once, unless it has
    /// done so too often; and it says one last word to a better router. After too long a silence it gives way without a
    /// word. Version 2 answers only who leaves, and its owner nobody. RFC 9568 §6.4.3, RFC 3768 §6.4.3.
    pub(super) fn check_answer(
        &mut self,
        host: usize,
        advert: &Advert,
        (before, after): (State, State),
        heard: Heard,
        there: &Host,
        now: Time,
    ) -> Result<(), Violation> {
        let (parameters, manners) = (there.parameters(), &self.records[host].manners);
        let State::Active(active) = before else {
            return expect(host, advert, heard, 0..=0, now);
        };
        if parameters.version == Version::V2 && parameters.is_owner() {
            return expect(host, advert, heard, 0..=0, now);
        }
        let own = (parameters.priority, Some(there.router.address));
        let Some(priority) = advert.priority else {
            let answers = usize::from(active.replies_left > 0);
            return expect(host, advert, heard, answers..=answers, now);
        };
        let is_better = (priority, Some(advert.source)) > own;
        let was_silent = manners.let_take_over(parameters, priority, advert.received_at);
        let may_have_been = manners.may_have_been_silent(parameters, advert.received_at);
        let gives_way = matches!(after, State::Backup(_));
        if gives_way != is_better && !(gives_way && may_have_been) || was_silent && !gives_way {
            return violated(now, || {
                format!("I4: host {} gives way: {gives_way}, silent: {was_silent}, {advert:?}", host + 1)
            });
        }
        let (least, most) = match (gives_way, is_better) {
            (true, true) => (usize::from(!may_have_been), usize::from(!was_silent)),
            (true, false) => (0, 0),
            (false, _) => {
                let answers = usize::from(active.replies_left > 0 && parameters.version == Version::V3);
                (answers, answers)
            }
        };
        if !gives_way {
            self.postpone_announcement(host, advert, there, now);
        }
        self.judged.last_words += u64::from(gives_way && heard.answers > 0);
        expect(host, advert, heard, least..=most, now)
    }

    /// Who heeds the shortest interval and then hears a goodbye waits for Skew_Time of that interval, at most.
    pub(super) fn check_turn(
        &mut self,
        host: usize,
        advert: &Advert,
        (before, after): (State, State),
        there: &Host,
        now: Time,
    ) -> Result<(), Violation> {
        let (State::Backup(_), State::Backup(backup)) = (before, after) else {
            self.records[host].manners.hastened_by = None;
            return Ok(());
        };
        let (parameters, record) = (there.parameters(), &mut self.records[host]);
        let Some(priority) = advert.priority else {
            if record.manners.hastened_by != Some(advert.source) || parameters.version == Version::V2 {
                return Ok(());
            }
            self.judged.turns += 1;
            let latest = advert.received_at + Duration::from_nanos(takeover::turn(parameters));
            if backup.active_down_at > latest {
                return violated(now, || format!("I4: host {} waits too long for its turn: {backup:?}", host + 1));
            }
            return Ok(());
        };
        let is_hasty = nanoseconds(advert.max_advertise_interval) == takeover::HASTE;
        let is_heeded = priority >= parameters.priority || takeover::patience(parameters).is_none();
        record.manners.hastened_by = (is_hasty && is_heeded).then_some(advert.source);
        Ok(())
    }
}

fn expect(
    host: usize,
    advert: &Advert,
    heard: Heard,
    answers: RangeInclusive<usize>,
    now: Time,
) -> Result<(), Violation> {
    if answers.contains(&heard.answers) {
        return Ok(());
    }
    violated(now, || format!("I4: host {} answers {} times, not {answers:?}: {advert:?}", host + 1, heard.answers))
}
