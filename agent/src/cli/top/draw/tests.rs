use std::time::Duration;

use anyhow::anyhow;
use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::{
    cli::top::state::Wish,
    observe::{
        Alarm, AlarmKind,
        event::{Condition, tests::event},
        testing::{router, snapshot},
    },
};

/// What `state` looks like on a terminal of that size, without the spaces at the ends of lines.
fn screen(state: &mut State, columns: u16, lines: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    terminal.draw(|frame| draw(frame, state, "01:02:03 UTC")).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..columns).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..lines).map(|y| line(y).trim_end().to_owned()).collect()
}

/// Two looks, a second apart, in which the first virtual router sent ten adverts and refused four.
fn looked() -> State {
    let mut state = State::default();
    let mut known = snapshot();
    state.look(Ok(known.clone()), Duration::ZERO, Duration::from_secs(1));
    known.virtual_routers[0].tally.adverts_sent = 10;
    known.virtual_routers[0].counters = [("ttl".to_owned(), 4)].into();
    state.look(Ok(known), Duration::ZERO, Duration::from_secs(2));
    state
}

#[test]
fn the_virtual_routers_are_shown_first() {
    let mut state = looked();
    state.happened(event(7, "web-a", Condition::Backup, Condition::Active));
    let expected = [
        "n2 of cluster ingress, vipd 0.1.0   1 Active   1 Backup   01:02:03 UTC",
        "adverts 10.0/s out, 0.0/s in; refused 4.0/s; sent late by 1289 µs (half), 8207 µs (99%), 8300 µs (al",
        "nothing is wrong",
        " 1 routers  2 peers  3 checks  4 rejects  5 events    order: file",
        "VIRTUAL ROUTER  VRID  FAMILY  STATE       PRIORITY    SINCE     OUT/S   IN/S    WHY",
        "web-a           51    IPv4    Active      200         60 min    10.0    0.0     no advert from an Ac",
        "web-a           51    IPv6    Backup      200         60 min    0.0     0.0     no advert from an Ac",
        "",
        "",
        "",
        "",
        "",
        "",
        "LAST EVENTS",
        "00:00:07 UTC web-a/IPv4 Backup -> Active: no advert from an Active Router",
        "",
        "",
        "",
        "",
        " q quit  Tab 1-5 table  ↑↓ PgUp PgDn Home End rows  s order  r reverse",
    ];
    assert_eq!(screen(&mut state, 100, 20), expected);
}

#[test]
fn each_table_has_its_columns() {
    let mut state = looked();
    state.happened(event(7, "web-a", Condition::Backup, Condition::Active));
    for (view, expected) in [
        (
            View::Peers,
            [
                "VIRTUAL ROUTER  NODE      LAST HEARD    PRIORITY  CONFIGURED  ADVERTS     REFUSED FOR",
                "web-a/IPv4      n1        270 ms ago    150       150         12",
                "web-a/IPv6      n1        270 ms ago    150       150         12",
            ],
        ),
        (
            View::Checks,
            [
                "CHECK           STATE       SINCE     LAST LOOK     TOOK        FAILED    WHAT IT SAW",
                "ingress         passing     3.2 s     40 ms ago     412 µs      0         http://127.0.0.1:80/: stat",
                "",
            ],
        ),
        (View::Rejects, ["REASON          PER SECOND    SINCE THE START", "ttl             4.0           4", ""]),
        (
            View::Events,
            [
                "TIME            EVENT   WHO             FROM        TO          WHY",
                "00:00:07 UTC    7       web-a/IPv4      Backup      Active      no advert from an Active Router",
                "",
            ],
        ),
    ] {
        state.fulfil(Wish::Show(view));
        assert_eq!(screen(&mut state, 100, 12)[4..7], expected, "{}", view.name());
    }
}

#[test]
fn what_is_wrong_is_said_until_there_is_no_room() {
    let mut state = State::default();
    let mut known = snapshot();
    let alarm = |number| Alarm { kind: AlarmKind::ClockSkew, router: None, peer: None, what: format!("n{number}") };
    known.alarms = (0..5).map(alarm).collect();
    state.look(Ok(known.clone()), Duration::ZERO, Duration::ZERO);
    assert_eq!(screen(&mut state, 80, 24)[6], "ALARM clock_skew: n4");
    known.alarms.push(alarm(5));
    state.look(Ok(known), Duration::ZERO, Duration::ZERO);
    let said = screen(&mut state, 80, 24);
    assert_eq!(said[5..7], ["ALARM clock_skew: n3", "and 2 more, which `vipd status` shows"]);
    assert!(said[7].starts_with(" 1 routers"), "{said:?}");
}

#[test]
fn an_agent_that_is_away_is_shown_as_it_was() {
    let mut state = State::default();
    assert_eq!(screen(&mut state, 80, 10)[..2], ["vipd top   01:02:03 UTC", "the agent is asked"]);
    state.look(Err(anyhow!("no socket")), Duration::from_secs(60), Duration::ZERO);
    let away = "AWAY the agent has not answered since 00:01:00 UTC: no socket";
    assert_eq!(screen(&mut state, 80, 10)[..2], ["vipd top   01:02:03 UTC", away]);
    state.look(Ok(snapshot()), Duration::from_secs(61), Duration::ZERO);
    state.look(Err(anyhow!("no socket")), Duration::from_secs(60), Duration::ZERO);
    let said = screen(&mut state, 80, 10);
    assert_eq!(said[2], away);
    assert!(said[5].starts_with("web-a ") && said[5].contains(" Active "), "{said:?}");
}

#[test]
fn rows_are_scrolled_to_the_last_and_no_further() {
    let mut known = snapshot();
    known.virtual_routers = (0..100).map(|number| router(&format!("vr{number}"), "IPv4", "Backup")).collect();
    let mut state = State::default();
    state.look(Ok(known), Duration::ZERO, Duration::ZERO);
    state.fulfil(Wish::Last);
    let said = screen(&mut state, 80, 12);
    assert!(said[5].starts_with("vr94 ") && said[10].starts_with("vr99 "), "{said:?}");
    state.fulfil(Wish::Scroll(-1));
    let said = screen(&mut state, 80, 12);
    assert!(said[5].starts_with("vr93 ") && said[10].starts_with("vr98 "), "{said:?}");
    state.fulfil(Wish::Scroll(-10_000));
    assert!(screen(&mut state, 80, 12)[5].starts_with("vr0 "));
}

#[test]
fn any_size_will_do() {
    for (columns, lines) in [(1, 1), (3, 2), (10, 5), (400, 100)] {
        screen(&mut looked(), columns, lines);
    }
}
