//! The screen of `vipd top`.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize},
    text::{Line, Span, Text},
    widgets::Paragraph,
};

use super::{
    state::{State, View},
    tables::{self, event_time},
};
use crate::observe::{LatenessStatus, Snapshot};

/// Lines of what is wrong.
const TROUBLES_MAX: usize = 5;
/// Lines of events below another table, their heading included.
const EVENTS_HEIGHT: u16 = 6;
/// A terminal of fewer lines has no room for events below another table.
const ROOMY: u16 = 20;

const KEYS: &str = " q quit  Tab 1-5 table  \u{2191}\u{2193} PgUp PgDn Home End rows  s order  r reverse";

/// Draws what is chosen of `state`, and keeps its position within the table. `time` is that of the day.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State, time: &str) {
    let head = head(state, time);
    let head_height = u16::try_from(head.lines.len()).unwrap_or(u16::MAX);
    let has_events = state.view != View::Events && frame.area().height >= ROOMY;
    let [top, tabs, table, events, keys] = Layout::vertical([
        Constraint::Length(head_height),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(if has_events { EVENTS_HEIGHT } else { 0 }),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(head), top);
    frame.render_widget(Paragraph::new(tab_line(state)), tabs);
    draw_table(frame, state, table);
    frame.render_widget(Paragraph::new(last_events(state)), events);
    frame.render_widget(Paragraph::new(KEYS).reversed(), keys);
}

fn draw_table(frame: &mut Frame<'_>, state: &mut State, area: Rect) {
    let table = tables::table(state);
    // The first line is its head.
    let room = usize::from(area.height.saturating_sub(1));
    let position = state.position.min(table.len().saturating_sub(room));
    frame.render_widget(table.from_row(position), area);
    state.position = position;
}

/// Who this is, how it does, and what is wrong.
fn head(state: &State, time: &str) -> Text<'static> {
    let mut lines = Vec::new();
    match &state.contact.snapshot {
        Some(known) => {
            lines.push(title(known, time));
            lines.push(Line::from(pulse(state, known)));
        }
        None => lines.push(Line::from(format!("vipd top   {time}"))),
    }
    if let Some(absence) = &state.contact.absence {
        lines.push(Line::from(absence.to_string()).bold().fg(Color::Red));
        return Text::from(lines);
    }
    let troubles = state.contact.snapshot.as_ref().map(Snapshot::troubles);
    match troubles {
        None => lines.push(Line::from("the agent is asked")),
        Some(troubles) if troubles.is_empty() => lines.push(Line::from("nothing is wrong").fg(Color::Green)),
        Some(troubles) => {
            let shown = if troubles.len() > TROUBLES_MAX { TROUBLES_MAX - 1 } else { troubles.len() };
            lines.extend(troubles[..shown].iter().map(|trouble| {
                let word = Span::from(trouble.word).bold().fg(if trouble.is_bad { Color::Red } else { Color::Yellow });
                Line::from(vec![word, Span::from(format!(" {}", trouble.what))])
            }));
            if shown < troubles.len() {
                lines
                    .push(Line::from(format!("and {} more, which `vipd status` shows", troubles.len() - shown)).bold());
            }
        }
    }
    Text::from(lines)
}

fn title(known: &Snapshot, time: &str) -> Line<'static> {
    let mut spans =
        vec![Span::from(format!("{} of cluster {}, vipd {}", known.node, known.cluster, known.version)).bold()];
    for (state, count) in known.states() {
        spans.push(Span::from("   "));
        spans.push(Span::styled(format!("{count} {state}"), state_style(state)));
    }
    spans.push(Span::from(format!("   {time}")));
    Line::from(spans)
}

fn pulse(state: &State, known: &Snapshot) -> String {
    let (adverts, refused) = (state.rates.adverts, state.rates.refusals());
    let LatenessStatus { p50_us, p99_us, max_us, .. } = known.send_lateness;
    format!(
        "adverts {:.1}/s out, {:.1}/s in; refused {refused:.1}/s; sent late by {p50_us} µs (half), {p99_us} µs (99%), {max_us} µs (all)",
        adverts.sent, adverts.heard
    )
}

fn tab_line(state: &State) -> Line<'static> {
    let mut spans = Vec::new();
    for (view, number) in View::ALL.into_iter().zip(1..) {
        let tab = Span::from(format!(" {number} {} ", view.name()));
        spans.push(if view == state.view { tab.reversed() } else { tab });
    }
    if matches!(state.view, View::Routers | View::Peers) {
        let reversed = if state.is_reversed { ", reversed" } else { "" };
        spans.push(Span::from(format!("   order: {}{reversed}", state.order.name())).dim());
    }
    Line::from(spans)
}

fn last_events(state: &State) -> Text<'static> {
    let lines = state.events().take(usize::from(EVENTS_HEIGHT) - 1).map(|event| {
        let change = format!("{} -> {}", event.from, event.to);
        Line::from(format!("{} {} {change}: {}", event_time(event), event.subject, event.reason))
    });
    let head = Line::from("LAST EVENTS").bold();
    Text::from_iter([head].into_iter().chain(lines))
}

/// How a state looks.
pub(super) fn state_style(state: &str) -> Style {
    match state {
        "Active" => Style::new().green().bold(),
        "Fault" => Style::new().red().bold(),
        "Initialize" => Style::new().yellow().bold(),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests;
