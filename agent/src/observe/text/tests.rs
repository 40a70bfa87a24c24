use super::{
    super::testing::{router, snapshot},
    *,
};

fn text(snapshot: &Snapshot, extent: Extent) -> String {
    snapshot.page(extent).text(Paper::default())
}

#[test]
fn spans_read_well() {
    let cases = [(0, "0 ms"), (999, "999 ms"), (1_999, "1.9 s"), (119_999, "119.9 s"), (120_000, "2 min")];
    for (ms, text) in cases {
        assert_eq!(span(ms), text);
    }
    assert_eq!(span(7_200_000), "2 h");
}

#[test]
fn the_verdict_is_the_first_line() {
    let expected = "\
n2 of cluster ingress: 1 Active, 1 Backup; nothing is wrong

VIRTUAL ROUTER   VRID FAMILY STATE      PRIORITY  SINCE    WHY
web-a              51 IPv4   Active          200  60 min   no advert from an Active Router
    10.77.0.101/24; adverts from 10.77.0.2; last heard 10.77.0.1 (priority 150) 270 ms ago; fence ready
web-a              51 IPv6   Backup          200  60 min   no advert from an Active Router
    10.77.0.101/24; adverts from 10.77.0.2; last heard 10.77.0.1 (priority 150) 270 ms ago; fence ready

vipd 0.1.0 (pid 6559, supervisor 6634), guard enforce
10 adverts sent late by 1289 µs (half of them), 8207 µs (99%), 8300 µs (all)
interface vsw0: up, adverts judged by XDP in the driver
check ingress (http://127.0.0.1:80/): passing for 3.2 s; 40 ms ago in 412 µs: status 200
notify chat by webhook: 3 told, 0 waiting, 0 given up
";
    assert_eq!(text(&snapshot(), Extent::Summary), expected);

    let mut faulty = snapshot();
    faulty.virtual_routers[0] = RouterStatus { reason: Some("no link".to_owned()), ..router("web-a", "IPv4", "Fault") };
    let said = text(&faulty, Extent::Summary);
    assert!(
        said.starts_with("n2 of cluster ingress: 1 Backup, 1 Fault; one thing is wrong\nFAULT web-a/IPv4: no link\n\n"),
        "{said}"
    );
    faulty.interfaces[0].up = false;
    let said = text(&faulty, Extent::Summary);
    assert!(
        said.contains("; 2 things are wrong\nFAULT") && said.contains("\nLINK interface vsw0 is down\n\n"),
        "{said}"
    );
}

#[test]
fn of_many_virtual_routers_those_that_are_odd_are_shown() {
    let mut many = snapshot();
    many.virtual_routers = (0..300).map(|number| router(&format!("vr{number}"), "IPv4", "Backup")).collect();
    many.virtual_routers[7].state = "Fault".to_owned();
    many.virtual_routers[9].since_ms = 1_000;
    let said = text(&many, Extent::Summary);
    assert!(said.starts_with("n2 of cluster ingress: 299 Backup, 1 Fault; one thing is wrong\n"), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("vr")).count(), 2, "{said}");
    assert!(said.contains("\nvr7 ") && said.contains("\nvr9 "), "{said}");
    assert!(
        said.contains("\n298 virtual routers have been as they should for a minute or more; --all shows them\n"),
        "{said}"
    );
    let said = text(&many, Extent::All);
    assert_eq!(said.lines().filter(|line| line.starts_with("vr")).count(), 300, "{said}");
    assert!(!said.contains("--all"), "{said}");

    many.virtual_routers.iter_mut().skip(50).for_each(|router| router.since_ms = 10);
    many.virtual_routers[299].state = "Fault".to_owned();
    let said = text(&many, Extent::Summary);
    let rows: Vec<_> = said.lines().filter(|line| line.starts_with("vr")).collect();
    assert!(rows.len() == 20 && rows[0].starts_with("vr7 ") && rows[1].starts_with("vr299 "), "{said}");
    assert!(rows[2].starts_with("vr9 ") && rows[3].starts_with("vr50 "), "{said}");
    assert!(said.contains("\n232 more virtual routers are odd, or have changed within a minute;"), "{said}");
    assert!(said.contains("\n48 virtual routers have been as they should"), "{said}");
}

#[test]
fn of_many_addresses_the_first_are_shown() {
    let mut many = snapshot();
    many.virtual_routers.truncate(1);
    many.virtual_routers[0].addresses = (0..10).map(|number| format!("10.77.1.{number}/24")).collect();
    let shown = "    10.77.1.0/24, 10.77.1.1/24, 10.77.1.2/24, 10.77.1.3/24 and 6 more; adverts from";
    assert!(text(&many, Extent::Summary).contains(shown));
    assert!(text(&many, Extent::All).contains("10.77.1.8/24, 10.77.1.9/24; adverts from"));
}

#[test]
fn names_make_their_column_as_wide_as_they_are() {
    let mut long = snapshot();
    long.virtual_routers[0].name = "a-name-of-twenty-two-c".to_owned();
    let said = text(&long, Extent::Summary);
    assert!(said.contains("\nVIRTUAL ROUTER         VRID FAMILY"), "{said}");
    assert!(said.contains("\na-name-of-twenty-two-c   51 IPv4"), "{said}");
    assert!(said.contains("\nweb-a                    51 IPv6"), "{said}");
}
