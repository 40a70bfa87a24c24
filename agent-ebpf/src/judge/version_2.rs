//! The rest of an advert of version 2: RFC 3768 §5.3, §7.1, with the simple password of RFC 2338 §5.3.6.

use super::{AUTH_DATA_LEN, HEADER_LEN, is_equal};
use crate::{
    abi::{Router, Verdict},
    frame::Frame,
    parse::Facts,
};

/// Judges what follows the address count. Another interval than ours is bad: version 2 learns none.
#[inline(always)]
pub(super) fn judge<F: Frame + ?Sized>(
    frame: &F,
    facts: &Facts,
    router: &Router,
    count: u8,
    [auth_type, interval_s]: [u8; 2],
) -> Verdict {
    let data_offset = HEADER_LEN + usize::from(count) * facts.family.address_len();
    if facts.message_len != data_offset + AUTH_DATA_LEN {
        return Verdict::Length;
    }
    if auth_type != router.auth_type {
        return Verdict::AuthType;
    }
    if interval_s != router.interval_s {
        return Verdict::Interval;
    }
    let Some(data) = frame.bytes::<AUTH_DATA_LEN>(facts.message_offset + data_offset) else {
        return Verdict::Truncated;
    };
    let number = |data| u128::from(u64::from_ne_bytes(data));
    if auth_type == Router::PASSWORD && !is_equal(number(*data), number(router.password)) {
        return Verdict::Password;
    }
    Verdict::Admitted
}
