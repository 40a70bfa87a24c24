//! A reader of a named pipe.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::Result;

/// Reads a pipe until nobody writes into it any more.
pub(crate) struct Reader(Arc<Mutex<Vec<String>>>);

impl Reader {
    pub(crate) fn start(path: &str) -> Result<Self> {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let (kept, path) = (Arc::clone(&lines), path.to_owned());
        // Whoever opens it for writing wakes this thread; it is left behind where nobody does.
        thread::Builder::new().name("pipe".to_owned()).spawn(move || {
            let Ok(pipe) = File::open(path) else { return };
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        })?;
        Ok(Self(lines))
    }

    /// What was read, line by line.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The numbers of the events.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let events = self.lines().into_iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok());
        events.filter_map(|event| event["sequence"].as_u64()).collect()
    }
}
