//! The key files of `[auth]`: each holds the secret of one key, and must be nobody else's to read or change.
//!
//! A file holds `hex:` and 64 to 128 hexadecimal digits, or a text of 32 to 64 printable ASCII characters that is the
//! secret itself, and a line end or none: what keepalived takes as a key, too. Messages name files, never what they hold.

use std::{
    fmt,
    fs::{File, Metadata, OpenOptions},
    io::{self, Read},
    ops::RangeInclusive,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::{libc, unistd::Uid};
use vrrp::auth::{Key, KeyId};
use zeroize::Zeroizing;

use crate::config::{Auth, KeyFile};

#[cfg(test)]
mod tests;

/// Length of a secret in bytes.
const SECRET_LEN: RangeInclusive<usize> = Key::LEN_MIN..=Key::LEN_MAX;
/// Length of the longest file that is looked into, in bytes.
const FILE_LEN_MAX: usize = 1024;
/// What stands before hexadecimal digits.
const HEX: &[u8] = b"hex:";

/// Where systemd has the credentials of services while they run.
const CREDENTIALS: &str = "/run/credentials";

type Secret = Zeroizing<Vec<u8>>;

/// Something about a key file. Prints as what follows the file's name.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// It is a directory, a device, a pipe.
    #[error("is not a regular file")]
    NotRegular,
    /// It belongs to neither root nor the agent's user, but to the user of this number.
    #[error("belongs to user {0}, who can change it")]
    Owner(u32),
    /// Others than its owner can write it; its mode.
    #[error("can be written by others than its owner (mode {0:04o})")]
    Writable(u32),
    /// Everybody can read it; its mode.
    #[error("can be read by everybody (mode {0:04o})")]
    Readable(u32),
    /// Its group can read it; its mode. Not serious: a Kubernetes Secret with an `fsGroup` is like that.
    #[error("can be read by its group (mode {0:04o})")]
    GroupReadable(u32),
    /// It is longer than what is looked for in it, so many bytes at most.
    #[error("is larger than {0} bytes")]
    TooLarge(usize),
    /// What follows `hex:` is not only hexadecimal digits.
    #[error("holds other characters than hexadecimal digits after `hex:`")]
    NotHex,
    /// The number of hexadecimal digits is odd, or that of no key.
    #[error("holds {0} hexadecimal digits, and a key has an even number from 64 to 128")]
    HexLength(usize),
    /// It holds more than one line, or something else than printable ASCII.
    #[error("holds something else than one line of printable ASCII")]
    NotText,
    /// A space that nobody sees would be part of the key.
    #[error("holds a text that begins or ends with a space")]
    Space,
    /// The text has the length of no key, in bytes.
    #[error("holds a text of {0} bytes, and a key has 32 to 64")]
    Length(usize),
}

impl Problem {
    /// Whether the key must not be used.
    #[must_use]
    pub const fn is_serious(&self) -> bool {
        !matches!(self, Self::GroupReadable(_))
    }

    /// Whether the file is a credential of a service that does not run now: outside of it nothing can be said.
    #[must_use]
    pub fn waits_for_service(&self, file: &Path) -> bool {
        let is_missing = matches!(self, Self::Unreadable(error) if error.kind() == io::ErrorKind::NotFound);
        is_missing && file.starts_with(CREDENTIALS) && std::env::var_os("CREDENTIALS_DIRECTORY").is_none()
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self, path: &Path) -> String {
        let file = path.display();
        match self {
            Self::Unreadable(_) if self.waits_for_service(path) => {
                "systemd puts it there when it starts the service: `LoadCredential=` of its unit says from where"
                    .to_owned()
            }
            Self::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {
                format!("make it with `vipd keygen --output {file}` on one node, and copy it to the others")
            }
            Self::Unreadable(_) => "let the agent's user read it".to_owned(),
            Self::NotRegular => "name the file that holds the key".to_owned(),
            Self::Owner(_) => format!("chown root {file}"),
            Self::Writable(_) | Self::Readable(_) => format!("chmod 600 {file}"),
            Self::GroupReadable(_) => format!("chmod 600 {file}, unless its group is the agent's alone"),
            Self::TooLarge(_) | Self::NotHex | Self::HexLength(_) | Self::NotText | Self::Space | Self::Length(_) => {
                "let it hold one line as `vipd keygen` prints it".to_owned()
            }
        }
    }
}

/// A key that cannot be used, and why not.
#[derive(Debug, thiserror::Error)]
#[error("key {id}: `{}` {problem}; {}", file.display(), problem.remedy(file))]
pub struct KeyFileError {
    /// The id of the key.
    pub id: KeyId,
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// Every reason why the keys cannot be used, a line each.
#[derive(Debug)]
pub struct KeyFileErrors(pub Vec<KeyFileError>);

impl fmt::Display for KeyFileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for KeyFileErrors {}

/// Reads the keys of `auth`, in its order; all of them or none.
pub fn load(auth: &Auth) -> Result<Vec<Key>, KeyFileErrors> {
    let (mut keys, mut errors) = (Vec::new(), Vec::new());
    for KeyFile { id, file } in &auth.keys {
        let (secret, mut problems) = read(file);
        if let Some(secret) = secret {
            match Key::new(*id, &secret) {
                Ok(key) => keys.push(key),
                Err(_) => problems.push(Problem::Length(secret.len())),
            }
        }
        let serious = problems.into_iter().filter(Problem::is_serious);
        errors.extend(serious.map(|problem| KeyFileError { id: *id, file: file.clone(), problem }));
    }
    if errors.is_empty() { Ok(keys) } else { Err(KeyFileErrors(errors)) }
}

/// Everything that is wrong with the key file `file`, and what may be.
#[must_use]
pub fn examine(file: &Path) -> Vec<Problem> {
    read(file).1
}

/// The secret in `file`, where there is one, and everything that is wrong with the file.
fn read(file: &Path) -> (Option<Secret>, Vec<Problem>) {
    match open(file) {
        Ok((mut opened, metadata)) => {
            let mut problems = access(metadata.uid(), metadata.mode(), Uid::effective().as_raw());
            let secret = contents(&mut opened, FILE_LEN_MAX).and_then(|contents| secret(&contents));
            (secret.map_err(|problem| problems.push(problem)).ok(), problems)
        }
        Err(problem) => (None, vec![problem]),
    }
}

/// All that `file` holds, `len_max` bytes at most, and who else can touch it.
pub(crate) fn read_guarded(file: &Path, len_max: usize) -> Result<(Secret, Vec<Problem>), Problem> {
    let (mut opened, metadata) = open(file)?;
    let problems = access(metadata.uid(), metadata.mode(), Uid::effective().as_raw());
    Ok((contents(&mut opened, len_max)?, problems))
}

/// Opens a regular file. A symbolic link is followed, as a Kubernetes Secret is one; what counts is where it leads.
fn open(file: &Path) -> Result<(File, Metadata), Problem> {
    // A pipe that nobody writes to must not stop the agent.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(file);
    let opened = opened.map_err(Problem::Unreadable)?;
    let metadata = opened.metadata().map_err(Problem::Unreadable)?;
    if metadata.is_file() { Ok((opened, metadata)) } else { Err(Problem::NotRegular) }
}

/// Who else may read or change a file of this owner and mode, seen by the user `agent`.
fn access(owner: u32, mode: u32, agent: u32) -> Vec<Problem> {
    let mode = mode & 0o7777;
    let mut problems = Vec::new();
    if owner != 0 && owner != agent {
        problems.push(Problem::Owner(owner));
    }
    if mode & 0o022 != 0 {
        problems.push(Problem::Writable(mode));
    }
    if mode & 0o004 != 0 {
        problems.push(Problem::Readable(mode));
    }
    if problems.is_empty() && mode & 0o040 != 0 {
        problems.push(Problem::GroupReadable(mode));
    }
    problems
}

/// All that `file` holds, in a buffer that is never moved and so leaves no copy behind.
fn contents(file: &mut File, len_max: usize) -> Result<Secret, Problem> {
    let mut contents = Zeroizing::new(Vec::with_capacity(len_max + 1));
    let mut buffer = Zeroizing::new(vec![0; len_max + 1]);
    while contents.len() <= len_max {
        let rest = len_max + 1 - contents.len();
        match file.read(&mut buffer[..rest]) {
            Ok(0) => return Ok(contents),
            Ok(count) => contents.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Problem::Unreadable(error)),
        }
    }
    Err(Problem::TooLarge(len_max))
}

/// The secret that a file with these `contents` holds.
fn secret(contents: &[u8]) -> Result<Secret, Problem> {
    let line = contents.strip_suffix(b"\n").unwrap_or(contents);
    if let Some(digits) = line.strip_prefix(HEX) {
        return from_hex(digits);
    }
    if !line.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        Err(Problem::NotText)
    } else if line.starts_with(b" ") || line.ends_with(b" ") {
        Err(Problem::Space)
    } else if !SECRET_LEN.contains(&line.len()) {
        Err(Problem::Length(line.len()))
    } else {
        Ok(Zeroizing::new(line.to_vec()))
    }
}

fn from_hex(digits: &[u8]) -> Result<Secret, Problem> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Problem::NotHex);
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() || !SECRET_LEN.contains(&pairs.len()) {
        return Err(Problem::HexLength(digits.len()));
    }
    let mut secret = Zeroizing::new(Vec::with_capacity(pairs.len()));
    secret.extend(pairs.iter().map(|[high, low]| nibble(*high) << 4 | nibble(*low)));
    Ok(secret)
}

/// The value of a hexadecimal digit.
const fn nibble(digit: u8) -> u8 {
    if digit.is_ascii_digit() { digit - b'0' } else { digit.to_ascii_lowercase() - b'a' + 10 }
}
