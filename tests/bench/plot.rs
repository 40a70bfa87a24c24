//! Drawings of a run, as SVG.

use std::{error::Error, ops::Range, path::Path};

use anyhow::{Result, anyhow};
use plotters::{
    coord::ranged1d::{AsRangedCoord, ValueFormatter},
    prelude::*,
};

use crate::result::{Results, Row, scenarios};

const SIZE: (u32, u32) = (900, 420);
/// How much wider than the figures a drawing is, for its legend.
const LEGEND: f64 = 1.18;
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
        let texts = [&*format!("Outages with an advert every {interval_ms} ms"), "ms without an answer"];
        let values = (0.1..most(&rows) * 2.0).log_scale();
        drawings.extend(dots(&rows, texts, values, &format!("bench-outage-{interval_ms}.svg"), folder)?);
    }
    for (cores, are_two) in [("one core", false), ("two cores", true)] {
        let is_meant = |row: &&Row| row.scenario.starts_with("flood") && row.scenario.ends_with(", 2 cores") == are_two;
        let floods = |measure: &str| -> Vec<&Row> {
            results.rows.iter().filter(is_meant).filter(|row| row.measure == measure).collect()
        };
        let (rates, loads) = (floods("frames per second"), floods("CPU, Active"));
        let file = |what: &str| format!("bench-flood-{what}-{}.svg", cores.replace(' ', "-"));
        let texts = [&*format!("Frames that {cores} can send"), "thousands in a second"];
        drawings.extend(dots(&rates, texts, 0.0..most(&rates) * 1.1, &file("rate"), folder)?);
        let texts = [&*format!("CPU of the Active in a flood from {cores}"), "% of a CPU"];
        drawings.extend(dots(&loads, texts, 0.0..most(&loads) * 1.1, &file("cpu"), folder)?);
    }
    for (measure, title, file) in [
        ("CPU, Active", "CPU of the Active at rest, by adverts in a second", "bench-scale-active.svg"),
        ("CPU, Backup", "CPU of the Backup at rest, by adverts in a second", "bench-scale-backup.svg"),
    ] {
        drawings.extend(scale(results, measure, title, file, folder)?);
    }
    Ok(drawings)
}

fn is_fault(row: &Row) -> bool {
    !row.scenario.starts_with("flood") && !row.scenario.starts_with("priority")
}

/// Title and file of a drawing, if there was anything to draw.
type Drawing = Option<(String, String)>;

fn most(rows: &[&Row]) -> f64 {
    rows.iter().flat_map(|row| &row.values).copied().fold(1.0, f64::max)
}

/// Every figure as a dot, by scenario, beneath a title and beside what it is.
fn dots<Y>(rows: &[&Row], [title, axis]: [&str; 2], values: Y, file: &str, folder: &Path) -> Result<Drawing>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let scenarios = scenarios(rows.iter().copied());
    let place = |name: &str| scenarios.iter().zip(0_u32..).find(|(known, _)| **known == name).map_or(0, |(_, at)| at);
    let series = SUBJECTS.map(|(subject, colour, beside)| {
        let points = rows.iter().filter(|row| row.subject == subject).flat_map(|row| {
            let at = f64::from(place(&row.scenario)) + beside;
            row.values.iter().map(move |value| (at, value.max(0.1)))
        });
        (subject, colour, points.collect())
    });
    let width = u32::try_from(scenarios.len()).map_or(1.0, f64::from);
    let sheet = Sheet { title, axes: ["", axis], names: &scenarios, is_line: false, series: &series };
    sheet.draw(-0.5..width * LEGEND - 0.5, values, file, folder)
}

/// Medians, by adverts in a second.
fn scale(results: &Results, measure: &str, title: &str, file: &str, folder: &Path) -> Result<Drawing> {
    let point = |row: &Row| {
        let routers: u32 = row.scenario.strip_suffix(" virtual routers")?.parse().ok()?;
        let interval = f64::from(u32::try_from(row.interval_ms).ok()?) / 1_000.0;
        Some((f64::from(routers) / interval, row.spread()?.median))
    };
    let series = SUBJECTS.map(|(subject, colour, _)| {
        let rows = results.rows.iter().filter(|row| row.measure == measure && row.subject == subject);
        let mut points: Vec<_> = rows.filter_map(point).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        (subject, colour, points)
    });
    let all = || series.iter().flat_map(|(_, _, points)| points);
    let (widest, highest) = (all().map(|it| it.0).fold(1.0, f64::max), all().map(|it| it.1).fold(0.1, f64::max));
    let axes = ["adverts in a second", "% of a CPU"];
    let sheet = Sheet { title, axes, names: &[], is_line: true, series: &series };
    sheet.draw(0.0..widest * LEGEND, 0.0..highest * 1.1, file, folder)
}

/// Whose, in which colour, and the points.
type Series = (&'static str, RGBColor, Vec<(f64, f64)>);

/// What is drawn, and how.
struct Sheet<'a> {
    title: &'a str,
    axes: [&'a str; 2],
    /// What stands at 0, 1 and so on; none where these are numbers.
    names: &'a [&'a str],
    is_line: bool,
    series: &'a [Series],
}

impl Sheet<'_> {
    fn draw<Y>(&self, x: Range<f64>, y: Y, file: &str, folder: &Path) -> Result<Drawing>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        if self.series.iter().all(|(_, _, points)| points.is_empty()) {
            return Ok(None);
        }
        let path = folder.join(file);
        self.paint(x, y, &path).map_err(|error| anyhow!("failed to draw `{}`: {error}", path.display()))?;
        Ok(Some((self.title.to_owned(), file.to_owned())))
    }

    fn paint<Y>(&self, x: Range<f64>, y: Y, path: &Path) -> Result<(), Box<dyn Error>>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(text)?;
        let mut chart = ChartBuilder::on(&area);
        chart.caption(self.title, ("sans-serif", 20)).margin(10).x_label_area_size(40).y_label_area_size(70);
        let mut chart = chart.build_cartesian_2d(x, y).map_err(text)?;
        let name = |at: &f64| {
            let name = self.names.iter().zip(0_u32..).find(|&(_, number)| (f64::from(number) - at).abs() < 0.01);
            name.map_or_else(String::new, |(name, _)| (*name).to_owned())
        };
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(self.axes[0]).y_desc(self.axes[1]);
        if !self.names.is_empty() {
            mesh.disable_x_mesh().x_labels(self.names.len() * 2 + 1).x_label_formatter(&name);
        }
        mesh.draw().map_err(text)?;
        for (subject, colour, points) in self.series.iter().filter(|(_, _, points)| !points.is_empty()) {
            let (colour, points) = (*colour, points.iter().copied());
            if self.is_line {
                let line = LineSeries::new(points, colour.stroke_width(2)).point_size(3);
                chart.draw_series(line)
            } else {
                chart.draw_series(points.map(|point| Circle::new(point, 3, colour.mix(0.5).filled())))
            }
            .map_err(text)?
            .label(*subject)
            .legend(move |(x, y)| Circle::new((x + 10, y), 4, colour.filled()));
        }
        chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw().map_err(text)?;
        area.present().map_err(text)?;
        Ok(())
    }
}

/// Errors of the backend are not those of other threads.
fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
