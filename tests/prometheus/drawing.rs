//! Draws what some panels of the dashboard show, as SVG.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use harness::Prometheus;
use serde_json::Value;

/// Width of a panel, and of its plot between the labels.
const WIDTH: f64 = 900.0;
const LEFT: f64 = 190.0;
const PLOT: f64 = WIDTH - LEFT - 20.0;
/// Height of a line of a timeline, and of a plot.
const LINE: f64 = 16.0;
const HEIGHT: f64 = 90.0;
const COLOURS: [&str; 6] = ["#2a7ab9", "#d1495b", "#3a8f5c", "#8a5fb0", "#c77d1e", "#4d5a66"];

/// A panel: its title, its query, the labels that name a series, and its unit.
struct Panel {
    title: &'static str,
    query: &'static str,
    names: &'static [&'static str],
    form: Form,
}

enum Form {
    /// A bar wherever the value is 1.
    Timeline,
    /// A line, with this unit.
    Line(&'static str),
}

const PANELS: [Panel; 4] = [
    Panel {
        title: "Who is Active",
        query: "max by (virtual_router, family, node) (vipd_virtual_router_state{state=\"Active\",family=\"IPv4\"} \
                * on (job, instance) group_left (node) vipd_node_info)",
        names: &["virtual_router", "node"],
        form: Form::Timeline,
    },
    Panel {
        title: "Changes of state",
        query: "sum by (node) (clamp_min(vipd_transitions_total - (vipd_transitions_total offset 5s \
                or vipd_transitions_total * 0), 0) * on (job, instance) group_left (node) vipd_node_info)",
        names: &["node"],
        form: Form::Line("in 5 s"),
    },
    Panel {
        title: "Rejected adverts by reason",
        query: "sum by (node, reason) (clamp_min(vipd_adverts_rejected_total - (vipd_adverts_rejected_total offset 5s \
                or vipd_adverts_rejected_total * 0), 0) * on (job, instance) group_left (node) vipd_node_info)",
        names: &["node", "reason"],
        form: Form::Line("in 5 s"),
    },
    Panel {
        title: "How late adverts are sent: 99 of 100",
        query: "histogram_quantile(0.99, sum by (node, le) (rate(vipd_advert_send_lateness_seconds_bucket[20s]) \
                * on (job, instance) group_left (node) vipd_node_info)) * 1000",
        names: &["node"],
        form: Form::Line("ms"),
    },
];

/// Moments and values of a series, and its name.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Draws the time from `start` to `end`, in seconds since 1970, into `file`.
pub(crate) fn draw(prometheus: &Prometheus, start: f64, end: f64, file: &Path) -> Result<()> {
    let (mut body, mut top) = (String::new(), 10.0);
    for panel in &PANELS {
        let series = read(&prometheus.query_range(panel.query, start, end, 1.0)?, panel.names)?;
        let x = |at: f64| LEFT + (at - start) / (end - start) * PLOT;
        writeln!(body, "<text x=\"10\" y=\"{:.0}\" font-weight=\"bold\">{}</text>", top + 14.0, panel.title)?;
        top += 24.0;
        top += match panel.form {
            Form::Timeline => timeline(&mut body, &series, top, x)?,
            Form::Line(unit) => plot(&mut body, &series, unit, top, x)?,
        };
        top += 16.0;
    }
    for tenth in 0..=10 {
        let span = (end - start) * f64::from(tenth) / 10.0;
        let x = LEFT + PLOT * f64::from(tenth) / 10.0;
        writeln!(body, "<text x=\"{x:.0}\" y=\"{top:.0}\" text-anchor=\"middle\" fill=\"#666\">{span:.0} s</text>")?;
    }
    let height = top + 12.0;
    let text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    );
    fs::write(file, text).with_context(|| format!("failed to write `{}`", file.display()))
}

fn read(found: &[Value], names: &[&str]) -> Result<Vec<Series>> {
    let mut all = Vec::new();
    for series in found {
        let name: Vec<_> = names.iter().filter_map(|name| series["metric"][name].as_str()).collect();
        let mut points = Vec::new();
        for pair in series["values"].as_array().context("no values")? {
            let value = pair[1].as_str().and_then(|value| value.parse::<f64>().ok()).filter(|value| value.is_finite());
            points.extend(pair[0].as_f64().zip(value));
        }
        all.push(Series { name: name.join(" "), points });
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

/// A row for each series; returns their height.
fn timeline(body: &mut String, series: &[Series], top: f64, x: impl Fn(f64) -> f64) -> Result<f64> {
    let mut y = top;
    for Series { name, points } in series {
        writeln!(body, "<text x=\"10\" y=\"{:.0}\">{name}</text>", y + 11.0)?;
        writeln!(body, "<rect x=\"{LEFT:.0}\" y=\"{y:.0}\" width=\"{PLOT:.0}\" height=\"12\" fill=\"#f0f0f0\"/>")?;
        // Neighbours that are Active are one bar.
        let active: Vec<_> = points.iter().filter(|&&(_, value)| value > 0.5).map(|&(at, _)| at).collect();
        for bar in active.chunk_by(|one, next| next - one < 1.5) {
            let (Some(first), Some(last)) = (bar.first(), bar.last()) else { continue };
            let (from, to) = (x(*first), x(last + 1.0).min(LEFT + PLOT));
            writeln!(
                body,
                "<rect x=\"{from:.1}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"12\" fill=\"{}\"/>",
                to - from,
                COLOURS[2]
            )?;
        }
        y += LINE;
    }
    Ok(y - top)
}

/// All series in one plot; returns its height.
fn plot(body: &mut String, series: &[Series], unit: &str, top: f64, x: impl Fn(f64) -> f64) -> Result<f64> {
    let most = series.iter().flat_map(|series| &series.points).map(|&(_, value)| value).fold(0.0, f64::max);
    let most = if most > 0.0 { most } else { 1.0 };
    let bottom = top + HEIGHT;
    writeln!(
        body,
        "<rect x=\"{LEFT:.0}\" y=\"{top:.0}\" width=\"{PLOT:.0}\" height=\"{HEIGHT:.0}\" fill=\"none\" stroke=\"#ccc\"/>"
    )?;
    let at = LEFT - 6.0;
    writeln!(body, "<text x=\"{at:.0}\" y=\"{:.0}\" text-anchor=\"end\">{most:.1} {unit}</text>", top + 10.0)?;
    writeln!(body, "<text x=\"{at:.0}\" y=\"{bottom:.0}\" text-anchor=\"end\">0</text>")?;
    for (number, Series { name, points }) in series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let row = top + 12.0 + 13.0 * f64::from(u32::try_from(number)?);
        writeln!(body, "<text x=\"10\" y=\"{row:.0}\" fill=\"{colour}\">{name}</text>")?;
        let y = |value: f64| bottom - value / most * (HEIGHT - 4.0);
        // Where there is nothing for a while, nothing is drawn.
        for part in points.chunk_by(|(one, _), (next, _)| next - one < 1.5) {
            let part: Vec<_> = part.iter().map(|&(at, value)| format!("{:.1},{:.1}", x(at), y(value))).collect();
            writeln!(body, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>", part.join(" "))?;
        }
    }
    Ok(HEIGHT)
}
