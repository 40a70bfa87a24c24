//! The tables of `vipd top`, a row for each thing.

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Rect},
    style::Style,
    widgets::{Cell, Row, Table, Widget},
};

use super::{
    draw::state_style,
    state::{State, View},
};
use crate::observe::{CheckStatus, PeerStatus, RouterStatus, event::Event, text::span};

/// Least width of a column of names.
const NAME_MIN: usize = 14;

/// The rows of a table, and how it looks.
pub(super) struct Rows {
    head: &'static [&'static str],
    widths: Vec<Constraint>,
    rows: Vec<Row<'static>>,
    first: usize,
}

impl Rows {
    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.rows.len()
    }

    /// The same table from its row `first` on.
    pub(super) const fn from_row(mut self, first: usize) -> Self {
        self.first = first;
        self
    }
}

impl Widget for Rows {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let rows = self.rows.into_iter().skip(self.first);
        let head = Row::new(self.head.iter().copied()).style(Style::new().bold());
        Table::new(rows, self.widths).header(head).column_spacing(2).render(area, buffer);
    }
}

/// The table that is chosen.
pub(super) fn table(state: &State) -> Rows {
    match state.view {
        View::Routers => routers(state),
        View::Peers => peers(state),
        View::Checks => checks(state),
        View::Rejects => rejects(state),
        View::Events => events(state),
    }
}

/// A table whose first column is as wide as its names, and whose others are as wide as given; the last has the rest.
fn rows(head: &'static [&'static str], names: usize, others: &[u16], rows: Vec<Row<'static>>) -> Rows {
    let first = Constraint::Length(u16::try_from(names.max(NAME_MIN)).unwrap_or(u16::MAX));
    let others = others.iter().copied().map(Constraint::Length);
    Rows { head, widths: [first].into_iter().chain(others).chain([Constraint::Fill(1)]).collect(), rows, first: 0 }
}

fn longest<'n>(names: impl IntoIterator<Item = &'n str>) -> usize {
    names.into_iter().map(|name| name.chars().count()).max().unwrap_or(0)
}

fn routers(state: &State) -> Rows {
    let routers = state.routers();
    let row = |router: &&RouterStatus| {
        let adverts = state.rates.of(router);
        let priority = match (router.priority, router.configured_priority) {
            (now, configured) if now == configured => now.to_string(),
            (now, configured) => format!("{now} of {configured}"),
        };
        Row::new([
            Cell::from(router.name.clone()),
            Cell::from(router.vrid.to_string()),
            Cell::from(router.family.clone()),
            Cell::from(router.state.clone()).style(state_style(&router.state)),
            Cell::from(priority),
            Cell::from(span(router.since_ms)),
            Cell::from(format!("{:.1}", adverts.sent)),
            Cell::from(format!("{:.1}", adverts.heard)),
            Cell::from(router.reason.clone().unwrap_or_default()),
        ])
    };
    let head = &["VIRTUAL ROUTER", "VRID", "FAMILY", "STATE", "PRIORITY", "SINCE", "OUT/S", "IN/S", "WHY"];
    let names = longest(routers.iter().map(|router| router.name.as_str()));
    rows(head, names, &[4, 6, 10, 10, 8, 6, 6], routers.iter().map(row).collect())
}

fn peers(state: &State) -> Rows {
    let routers = state.routers();
    let row = |(router, peer): (&RouterStatus, &PeerStatus)| {
        let or_never = |text: Option<String>| text.unwrap_or_else(|| "never".to_owned());
        let is_late = peer.heard_ms.is_none_or(|ms| ms > 3 * router.advertisement_interval_ms);
        // A Backup is silent while another node is Active.
        let is_active = router.last_advert_from.is_some() && !is_late;
        let heard = Cell::from(or_never(peer.heard_ms.map(|ms| format!("{} ago", span(ms)))));
        Row::new([
            Cell::from(router.full_name()),
            Cell::from(peer.node.clone()),
            if is_active { heard.style(Style::new().green()) } else { heard },
            Cell::from(peer.last_priority.map_or_else(|| "-".to_owned(), |priority| priority.to_string())),
            Cell::from(peer.configured_priority.to_string()),
            Cell::from(peer.adverts.to_string()),
            Cell::from(peer.refused_for.clone().unwrap_or_default()).style(Style::new().red()),
        ])
    };
    let head = &["VIRTUAL ROUTER", "NODE", "LAST HEARD", "PRIORITY", "CONFIGURED", "ADVERTS", "REFUSED FOR"];
    let names: Vec<_> = routers.iter().map(|router| router.full_name()).collect();
    let nodes = routers.iter().flat_map(|router| &router.peers).map(|peer| peer.node.as_str());
    let node_width = u16::try_from(longest(nodes).max(8)).unwrap_or(u16::MAX);
    let pairs = routers.iter().flat_map(|router| router.peers.iter().map(|peer| (*router, peer)));
    let width = longest(names.iter().map(String::as_str));
    rows(head, width, &[node_width, 12, 8, 10, 10], pairs.map(row).collect())
}

fn checks(state: &State) -> Rows {
    let checks: Vec<_> = state.contact.snapshot.iter().flat_map(|known| &known.checks).collect();
    let row = |check: &&CheckStatus| {
        let style = match check.state.as_str() {
            "passing" => Style::new().green(),
            "failing" => Style::new().red().bold(),
            _ => Style::new(),
        };
        let value = check.value.map_or_else(|| check.state.clone(), |value| format!("{} {value}", check.state));
        let said = check.blind.as_ref().or(check.detail.as_ref()).cloned().unwrap_or_default();
        Row::new([
            Cell::from(check.name.clone()),
            Cell::from(value).style(style),
            Cell::from(span(check.since_ms)),
            Cell::from(check.looked_ms.map_or_else(|| "never".to_owned(), |ms| format!("{} ago", span(ms)))),
            Cell::from(format!("{} µs", check.latency_us)),
            Cell::from(check.failures.to_string()),
            Cell::from(format!("{}: {said}", check.subject)),
        ])
    };
    let head = &["CHECK", "STATE", "SINCE", "LAST LOOK", "TOOK", "FAILED", "WHAT IT SAW"];
    let names = longest(checks.iter().map(|check| check.name.as_str()));
    rows(head, names, &[10, 8, 12, 10, 8], checks.iter().map(row).collect())
}

fn rejects(state: &State) -> Rows {
    let mut refused: Vec<_> = state.rates.refused.iter().collect();
    refused.sort_by(|(_, one), (_, other)| other.rate.total_cmp(&one.rate).then(other.total.cmp(&one.total)));
    let names = longest(refused.iter().map(|(reason, _)| reason.as_str()));
    let row = |(reason, refused): &(&String, &super::rates::Refused)| {
        let rate = Cell::from(format!("{:.1}", refused.rate));
        let is_now = refused.rate > 0.0;
        Row::new([
            Cell::from((*reason).clone()),
            if is_now { rate.style(Style::new().red().bold()) } else { rate },
            Cell::from(refused.total.to_string()),
        ])
    };
    rows(&["REASON", "PER SECOND", "SINCE THE START"], names, &[12], refused.iter().map(row).collect())
}

fn events(state: &State) -> Rows {
    let row = |event: &Event| {
        Row::new([
            Cell::from(event_time(event)),
            Cell::from(event.sequence.to_string()),
            Cell::from(event.subject.to_string()),
            Cell::from(event.from.to_string()),
            Cell::from(event.to.to_string()).style(state_style(event.to.name())),
            Cell::from(event.reason.clone()),
        ])
    };
    let names: Vec<_> = state.events().map(|event| event.subject.to_string()).collect();
    let width = u16::try_from(longest(names.iter().map(String::as_str)).max(NAME_MIN)).unwrap_or(u16::MAX);
    rows(&["TIME", "EVENT", "WHO", "FROM", "TO", "WHY"], 0, &[6, width, 10, 10], state.events().map(row).collect())
}

/// The time of day of an event, in UTC.
pub(super) fn event_time(event: &Event) -> String {
    let (hours, minutes, seconds) = event.time.to_hms();
    format!("{hours:02}:{minutes:02}:{seconds:02} UTC")
}
