//! The number in a file.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::libc;
use vrrp::track::Reading;

use super::{patience::Patience, task::Outcome};

/// Longest file that is a number, in bytes.
const LEN_MAX: u64 = 64;

/// Reads one file.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    patience: Patience<Outcome>,
}

impl Reader {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, patience: Patience::default() }
    }

    pub(super) async fn look(&mut self) -> Outcome {
        let path = self.path.clone();
        self.patience.wait_for(move || look(&path)).await.unwrap_or_else(Outcome::failing)
    }
}

/// Reads the file. One that is not there, or empty, says 0.
fn look(path: &Path) -> Outcome {
    match read(path) {
        Ok(None) => Outcome { reading: Reading::Value(0), detail: "no such file, which is 0".to_owned() },
        Ok(Some(text)) if text.trim().is_empty() => {
            Outcome { reading: Reading::Value(0), detail: "empty, which is 0".to_owned() }
        }
        Ok(Some(text)) => match text.trim().parse() {
            Ok(value) => Outcome { reading: Reading::Value(value), detail: format!("holds {value}") },
            Err(_) => Outcome::failing(format!("holds {:?}, which is no whole number", text.trim())),
        },
        Err(error) => Outcome::failing(format!("cannot be read: {error}")),
    }
}

fn read(path: &Path) -> std::io::Result<Option<String>> {
    // A pipe that nobody writes to must not stop anything.
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(LEN_MAX).read_to_end(&mut text)?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_holds_a_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("value");
        assert_eq!(look(&path).reading, Reading::Value(0), "no file");
        let cases = [
            ("", Reading::Value(0)),
            ("\n", Reading::Value(0)),
            ("0\n", Reading::Value(0)),
            (" 12 \n", Reading::Value(12)),
            ("-3", Reading::Value(-3)),
            ("2147483648", Reading::Failing),
            ("1 2", Reading::Failing),
            ("yes", Reading::Failing),
        ];
        for (text, reading) in cases {
            fs::write(&path, text).unwrap();
            assert_eq!(look(&path).reading, reading, "{text:?}");
        }
        assert_eq!(look(dir.path()).reading, Reading::Failing, "a directory");
    }
}
