//! What happened, when, and whether it was as claimed.

use std::{
    io::{self, Write},
    time::Instant,
};

use serde_json::{Value, json};

/// One line of the story.
#[derive(Debug)]
struct Entry {
    at_ms: u128,
    scene: &'static str,
    text: String,
    /// `None`: told, not claimed.
    holds: Option<bool>,
}

/// The story so far. Each line is shown as progress when it happens and again at the end.
#[derive(Debug)]
pub(crate) struct Timeline {
    start: Instant,
    scene: &'static str,
    entries: Vec<Entry>,
    figures: serde_json::Map<String, Value>,
    exhibit: Option<String>,
}

impl Timeline {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), scene: "", entries: Vec::new(), figures: serde_json::Map::new(), exhibit: None }
    }

    /// Begins a scene.
    pub(crate) fn scene(&mut self, name: &'static str) {
        self.scene = name;
        let _ = writeln!(io::stderr(), "\n{name}");
    }

    /// Notes something that was done.
    pub(crate) fn tell(&mut self, text: &str) {
        self.add(text, None);
    }

    /// Notes something that must have happened, and whether it did.
    pub(crate) fn claim(&mut self, text: &str, holds: bool) {
        self.add(text, Some(holds));
    }

    /// Notes that the demo could not go on.
    pub(crate) fn failed(&mut self, why: &str) {
        self.add(&format!("could not go on: {why}"), Some(false));
    }

    /// Keeps a measured figure for the JSON form.
    pub(crate) fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    /// Keeps a text that is shown after the timeline.
    pub(crate) fn exhibit(&mut self, text: String) {
        self.exhibit = Some(text);
    }

    /// Whether everything that was claimed happened, and something was.
    pub(crate) fn holds(&self) -> bool {
        let mut claims = self.entries.iter().filter_map(|entry| entry.holds).peekable();
        claims.peek().is_some() && claims.all(|holds| holds)
    }

    fn add(&mut self, text: &str, holds: Option<bool>) {
        let entry = Entry { at_ms: self.start.elapsed().as_millis(), scene: self.scene, text: text.to_owned(), holds };
        let _ = writeln!(io::stderr(), "{}", line(&entry));
        self.entries.push(entry);
    }

    /// Prints the timeline for people.
    pub(crate) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "\n==== timeline ====")?;
        let mut scene = "";
        for entry in &self.entries {
            if entry.scene != scene {
                scene = entry.scene;
                writeln!(out, "{scene}")?;
            }
            writeln!(out, "{}", line(entry))?;
        }
        if let Some(exhibit) = &self.exhibit {
            writeln!(out, "\n{exhibit}")?;
        }
        let (claims, broken) = self.claims();
        match broken {
            0 => writeln!(out, "\nall {claims} claims held"),
            _ => writeln!(out, "\n{broken} of {claims} claims did NOT hold"),
        }
    }

    /// Prints the timeline for programs.
    pub(crate) fn print_json(&self) -> io::Result<()> {
        let entries: Vec<_> = self
            .entries
            .iter()
            .map(|entry| json!({"at_ms": entry.at_ms, "scene": entry.scene, "text": entry.text, "holds": entry.holds}))
            .collect();
        let (claims, broken) = self.claims();
        let value = json!({
            "timeline": entries, "figures": self.figures, "claims": claims, "broken": broken, "passed": self.holds(),
        });
        writeln!(io::stdout(), "{value:#}")
    }

    fn claims(&self) -> (usize, usize) {
        let claims: Vec<_> = self.entries.iter().filter_map(|entry| entry.holds).collect();
        (claims.len(), claims.iter().filter(|holds| !**holds).count())
    }
}

fn line(entry: &Entry) -> String {
    let mark = match entry.holds {
        None => "    ",
        Some(true) => "ok  ",
        Some(false) => "FAIL",
    };
    format!("{:>6}.{:03} s  {mark} {}", entry.at_ms / 1000, entry.at_ms % 1000, entry.text)
}
