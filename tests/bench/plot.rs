//! Drawings of a run, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::result::{Results, Row};

const SIZE: (u32, u32) = (900, 420);
/// Who is drawn, in which colour, and how far beside the middle.
const SUBJECTS: [(&str, RGBColor, f64); 3] = [
    ("vipd", RGBColor(0, 98, 155), -0.2),
    ("keepalived", RGBColor(214, 96, 0), 0.0),
    ("FRR", RGBColor(110, 110, 110), 0.2),
];

/// Draws what there are figures for into `folder`; answers title and file of each drawing.
pub(crate) fn draw(results: &Results, folder: &Path) -> Result<Vec<(String, String)>> {
    let mut drawings = Vec::new();
    for interval_ms in [1_000, 100, 10] {
        let is_meant = |row: &&Row| row.measure == "outage" && row.interval_ms == interval_ms && is_fault(row);
        let rows: Vec<_> = results.rows.iter().filter(is_meant).collect();
        let title = format!("Outages with an advert every {interval_ms} ms");
        dots(&rows, &title, "ms without an answer", &format!("bench-outage-{interval_ms}.svg"), folder, &mut drawings)?;
    }
    let floods: Vec<_> = results.rows.iter().filter(|row| row.scenario.starts_with("flood")).collect();
    for (measure, title, axis, file) in [
        ("frames per second", "Frames that one core can send", "thousands in a second", "bench-flood-rate.svg"),
        ("CPU, Backup", "CPU of the Backup in a flood", "% of a CPU", "bench-flood-cpu.svg"),
    ] {
        let rows: Vec<_> = floods.iter().copied().filter(|row| row.measure == measure).collect();
        dots(&rows, title, axis, file, folder, &mut drawings)?;
    }
    for (measure, title, file) in [
        ("CPU, Active", "CPU of the Active at rest, by adverts in a second", "bench-scale-active.svg"),
        ("CPU, Backup", "CPU of the Backup at rest, by adverts in a second", "bench-scale-backup.svg"),
    ] {
        scale(results, measure, title, file, folder, &mut drawings)?;
    }
    Ok(drawings)
}

fn is_fault(row: &Row) -> bool {
    !row.scenario.starts_with("flood") && !row.scenario.starts_with("priority")
}

/// Every figure as a dot, by scenario.
fn dots(
    rows: &[&Row],
    title: &str,
    axis: &str,
    file: &str,
    folder: &Path,
    drawings: &mut Vec<(String, String)>,
) -> Result<()> {
    let mut scenarios: Vec<_> = rows.iter().map(|row| row.scenario.as_str()).collect();
    scenarios.dedup();
    let most = rows.iter().flat_map(|row| &row.values).copied().fold(1.0, f64::max);
    if scenarios.is_empty() {
        return Ok(());
    }
    let path = folder.join(file);
    let area = SVGBackend::new(&path, SIZE).into_drawing_area();
    let fail = |error: &dyn std::fmt::Display| anyhow!("failed to draw `{}`: {error}", path.display());
    area.fill(&WHITE).map_err(|error| fail(&error))?;
    let width = u32::try_from(scenarios.len()).map_or(1.0, f64::from);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(-0.5..width - 0.5, (0.1..most * 2.0).log_scale())
        .map_err(|error| fail(&error))?;
    let label = |at: &f64| {
        let name = scenarios.iter().zip(0_u32..).find(|&(_, number)| (f64::from(number) - at).abs() < 0.01);
        name.map_or_else(String::new, |(name, _)| (*name).to_owned())
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(scenarios.len() * 2 + 1)
        .x_label_formatter(&label)
        .y_desc(axis)
        .draw()
        .map_err(|error| fail(&error))?;
    for (subject, colour, beside) in SUBJECTS {
        let mut points = Vec::new();
        for row in rows.iter().filter(|row| row.subject == subject) {
            let at = scenarios.iter().zip(0_u32..).find(|(name, _)| **name == row.scenario).map_or(0, |(_, at)| at);
            points.extend(row.values.iter().map(|value| (f64::from(at) + beside, value.max(0.1))));
        }
        let circles = points.into_iter().map(|point| Circle::new(point, 3, colour.mix(0.5).filled()));
        let series = chart.draw_series(circles).map_err(|error| fail(&error))?;
        series.label(subject).legend(move |(x, y)| Circle::new((x + 10, y), 4, colour.filled()));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw().map_err(|error| fail(&error))?;
    area.present().map_err(|error| fail(&error))?;
    drawings.push((title.to_owned(), file.to_owned()));
    Ok(())
}

/// Medians, by adverts in a second.
fn scale(
    results: &Results,
    measure: &str,
    title: &str,
    file: &str,
    folder: &Path,
    drawings: &mut Vec<(String, String)>,
) -> Result<()> {
    let point = |row: &Row| {
        let routers: u32 = row.scenario.strip_suffix(" virtual routers")?.parse().ok()?;
        let interval = f64::from(u32::try_from(row.interval_ms).ok()?) / 1_000.0;
        Some((f64::from(routers) / interval, row.spread()?.median))
    };
    let lines = SUBJECTS.map(|(subject, colour, _)| {
        let rows = results.rows.iter().filter(|row| row.measure == measure && row.subject == subject);
        let mut points: Vec<_> = rows.filter_map(point).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        (subject, colour, points)
    });
    let all = || lines.iter().flat_map(|(_, _, points)| points);
    if all().next().is_none() {
        return Ok(());
    }
    let path = folder.join(file);
    let area = SVGBackend::new(&path, SIZE).into_drawing_area();
    let fail = |error: &dyn std::fmt::Display| anyhow!("failed to draw `{}`: {error}", path.display());
    area.fill(&WHITE).map_err(|error| fail(&error))?;
    let (widest, highest) = (all().map(|it| it.0).fold(1.0, f64::max), all().map(|it| it.1).fold(0.1, f64::max));
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..widest * 1.05, 0.0..highest * 1.1)
        .map_err(|error| fail(&error))?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("adverts in a second").y_desc("% of a CPU").draw().map_err(|error| fail(&error))?;
    for (subject, colour, points) in lines.iter().filter(|(_, _, points)| !points.is_empty()) {
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3);
        let series = chart.draw_series(line).map_err(|error| fail(&error))?;
        let colour = *colour;
        series.label(*subject).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw().map_err(|error| fail(&error))?;
    area.present().map_err(|error| fail(&error))?;
    drawings.push((title.to_owned(), file.to_owned()));
    Ok(())
}
