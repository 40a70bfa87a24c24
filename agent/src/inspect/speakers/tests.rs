use vrrp_wire::abi::VipKey;

use super::{super::tests::VIEW, *};

const fn ipv4([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// VRID 51 of 10.0.0.1 on eth2, by VRRPv3 over IPv4.
const KEY: SourceKey = SourceKey {
    ifindex: 2,
    vlan: 0,
    family: 4,
    vrid: 51,
    source: ipv4([10, 0, 0, 1]),
    mac: [2, 0, 0, 0, 0, 1],
    version: 3,
    padding: 0,
};

/// Ten good adverts, the first 80 s and the last 250 ms ago.
const SOURCE: Source = Source {
    first_ns: 10_000_000_000,
    last_ns: 89_750_000_000,
    frames: 10,
    address: ipv4([10, 0, 0, 101]),
    verdict: 0,
    interval_cs: 100,
    priority: 200,
    addresses: 1,
};

/// 10.0.0.101 is said to be at 02:00:00:00:00:66.
const CLAIM_KEY: ClaimKey = ClaimKey {
    vip: VipKey { ifindex: 2, vlan: 4000, family: 4, padding: 0, address: ipv4([10, 0, 0, 101]) },
    mac: [2, 0, 0, 0, 0, 0x66],
    padding: [0; 2],
};
const CLAIM: Claim = Claim { first_ns: 30_000_000_000, last_ns: 60_000_000_000, frames: 3 };

#[test]
fn a_row_says_who_speaks_and_what() {
    let row = SpeakerRow::new(&KEY, &SOURCE, &VIEW);
    let expected = SpeakerRow {
        interface: "eth2".to_owned(),
        vlan: None,
        protocol: "VRRPv3".to_owned(),
        vrid: 51,
        source: [10, 0, 0, 1].into(),
        mac: "02:00:00:00:00:01".to_owned(),
        priority: 200,
        interval_ms: 1_000,
        address: Some([10, 0, 0, 101].into()),
        addresses: 1,
        frames: 10,
        first_seen: "2023-11-14T22:13:30.000000Z".to_owned(),
        last_seen: "2023-11-14T22:14:49.750000Z".to_owned(),
        verdict: "admitted".to_owned(),
        first_ago: "80.0 s".to_owned(),
        last_ago: "250 ms".to_owned(),
    };
    assert_eq!(row, expected);
}

#[test]
fn protocols_have_names() {
    // (version in the key, verdict on the last frame: 0 admitted, 1 not configured, 9 version, 18 CARP)
    let cases =
        [(3, 0, "VRRPv3"), (2, 9, "VRRPv2"), (2, 1, "VRRPv2"), (0, 18, "CARP"), (0, 1, "VRRPv0"), (15, 9, "VRRPv15")];
    for (version, verdict, name) in cases {
        let row = SpeakerRow::new(&SourceKey { version, ..KEY }, &Source { verdict, ..SOURCE }, &VIEW);
        assert_eq!(row.protocol, name, "version {version}, verdict {verdict}");
    }
}

#[test]
fn what_is_not_said_is_missing() {
    let cases = [
        ("none is counted", Source { addresses: 0, ..SOURCE }),
        ("the message is cut short", Source { address: [0; 16], ..SOURCE }),
    ];
    for (case, source) in cases {
        assert_eq!(SpeakerRow::new(&KEY, &source, &VIEW).address, None, "{case}");
    }
}

#[test]
fn speakers_are_in_order() {
    let of = |ifindex, vlan, vrid, last: u8| SourceKey { ifindex, vlan, vrid, source: ipv4([10, 0, 0, last]), ..KEY };
    let mac = SourceKey { mac: [2, 0, 0, 0, 0, 2], ..of(2, 0, 52, 10) };
    let keys = [of(2, 7, 1, 1), mac, of(2, 0, 52, 10), of(2, 0, 52, 9), of(2, 0, 51, 11), of(1, 9, 99, 99)];
    let speakers = Speakers::new(keys.iter().map(|key| (key, &SOURCE)), [], &VIEW).speakers;
    let order: Vec<_> = speakers
        .iter()
        .map(|row| format!("{} {} {} {} {}", row.interface, cell(row.vlan), row.vrid, row.source, &row.mac[15..]))
        .collect();
    let expected = [
        "eth1 9 99 10.0.0.99 01",
        "eth2 - 51 10.0.0.11 01",
        "eth2 - 52 10.0.0.9 01",
        "eth2 - 52 10.0.0.10 01",
        "eth2 - 52 10.0.0.10 02",
        "eth2 7 1 10.0.0.1 01",
    ];
    assert_eq!(order, expected);
}

#[test]
fn the_tables_have_a_line_for_each_speaker_and_claim() {
    let carp = SourceKey { vrid: 7, version: 0, source: ipv4([10, 0, 0, 250]), ..KEY };
    let said = Source { address: [0; 16], verdict: 18, priority: 100, addresses: 0, ..SOURCE };
    let three = Source { addresses: 3, interval_cs: 5, ..SOURCE };
    let speakers = Speakers::new([(&KEY, &three), (&carp, &said)], [(&CLAIM_KEY, &CLAIM)], &VIEW);
    let expected = "\
INTERFACE  VLAN  PROTOCOL  VRID  SOURCE      MAC                PRIORITY  INTERVAL  ADDRESSES       FRAMES  FIRST   LAST    VERDICT
eth2       -     CARP      7     10.0.0.250  02:00:00:00:00:01  100       1.00 s    -               10      80.0 s  250 ms  carp
eth2       -     VRRPv3    51    10.0.0.1    02:00:00:00:00:01  200       0.05 s    10.0.0.101 + 2  10      80.0 s  250 ms  admitted

CLAIMED ADDRESS  MAC                INTERFACE  VLAN  FRAMES  FIRST   LAST
10.0.0.101       02:00:00:00:00:66  eth2       4000  3       60.0 s  30.0 s
";
    assert_eq!(speakers.to_string(), expected);
}

#[test]
fn without_claims_there_is_no_second_table() {
    assert_eq!(Speakers::new([], [], &VIEW).to_string(), "nobody has spoken VRRP or CARP so far\n");
}

#[test]
fn json_has_times_and_no_spans() {
    let json = serde_json::to_value(Speakers::new([(&KEY, &SOURCE)], [(&CLAIM_KEY, &CLAIM)], &VIEW)).unwrap();
    let claim = serde_json::json!({
        "address": "10.0.0.101",
        "mac": "02:00:00:00:00:66",
        "interface": "eth2",
        "vlan": 4000,
        "frames": 3,
        "first_seen": "2023-11-14T22:13:50.000000Z",
        "last_seen": "2023-11-14T22:14:20.000000Z",
    });
    assert_eq!(json["claims"], serde_json::json!([claim]));
    assert_eq!(json["speakers"][0]["interval_ms"], 1_000);
    assert_eq!(json["speakers"][0]["last_ago"], serde_json::Value::Null);
}
