//! The last bad frames.

use std::{fmt, net::IpAddr};

use schemars::JsonSchema;
use serde::Serialize;
use vrrp_wire::{
    abi::{REJECT_LEN, Reject, address_from_bytes},
    ethernet::link,
    frame::Frame,
    parse::parse,
};

use super::{
    View,
    table::{self, cell},
    tag, verdict,
};

/// What `vipd rejects` shows.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Rejects {
    /// The frames, the newest last.
    pub rejects: Vec<RejectRow>,
}

/// A bad frame. What cannot be read in its kept beginning is `None`.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct RejectRow {
    /// When it came, by RFC 3339 in UTC, as the wall clock shows at present.
    pub at: String,
    /// Interface that it came to.
    pub interface: String,
    /// Why it is bad.
    pub verdict: String,
    /// Sender of the Ethernet frame.
    pub source_mac: Option<String>,
    /// Source address.
    pub source: Option<IpAddr>,
    /// Destination address.
    pub destination: Option<IpAddr>,
    /// VLAN identifier of a tagged frame.
    pub vlan: Option<u16>,
    /// VRID.
    pub vrid: Option<u8>,
    /// Priority.
    pub priority: Option<u8>,
    /// TTL or Hop Limit.
    pub ttl: Option<u8>,
    /// Bytes of the frame.
    pub frame_len: u32,
    /// Bytes of it that were kept.
    pub captured: usize,
}

impl RejectRow {
    /// Reads what was kept of a bad frame.
    #[must_use]
    pub fn new(reject: &Reject, view: &View) -> Self {
        let frame = kept(reject);
        let link = link(frame);
        let facts = link.as_ref().and_then(|link| parse(frame, link));
        let address = |bytes, family| address_from_bytes(bytes, family);
        Self {
            at: view.utc(reject.at_ns),
            interface: (view.interface)(reject.ifindex),
            verdict: verdict(reject.verdict),
            source_mac: link.map(|link| link.source.to_string()),
            source: facts.map(|facts| address(facts.source, facts.family)),
            destination: facts.map(|facts| address(facts.destination, facts.family)),
            vlan: link.and_then(|link| tag(link.vlan)).or_else(|| tag(reject.stripped_tag & 0x0fff)),
            vrid: facts.map(|facts| facts.vrid),
            priority: facts.and_then(|facts| frame.bytes(facts.message_offset + 2)).map(|&[priority]| priority),
            ttl: facts.map(|facts| facts.ttl),
            frame_len: reject.frame_len,
            captured: frame.len(),
        }
    }

    fn cells(&self) -> [String; 11] {
        [
            self.at.clone(),
            self.interface.clone(),
            self.verdict.clone(),
            cell(self.source_mac.as_ref()),
            cell(self.source),
            cell(self.destination),
            cell(self.vlan),
            cell(self.vrid),
            cell(self.priority),
            cell(self.ttl),
            self.frame_len.to_string(),
        ]
    }
}

impl fmt::Display for Rejects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rejects.is_empty() {
            return writeln!(f, "no bad frame has come so far");
        }
        let head = [
            "TIME (UTC)",
            "INTERFACE",
            "VERDICT",
            "MAC",
            "SOURCE",
            "DESTINATION",
            "VLAN",
            "VRID",
            "PRIORITY",
            "TTL",
            "BYTES",
        ];
        table::write(f, head, self.rejects.iter().map(RejectRow::cells))
    }
}

/// The beginning of the frame. A frame that is being overwritten may state any length.
pub(super) fn kept(reject: &Reject) -> &[u8] {
    let len = usize::from(reject.captured).min(REJECT_LEN);
    &reject.frame[..len]
}

#[cfg(test)]
pub(super) mod tests {
    use super::{super::tests::VIEW, *};

    /// VRID 55 of keepalived 2.4.3, on VLAN 4000.
    const TAGGED_IPV4: [u8; 50] = [
        0x01, 0x00, 0x5e, 0x00, 0x00, 0x12, 0x02, 0x77, 0x00, 0x00, 0x01, 0x01, 0x81, 0x00, 0x0f, 0xa0, 0x08,
        0x00, //
        0x45, 0xc0, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0xff, 0x70, 0xb0, 0x5d, //
        0xc6, 0x33, 0x64, 0x0a, 0xe0, 0x00, 0x00, 0x12, //
        0x31, 0x37, 0xc8, 0x01, 0x00, 0x64, 0x39, 0x13, 0xc0, 0x00, 0x02, 0x82,
    ];

    /// VRID 57 of keepalived 2.4.3, with a Hop Limit of 254.
    const IPV6: [u8; 78] = [
        0x33, 0x33, 0x00, 0x00, 0x00, 0x12, 0x02, 0x77, 0x00, 0x00, 0x01, 0x01, 0x86, 0xdd, //
        0x6c, 0x00, 0x00, 0x00, 0x00, 0x18, 0x70, 0xfe, //
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x00, 0x77, 0x00, 0xff, 0xfe, 0x00, 0x01, 0x01, //
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x12, //
        0x31, 0x39, 0xc8, 0x01, 0x00, 0x64, 0xd7, 0x7f, //
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x00,
    ];

    /// A frame of which the first bytes were kept.
    pub(in super::super) fn reject(at_ns: u64, verdict: u32, frame: &[u8]) -> Reject {
        let mut kept = [0; REJECT_LEN];
        kept[..frame.len()].copy_from_slice(frame);
        Reject {
            at_ns,
            ifindex: 7,
            verdict,
            frame_len: 60,
            captured: u16::try_from(frame.len()).unwrap(),
            stripped_tag: 0,
            frame: kept,
        }
    }

    #[test]
    fn a_row_says_what_the_headers_say() {
        let row = RejectRow::new(&reject(1_500_000_000, 12, &TAGGED_IPV4), &VIEW);
        let expected = RejectRow {
            at: "2023-11-14T22:13:21.500000Z".to_owned(),
            interface: "eth7".to_owned(),
            verdict: "unknown_source".to_owned(),
            source_mac: Some("02:77:00:00:01:01".to_owned()),
            source: Some([198, 51, 100, 10].into()),
            destination: Some([224, 0, 0, 18].into()),
            vlan: Some(4000),
            vrid: Some(55),
            priority: Some(200),
            ttl: Some(255),
            frame_len: 60,
            captured: 50,
        };
        assert_eq!(row, expected);
        let row = RejectRow::new(&reject(1, 8, &IPV6), &VIEW);
        assert_eq!(row.source, Some("fe80::77:ff:fe00:101".parse().unwrap()));
        assert_eq!(row.destination, Some("ff02::12".parse().unwrap()));
        assert_eq!((row.vlan, row.vrid, row.priority, row.ttl), (None, Some(57), Some(200), Some(254)));
    }

    /// What a short frame does not say is missing, and nothing else is.
    #[test]
    fn a_row_lacks_only_what_was_not_kept() {
        // (bytes kept; whether the MAC address, the source, the priority can be read)
        let cases = [
            (0, [false, false, false]),
            (17, [false, false, false]),
            (18, [true, false, false]),
            (39, [true, false, false]),
            (40, [true, true, false]),
            (41, [true, true, true]),
        ];
        for (len, expected) in cases {
            let row = RejectRow::new(&reject(1, 3, &TAGGED_IPV4[..len]), &VIEW);
            let found = [row.source_mac.is_some(), row.source.is_some(), row.priority.is_some()];
            assert_eq!(found, expected, "{len} bytes");
            assert_eq!(row.vrid.is_some(), row.source.is_some(), "{len} bytes");
        }
    }

    #[test]
    fn a_length_in_the_middle_of_a_write_does_no_harm() {
        let torn = Reject { captured: u16::MAX, ..reject(1, 3, &[]) };
        assert_eq!(RejectRow::new(&torn, &VIEW).captured, 128);
    }

    #[test]
    fn the_table_has_a_line_for_each_frame() {
        let frames = [reject(0, 12, &TAGGED_IPV4), reject(1_000_000_000, 3, &TAGGED_IPV4[..4])];
        let rejects = Rejects { rejects: frames.iter().map(|frame| RejectRow::new(frame, &VIEW)).collect() };
        let expected = "\
TIME (UTC)                   INTERFACE  VERDICT         MAC                SOURCE         DESTINATION  VLAN  VRID  PRIORITY  TTL  BYTES
2023-11-14T22:13:20.000000Z  eth7       unknown_source  02:77:00:00:01:01  198.51.100.10  224.0.0.18   4000  55    200       255  60
2023-11-14T22:13:21.000000Z  eth7       truncated       -                  -              -            -     -     -         -    60
";
        assert_eq!(rejects.to_string(), expected);
        assert_eq!(Rejects { rejects: Vec::new() }.to_string(), "no bad frame has come so far\n");
    }
}
