//! What people see who look into the guard: read from its pinned maps, because the daemon may hang or be dead.
//!
//! Reading changes nothing. Values become rows here, and rows become text, JSON or a capture file.

pub mod capture;
mod maps;
mod rejects;
mod speakers;
mod table;

use std::{num::NonZeroU8, time::Duration};

use time::{
    OffsetDateTime,
    format_description::well_known::{
        Iso8601,
        iso8601::{Config, EncodedConfig, TimePrecision},
    },
};
use vrrp_wire::abi::Verdict;

pub use self::{
    maps::PinnedMaps,
    rejects::{RejectRow, Rejects},
    speakers::{ClaimRow, SpeakerRow, Speakers},
};
use crate::{
    clock,
    datapath::nic::name_of,
    observe::{milliseconds, text::span},
};

/// RFC 3339 with microseconds, so that columns are of one width.
const RFC_3339: EncodedConfig =
    Config::DEFAULT.set_time_precision(TimePrecision::Second { decimal_digits: NonZeroU8::new(6) }).encode();

/// When and where maps are read: what makes times and names of their numbers.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Now, in nanoseconds of CLOCK_MONOTONIC.
    pub now_ns: u64,
    /// What makes wall-clock time of CLOCK_MONOTONIC, in nanoseconds.
    pub wall_offset_ns: u64,
    /// The name of the interface of a number.
    pub interface: fn(u32) -> String,
}

impl View {
    /// The view from this network namespace at this moment.
    #[must_use]
    pub fn present() -> Self {
        Self { now_ns: clock::now().as_nanos(), wall_offset_ns: clock::wall_offset_ns(), interface }
    }

    /// Nanoseconds since 1970, by what the wall clock shows at present.
    const fn wall_ns(&self, at_ns: u64) -> u64 {
        at_ns.saturating_add(self.wall_offset_ns)
    }

    /// The time in UTC, by RFC 3339.
    fn utc(&self, at_ns: u64) -> String {
        // 64 bits of nanoseconds end in the year 2554, which has a form.
        let moment = OffsetDateTime::from_unix_timestamp_nanos(self.wall_ns(at_ns).into());
        moment.ok().and_then(|moment| moment.format(&Iso8601::<RFC_3339>).ok()).unwrap_or_default()
    }

    /// How long ago it was, in the unit that reads best.
    fn ago(&self, at_ns: u64) -> String {
        span(milliseconds(Duration::from_nanos(self.now_ns.saturating_sub(at_ns))))
    }
}

/// Its name, or its number where it is gone.
fn interface(ifindex: u32) -> String {
    name_of(ifindex).unwrap_or_else(|| ifindex.to_string())
}

/// The name of the verdict of this number, which is none in the middle of a write only.
fn verdict(number: u32) -> String {
    let known = usize::try_from(number).ok().and_then(|place| Verdict::ALL.get(place));
    known.map_or_else(|| number.to_string(), |verdict| verdict.name().to_owned())
}

/// The VLAN identifier of a tagged frame.
const fn tag(vlan: u16) -> Option<u16> {
    if vlan == 0 { None } else { Some(vlan) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14 22:13:20 UTC is 1,700,000,000 s after 1970 began.
    pub(super) const VIEW: View = View {
        now_ns: 90_000_000_000,
        wall_offset_ns: 1_700_000_000_000_000_000,
        interface: |number| format!("eth{number}"),
    };

    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(VIEW.utc(0), "2023-11-14T22:13:20.000000Z");
        assert_eq!(VIEW.utc(86_400_000_001_999), "2023-11-15T22:13:20.000001Z");
        assert_eq!(VIEW.utc(u64::MAX), "2554-07-21T23:34:33.709551Z");
    }

    #[test]
    fn spans_end_now() {
        assert_eq!(VIEW.ago(88_500_000_000), "1.5 s");
        assert_eq!(VIEW.ago(95_000_000_000), "0 ms");
    }

    #[test]
    fn an_interface_that_is_gone_has_its_number() {
        assert_eq!(interface(u32::MAX), "4294967295");
    }

    #[test]
    fn a_number_without_a_verdict_is_shown() {
        assert_eq!(verdict(0), "admitted");
        assert_eq!(verdict(8), "ttl");
        assert_eq!(verdict(1_000), "1000");
    }
}
