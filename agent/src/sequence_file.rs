//! Keeps the sequence of signed adverts over a restart, so that a clock that was put back a little in between does not
//! make peers refuse what comes after.
//!
//! The file need not survive a power loss: by the time a machine is up again its clock is past what it has signed, or
//! so wrong that the sequence would be refused in any case.

use std::{fs, io, path::Path, time::Duration};

use tokio::{sync::watch, time::sleep};
use tracing::warn;
use vrrp::auth::Sequence;

/// How often it is written at most; what an agent sends within this span it may not have kept.
const EVERY: Duration = Duration::from_secs(1);

/// The sequence in the file; `None` where there is none that can be read.
#[must_use]
pub fn read(path: &Path) -> Option<Sequence> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let sequence = u64::from_str_radix(text.trim_end(), 16).ok().map(Sequence::new);
            if sequence.is_none() {
                warn!("`{}` holds no sequence of signed adverts; going by the clock alone", path.display());
            }
            sequence
        }
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                warn!(%error, "failed to read `{}`; going by the clock alone", path.display());
            }
            None
        }
    }
}

/// Writes what is `sent` into the file, until its sender is gone.
pub async fn keep(path: impl AsRef<Path>, mut sent: watch::Receiver<Option<Sequence>>) {
    let path = path.as_ref();
    let mut has_failed = false;
    loop {
        let is_over = sent.changed().await.is_err();
        let sequence = *sent.borrow_and_update();
        if let Some(sequence) = sequence {
            match write(path, sequence) {
                Ok(()) => has_failed = false,
                Err(error) if !has_failed => {
                    warn!(%error, "failed to write `{}`; a clock that is put back may lock this node out", path.display());
                    has_failed = true;
                }
                Err(_) => {}
            }
        }
        if is_over {
            return;
        }
        sleep(EVERY).await;
    }
}

/// Writes the whole file or none of it.
pub fn write(path: &Path, sequence: Sequence) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, format!("{:016x}\n", sequence.get()))?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> std::path::PathBuf {
        let directory = std::env::temp_dir().join(format!("vipd-sequence-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[tokio::test]
    async fn what_was_sent_last_is_read_again() {
        let directory = directory("kept");
        let path = directory.join("sequence");
        let (sender, sent) = watch::channel(None);
        sender.send_replace(Some(Sequence::new(0x6b02_98d7_8000_0001)));
        drop(sender);
        keep(&path, sent).await;
        assert_eq!(fs::read_to_string(&path).unwrap(), "6b0298d780000001\n");
        assert_eq!(read(&path), Some(Sequence::new(0x6b02_98d7_8000_0001)));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_that_is_not_there_or_wrong_is_no_sequence() {
        let directory = directory("wrong");
        let path = directory.join("sequence");
        assert_eq!(read(&path), None);
        for wrong in ["", "x", "12345678901234567", "-1"] {
            fs::write(&path, wrong).unwrap();
            assert_eq!(read(&path), None, "{wrong:?}");
        }
        fs::remove_dir_all(directory).unwrap();
    }
}
