//! What the supervisor watches: a small file in the run directory with the heartbeat of the election thread, the last
//! sequence that was signed, and for each virtual router whether it is Active.
//!
//! The election thread writes it by `pwrite` into memory that is there already: the run directory is a tmpfs, and the file is
//! filled when it is made. It is a file with a name, so that `vipd release` reads it when both processes were killed.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant as SystemInstant},
};

use vrrp::{Instant, auth::Sequence};

/// Where the moment of the last heartbeat is, in nanoseconds of CLOCK_MONOTONIC; 0 before the first.
const BEAT_AT: u64 = 0;
/// Where the last sequence is, 0 where nothing was signed.
const SEQUENCE_AT: u64 = 8;
/// Where the process id is of a run that asks to go on after this one; 0 for none.
const ASKED_AT: u64 = 16;
/// Where the process id is of the run that may.
const GRANTED_AT: u64 = 24;
/// Where the roles begin, a byte for each slot: 1 for Active.
const ROLES_AT: u64 = 64;
/// How often it is looked whether the supervisor of an earlier run has ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The file, opened.
#[derive(Debug)]
pub struct Vitals {
    file: File,
}

impl Vitals {
    /// Makes the file of a new run, in which none of `slots` virtual routers is Active. It replaces that of an earlier run,
    /// whose supervisor may still have it open.
    pub fn create(path: &Path, slots: usize) -> io::Result<Self> {
        let new = new_path(path);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        let roles_at = usize::try_from(ROLES_AT).unwrap_or(usize::MAX);
        file.write_all_at(&vec![0; roles_at + slots], 0)?;
        std::fs::rename(new, path)?;
        Ok(Self { file })
    }

    /// Opens the file of the present run, or of one that was killed.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().read(true).write(true).open(path)? })
    }

    /// Keeps [`wait_for_supervisor`] waiting for as long as this value lives.
    pub fn hold(&self) -> io::Result<()> {
        self.file.lock_shared()
    }

    /// Notes that the election thread lives, and which sequence it has signed with last.
    pub fn beat(&self, now: Instant, sequence: Option<Sequence>) -> io::Result<()> {
        let [beat, sequence] = [now.as_nanos(), sequence.map_or(0, Sequence::get)].map(u64::to_ne_bytes);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&beat);
        bytes[8..].copy_from_slice(&sequence);
        self.file.write_all_at(&bytes, BEAT_AT)
    }

    /// When the election thread last said that it lives; the beginning of the clock before it first did.
    #[must_use]
    pub fn last_beat(&self) -> Instant {
        Instant::from_nanos(self.number_at(BEAT_AT))
    }

    /// The last sequence that was signed with, as of the last heartbeat.
    #[must_use]
    pub fn sequence(&self) -> Option<Sequence> {
        Some(self.number_at(SEQUENCE_AT)).filter(|&bits| bits != 0).map(Sequence::new)
    }

    /// Asks, for the run with this process id, to go on after the one that has ended.
    pub fn ask(&self, pid: u32) -> io::Result<()> {
        self.file.write_all_at(&u64::from(pid).to_ne_bytes(), ASKED_AT)
    }

    /// The process id of a run that asks.
    #[must_use]
    pub fn asked_by(&self) -> Option<u32> {
        u32::try_from(self.number_at(ASKED_AT)).ok().filter(|&pid| pid != 0)
    }

    /// Lets that run go on, with this file. To be called by the supervisor alone.
    pub fn grant(&self, pid: u32) -> io::Result<()> {
        self.file.write_all_at(&u64::from(pid).to_ne_bytes(), GRANTED_AT)
    }

    /// Whether the run with this process id may go on.
    #[must_use]
    pub fn is_granted(&self, pid: u32) -> bool {
        self.number_at(GRANTED_AT) == u64::from(pid)
    }

    /// Notes whether the virtual router of `slot` is Active.
    pub fn set_active(&self, slot: u32, active: bool) -> io::Result<()> {
        self.file.write_all_at(&[u8::from(active)], ROLES_AT + u64::from(slot))
    }

    /// Whether the virtual router of `slot` is Active.
    #[must_use]
    pub fn is_active(&self, slot: u32) -> bool {
        let mut role = [0];
        self.file.read_exact_at(&mut role, ROLES_AT + u64::from(slot)).is_ok() && role == [1]
    }

    fn number_at(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        // A file that is too short is of no run: nothing is known of it.
        if self.file.read_exact_at(&mut bytes, offset).is_err() {
            return 0;
        }
        u64::from_ne_bytes(bytes)
    }
}

/// Waits until no supervisor of an earlier run holds the file at `path`, `patience` at most; says whether none does.
///
/// One that has just lost its agent hands over within milliseconds, and must not take addresses from the next run.
pub fn wait_for_supervisor(path: &Path, patience: Duration) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    let started = SystemInstant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if started.elapsed() < patience => thread::sleep(LOOK_EVERY),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Where a file is made before it gets its name.
pub(super) fn new_path(path: &Path) -> PathBuf {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    new.into()
}

/// Where one virtual router notes whether it is Active.
#[derive(Clone, Debug)]
pub struct Standing {
    vitals: Arc<Vitals>,
    slot: u32,
}

impl Standing {
    /// The note in `slot`, which no other virtual router of the run has.
    #[must_use]
    pub const fn new(vitals: Arc<Vitals>, slot: u32) -> Self {
        Self { vitals, slot }
    }

    /// The slot.
    #[must_use]
    pub const fn slot(&self) -> u32 {
        self.slot
    }

    /// Notes whether it is Active.
    pub fn set_active(&self, active: bool) -> io::Result<()> {
        self.vitals.set_active(self.slot, active)
    }

    /// Whether it is, as far as the election has said so and the supervisor has not handed over since.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.vitals.is_active(self.slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_process_notes_the_other_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vitals");
        let written = Vitals::create(&path, 3).unwrap();
        let read = Vitals::open(&path).unwrap();
        assert_eq!((read.last_beat(), read.sequence()), (Instant::from_nanos(0), None));
        assert!(!(0..4).any(|slot| read.is_active(slot)));

        written.beat(Instant::from_nanos(5), Some(Sequence::new(7))).unwrap();
        written.set_active(2, true).unwrap();
        assert_eq!((read.last_beat(), read.sequence()), (Instant::from_nanos(5), Some(Sequence::new(7))));
        assert_eq!([0, 1, 2, 3].map(|slot| read.is_active(slot)), [false, false, true, false]);
        read.set_active(2, false).unwrap();
        assert!(!written.is_active(2));

        assert_eq!((read.asked_by(), written.is_granted(9)), (None, false));
        written.ask(9).unwrap();
        assert_eq!((read.asked_by(), written.is_granted(9)), (Some(9), false));
        read.grant(9).unwrap();
        assert!(written.is_granted(9) && !written.is_granted(8));
    }

    #[test]
    fn a_new_run_has_a_file_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vitals");
        let old = Vitals::create(&path, 1).unwrap();
        old.set_active(0, true).unwrap();
        let new = Vitals::create(&path, 1).unwrap();
        assert!(old.is_active(0) && !new.is_active(0));
        assert!(!Vitals::open(&path).unwrap().is_active(0));
    }

    #[test]
    fn a_new_run_waits_for_the_supervisor_of_the_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vitals");
        let wait = || wait_for_supervisor(&path, Duration::from_millis(5)).unwrap();
        assert!(wait(), "there was none");
        let _of_the_agent = Vitals::create(&path, 1).unwrap();
        assert!(wait(), "nobody holds it");
        let supervisor = Vitals::open(&path).unwrap();
        supervisor.hold().unwrap();
        assert!(!wait());
        drop(supervisor);
        assert!(wait());
    }
}
