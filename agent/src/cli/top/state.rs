//! What `vipd top` knows and what is chosen to be seen of it. Does no IO.

use std::{cmp::Ordering, collections::VecDeque, time::Duration};

use super::{
    super::contact::Contact,
    rates::{Adverts, Rates},
};
use crate::observe::{RouterStatus, Snapshot, event::Event};

/// Events that are kept.
const EVENTS_MAX: usize = 500;

/// Which table is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum View {
    /// The virtual routers.
    #[default]
    Routers,
    /// The other nodes of each.
    Peers,
    /// The checks.
    Checks,
    /// Refused frames by reason.
    Rejects,
    /// What happened.
    Events,
}

impl View {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Self; 5] = [Self::Routers, Self::Peers, Self::Checks, Self::Rejects, Self::Events];

    /// Its name on the screen.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Routers => "routers",
            Self::Peers => "peers",
            Self::Checks => "checks",
            Self::Rejects => "rejects",
            Self::Events => "events",
        }
    }

    fn after(self, steps: usize) -> Self {
        let place = Self::ALL.iter().position(|&view| view == self).unwrap_or(0);
        Self::ALL[(place + steps) % Self::ALL.len()]
    }
}

/// In which order virtual routers and peers are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// That of the configuration.
    #[default]
    File,
    /// What cannot serve first, then what serves.
    State,
    /// What changed last first.
    Since,
    /// The highest priority first.
    Priority,
    /// Who sends or hears most first.
    Rate,
}

impl Order {
    const ALL: [Self; 5] = [Self::File, Self::State, Self::Since, Self::Priority, Self::Rate];

    /// Its name on the screen.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::State => "state",
            Self::Since => "since",
            Self::Priority => "priority",
            Self::Rate => "rate",
        }
    }

    fn next(self) -> Self {
        let place = Self::ALL.iter().position(|&order| order == self).unwrap_or(0);
        Self::ALL[(place + 1) % Self::ALL.len()]
    }
}

/// What somebody wants by a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Another table.
    Show(View),
    /// The table after this one.
    NextView,
    /// The one before.
    PreviousView,
    /// Rows further down, or up where negative.
    Scroll(isize),
    /// The first row.
    First,
    /// The last one.
    Last,
    /// Another order.
    NextOrder,
    /// The same order from the other end.
    Reverse,
}

/// What is known, and what is chosen.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) contact: Contact,
    pub(super) rates: Rates,
    looked_at: Option<Duration>,
    events: VecDeque<Event>,
    pub(super) view: View,
    pub(super) order: Order,
    pub(super) is_reversed: bool,
    /// The first row that is shown; the drawing keeps it within the table.
    pub(super) position: usize,
}

impl State {
    /// Takes in what came of a question: at `wall`, a time since 1970, and `at` by a clock that nobody sets.
    pub(super) fn look(&mut self, answer: anyhow::Result<Snapshot>, wall: Duration, at: Duration) {
        if let Ok(now) = &answer {
            let span = self.looked_at.map_or(Duration::ZERO, |before| at.saturating_sub(before));
            self.rates = Rates::between(self.contact.snapshot.as_ref(), now, span);
            self.looked_at = Some(at);
        } else {
            self.rates.stop();
        }
        self.contact.note(answer, wall);
    }

    /// Takes in what happened.
    pub(super) fn happened(&mut self, event: Event) {
        self.events.truncate(EVENTS_MAX - 1);
        self.events.push_front(event);
    }

    /// Does what is wanted.
    pub(super) fn fulfil(&mut self, wish: Wish) {
        match wish {
            Wish::Show(view) => self.show(view),
            Wish::NextView => self.show(self.view.after(1)),
            Wish::PreviousView => self.show(self.view.after(View::ALL.len() - 1)),
            Wish::Scroll(rows) => self.position = self.position.saturating_add_signed(rows),
            Wish::First => self.position = 0,
            Wish::Last => self.position = usize::MAX,
            Wish::NextOrder => self.order = self.order.next(),
            Wish::Reverse => self.is_reversed = !self.is_reversed,
        }
    }

    fn show(&mut self, view: View) {
        if view != self.view {
            self.position = 0;
        }
        self.view = view;
    }

    /// What happened, the newest first.
    pub(super) fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    /// The virtual routers in the chosen order.
    pub(super) fn routers(&self) -> Vec<&RouterStatus> {
        let mut routers: Vec<_> = self.contact.snapshot.iter().flat_map(|known| &known.virtual_routers).collect();
        routers.sort_by(|one, other| self.compare(one, other));
        if self.is_reversed {
            routers.reverse();
        }
        routers
    }

    fn compare(&self, one: &RouterStatus, other: &RouterStatus) -> Ordering {
        let rate = |router| {
            let Adverts { sent, heard } = self.rates.of(router);
            sent + heard
        };
        match self.order {
            Order::File => Ordering::Equal,
            Order::State => rank(&one.state).cmp(&rank(&other.state)),
            Order::Since => one.since_ms.cmp(&other.since_ms),
            Order::Priority => other.priority.cmp(&one.priority),
            Order::Rate => rate(other).total_cmp(&rate(one)),
        }
    }
}

fn rank(state: &str) -> u8 {
    match state {
        "Fault" => 0,
        "Initialize" => 1,
        "Active" => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::observe::{
        event::{Condition, tests::event},
        testing::{router, snapshot},
    };

    fn names(state: &State) -> Vec<&str> {
        state.routers().iter().map(|router| router.name.as_str()).collect()
    }

    fn state() -> State {
        let mut known = snapshot();
        known.virtual_routers =
            vec![router("a", "IPv4", "Backup"), router("b", "IPv4", "Active"), router("c", "IPv4", "Fault")];
        known.virtual_routers[1].since_ms = 10;
        known.virtual_routers[2].priority = 250;
        let mut state = State::default();
        state.look(Ok(known.clone()), Duration::ZERO, Duration::from_secs(5));
        known.virtual_routers[1].tally.adverts_sent = 20;
        state.look(Ok(known), Duration::ZERO, Duration::from_secs(7));
        state
    }

    #[test]
    fn routers_are_sorted_as_chosen() {
        let mut state = state();
        for expected in [["a", "b", "c"], ["c", "b", "a"], ["b", "a", "c"], ["c", "a", "b"], ["b", "a", "c"]] {
            assert_eq!(names(&state), expected, "{}", state.order.name());
            state.fulfil(Wish::NextOrder);
        }
        assert_eq!(state.order, Order::File);
        state.fulfil(Wish::Reverse);
        assert_eq!(names(&state), ["c", "b", "a"]);
    }

    #[test]
    fn rates_end_while_the_agent_is_away_and_begin_anew_after_it() {
        let mut state = state();
        assert!((state.rates.adverts.sent - 10.0).abs() < 1e-9);
        state.look(Err(anyhow!("away")), Duration::ZERO, Duration::from_secs(8));
        assert!(state.rates.adverts.sent.abs() < 1e-9);
        let mut known = state.contact.snapshot.clone().unwrap();
        known.virtual_routers[1].tally.adverts_sent = 50;
        state.look(Ok(known), Duration::ZERO, Duration::from_secs(10));
        assert!(
            (state.rates.adverts.sent - 10.0).abs() < 1e-9,
            "30 adverts in the three seconds since the last answer"
        );
    }

    #[test]
    fn views_go_round_and_begin_at_the_top() {
        let mut state = State::default();
        state.fulfil(Wish::Scroll(7));
        state.fulfil(Wish::PreviousView);
        assert_eq!((state.view, state.position), (View::Events, 0));
        state.fulfil(Wish::NextView);
        state.fulfil(Wish::Show(View::Checks));
        state.fulfil(Wish::Last);
        state.fulfil(Wish::Show(View::Checks));
        assert_eq!((state.view, state.position), (View::Checks, usize::MAX));
        state.fulfil(Wish::First);
        state.fulfil(Wish::Scroll(-1));
        assert_eq!(state.position, 0);
    }

    #[test]
    fn the_last_events_are_kept() {
        let mut state = State::default();
        for number in 1..=502 {
            state.happened(event(number, "a", Condition::Backup, Condition::Active));
        }
        let numbers: Vec<_> = state.events().map(|event| event.sequence).collect();
        assert_eq!((numbers.len(), numbers[0], numbers[499]), (500, 502, 3));
    }
}
