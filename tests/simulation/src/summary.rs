//! What a run came to: how much happened, and how often each rule had something to judge.

use std::{fmt, ops::AddAssign};

use vrrp::election::Reason;

use crate::attacker::Forgery;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// How often things happened and rules were judged. A rule whose count stays 0 has proved nothing.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Summary { $($(#[$doc])* pub $name: u64,)* }

        impl Summary {
            /// Every count with what it is of.
            pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$(($text, self.$name)),*].into_iter()
            }
        }

        impl AddAssign for Summary {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
    /// Frames that arrived.
    frames => "frames arrived",
    /// Frames that the guard refused.
    refused => "frames refused by the guard",
    /// Changes of state.
    transitions => "changes of state",
    /// I1: calms at whose end there was to be one Active Router, the best.
    settled => "I1: calms with one Active Router",
    /// I1: Active Routers that left in order and were replaced in time, by the best.
    replaced_in_order => "I1: Active Routers replaced that left",
    /// I1: Active Routers that died and were replaced in time, by the best.
    replaced_after_death => "I1: Active Routers replaced that died",
    /// I1: Active Routers that handed over on request and were replaced in time, by the best.
    replaced_on_request => "I1: Active Routers replaced that handed over",
    /// I1: Active Routers that hung, were made to leave, and were replaced in time, by the best.
    replaced_after_relief => "I1: Active Routers replaced that were relieved",
    /// I1: routers that were Active and gave way to a better one.
    yields => "I1: contests that ended",
    /// I1: routers that were silent for too long and gave way to whoever had taken over.
    were_silent => "I1: silent routers that gave way",
    /// I1: routers that had been suspended for too long and gave way.
    have_slept => "I1: suspended routers that gave way",
    /// I1: routers that were relieved, and gave way.
    were_relieved => "I1: relieved routers that gave way",
    /// I1: routers that handed over in vain, and are Active again.
    not_taken => "I1: handovers that nobody took",
    /// I1: looks at two Active Routers that hear each other.
    contested => "I1: looks at two Active Routers that hear each other",
    /// I1: takeovers whose time was judged.
    takeovers => "I1: takeovers not before their time",
    /// Takeovers that did not happen because an advert waited in the ring buffer.
    saved_by_ring => "takeovers avoided: an advert waited",
    /// Takeovers that did not happen because an advert that was lost had left its stamp.
    saved_by_stamp => "takeovers avoided: a stamp was found",
    /// I2: looks at a state and at whether the address is held.
    addresses => "I2: looks at state and address",
    /// I2: changes of state after which the address was looked at when it had to have followed.
    addresses_in_time => "I2: addresses that had to follow a change by then",
    /// I2: looks at hosts whose daemon does not run and that a peer has replaced.
    fenced => "I2: looks at replaced hosts",
    /// I2: looks at hosts whose daemon does not run, when the peer that had replaced them has left again.
    reopened => "I2: looks at hosts that have to answer again",
    /// Times that a fence has closed.
    closings => "I2: closings of a fence",
    /// I3: stamps of no genuine advert that were all that a Backup had, and put a takeover off.
    forged_stamps => "I3: stamps of no genuine advert that were heeded",
    /// I3: forgeries that the guard admitted and the daemon refused.
    refused_by_daemon => "I3: forgeries refused by the daemon",
    /// Forgeries that were refused, by kind.
    stranger => "I3: refused: from a stranger",
    /// Forgeries that were refused, by kind.
    strangers_copy => "I3: refused: a copy from a stranger",
    /// Forgeries that were refused, by kind.
    own_address => "I3: refused: from the receiver's address",
    /// Forgeries that were refused, by kind.
    other_version => "I3: refused: of the other version",
    /// Forgeries that were refused, by kind.
    forwarded => "I3: refused: TTL 254",
    /// Forgeries that were refused, by kind.
    other_mac => "I3: refused: another MAC address",
    /// Forgeries that were refused, by kind.
    other_vrid => "I3: refused: another VRID",
    /// Forgeries that were refused, by kind.
    no_address => "I3: refused: no address",
    /// Forgeries that were refused, by kind.
    no_interval => "I3: refused: interval 0",
    /// Forgeries that were refused, by kind.
    no_link_local => "I3: refused: no link-local address first",
    /// Forgeries that were refused, by kind.
    wrong_length => "I3: refused: of a wrong length",
    /// Forgeries that were refused, by kind.
    wrong_password => "I3: refused: a wrong password",
    /// Forgeries that were refused, by kind.
    unsigned => "I3: refused: not signed",
    /// Forgeries that were refused, by kind.
    tampered => "I3: refused: signed, then changed",
    /// Forgeries that were refused, by kind.
    replayed => "I3: refused: signed, and seen before",
    /// Forgeries that were refused, by kind.
    damaged => "I3: refused: damaged",
    /// I2: rivals that gave way, and who won announced the address.
    announced => "I2: announcements after a contest",
    /// I4: routers that said a last word to a better one.
    last_words => "I4: last words to a better router",
    /// I4: goodbyes after the shortest interval.
    hastened => "I4: goodbyes after the shortest interval",
    /// I4: Active Routers of a lower priority than before, that have said the shortest interval first.
    fell_back => "I4: lower priorities after the shortest interval",
    /// I4: Backups that heard both, and whose wait was judged.
    turns => "I4: waits of those who heard both",
    /// I4: spans between two adverts of an Active Router that were judged.
    spans => "I4: spans between adverts",
    /// I4: adverts out of turn.
    answers => "I4: answers out of turn",
    /// I4: adverts sent while somebody made an Active Router answer all the time.
    assailed => "I4: adverts under a stream of adverts to answer",
}

impl Summary {
    pub(crate) const fn count(&mut self, reason: &Reason) {
        let count = match reason {
            Reason::BetterRouter { .. } => &mut self.yields,
            Reason::WasSilent { .. } => &mut self.were_silent,
            Reason::Slept => &mut self.have_slept,
            Reason::Relieved => &mut self.were_relieved,
            Reason::NotTaken => &mut self.not_taken,
            Reason::Startup
            | Reason::Shutdown
            | Reason::AddressOwner
            | Reason::ActiveSilent
            | Reason::ActiveLeft
            | Reason::Follows
            | Reason::HandedOver
            | Reason::Fault(_)
            | Reason::Recovered(_) => return,
        };
        *count += 1;
    }

    pub(crate) const fn refuse(&mut self, forgery: Forgery) {
        let count = match forgery {
            Forgery::Stranger => &mut self.stranger,
            Forgery::StrangersCopy => &mut self.strangers_copy,
            Forgery::OwnAddress => &mut self.own_address,
            Forgery::OtherVersion => &mut self.other_version,
            Forgery::Forwarded => &mut self.forwarded,
            Forgery::OtherMac => &mut self.other_mac,
            Forgery::OtherVrid => &mut self.other_vrid,
            Forgery::NoAddress => &mut self.no_address,
            Forgery::NoInterval => &mut self.no_interval,
            Forgery::NoLinkLocal => &mut self.no_link_local,
            Forgery::WrongLength => &mut self.wrong_length,
            Forgery::WrongPassword => &mut self.wrong_password,
            Forgery::Unsigned => &mut self.unsigned,
            Forgery::Tampered => &mut self.tampered,
            Forgery::Replayed => &mut self.replayed,
            Forgery::Damaged => &mut self.damaged,
        };
        *count += 1;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().try_for_each(|(what, count)| writeln!(f, "{count:>14}  {what}"))
    }
}
