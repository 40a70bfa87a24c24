//! Where secrets are kept that the configuration must not hold, and how they are read: each time that one is needed, so that
//! another one counts at once. Messages name the place, never what is there.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use zeroize::Zeroizing;

use crate::keys::{self, Problem};

/// Where systemd puts the credentials of a service.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// Length of the longest secret that is read, in bytes: a token of Kubernetes has more than a thousand.
const LEN_MAX: usize = 16 * 1024;

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In this file, which nobody else can read or change.
    File(PathBuf),
    /// In the credential of this name that systemd has given the service.
    Credential(String),
    /// In this variable of the environment.
    Environment(String),
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Something about its file.
    #[error("`{}` {problem}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What.
        #[source]
        problem: Problem,
    },
    /// There are no credentials.
    #[error("there is no credential `{0}`: {CREDENTIALS} is not set, so systemd has given the service none")]
    NoCredentials(String),
    /// There is no such variable.
    #[error("the environment has no variable `{0}`, or one that is no text")]
    NoVariable(String),
    /// There is nothing, or more than a line of text.
    #[error("{0} does not hold one line of printable text")]
    NotText(Secret),
}

impl Secret {
    /// The secret: one line of printable text, without its end.
    pub fn read(&self) -> Result<Zeroizing<String>, SecretError> {
        let text = match self {
            Self::Environment(name) => {
                Zeroizing::new(env::var(name).map_err(|_| SecretError::NoVariable(name.clone()))?)
            }
            Self::File(_) | Self::Credential(_) => self.read_file(&self.file()?)?,
        };
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let is_text = !line.is_empty() && line.chars().all(|char| !char.is_control() && char != ' ');
        if is_text { Ok(Zeroizing::new(line.to_owned())) } else { Err(SecretError::NotText(self.clone())) }
    }

    /// What is wrong with it now, and what to do: for who writes the configuration. Of what a service has, nothing is known
    /// outside of it.
    #[must_use]
    pub fn examine(&self) -> Option<(SecretError, String)> {
        let Self::File(file) = self else { return None };
        let error = self.read().err()?;
        let remedy = match &error {
            SecretError::File { problem: Problem::Unreadable(_), .. } => {
                "write the secret into it, mode 0600".to_owned()
            }
            SecretError::File { problem, .. } => problem.remedy(file),
            SecretError::NoCredentials(_) | SecretError::NoVariable(_) | SecretError::NotText(_) => {
                "let it hold the secret and nothing else, without spaces".to_owned()
            }
        };
        Some((error, remedy))
    }

    fn file(&self) -> Result<PathBuf, SecretError> {
        match self {
            Self::File(file) => Ok(file.clone()),
            Self::Credential(name) | Self::Environment(name) => {
                let directory = env::var_os(CREDENTIALS).ok_or_else(|| SecretError::NoCredentials(name.clone()))?;
                Ok(Path::new(&directory).join(name))
            }
        }
    }

    fn read_file(&self, file: &Path) -> Result<Zeroizing<String>, SecretError> {
        let fail = |problem| SecretError::File { file: file.to_owned(), problem };
        let (contents, problems) = keys::read_guarded(file, LEN_MAX).map_err(fail)?;
        if let Some(problem) = problems.into_iter().find(Problem::is_serious) {
            return Err(fail(problem));
        }
        let text = str::from_utf8(&contents).map_err(|_| SecretError::NotText(self.clone()))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "`{}`", file.display()),
            Self::Credential(name) => write!(f, "credential `{name}`"),
            Self::Environment(name) => write!(f, "environment variable `{name}`"),
        }
    }
}

impl FromStr for Secret {
    type Err = ();

    /// The absolute path of a file, `credential:NAME` or `env:NAME`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let is_name = |name: &str| {
            let legal = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.');
            !name.is_empty() && name.chars().all(legal) && !matches!(name, "." | "..")
        };
        if let Some(name) = text.strip_prefix("credential:").filter(|name| is_name(name)) {
            return Ok(Self::Credential(name.to_owned()));
        }
        if let Some(name) = text.strip_prefix("env:").filter(|name| is_name(name)) {
            return Ok(Self::Environment(name.to_owned()));
        }
        if text.starts_with('/') { Ok(Self::File(text.into())) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn a_secret_is_said_to_be_somewhere() {
        for (text, secret) in [
            ("/etc/vipd/token", Ok(Secret::File("/etc/vipd/token".into()))),
            ("credential:slack", Ok(Secret::Credential("slack".to_owned()))),
            ("env:SLACK_URL", Ok(Secret::Environment("SLACK_URL".to_owned()))),
            ("xoxb-0123", Err(())),
            ("credential:../token", Err(())),
            ("credential:..", Err(())),
            ("env:", Err(())),
            ("", Err(())),
        ] {
            assert_eq!(text.parse(), secret, "{text}");
        }
    }

    #[test]
    fn a_file_is_read_when_nobody_else_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let name = file.display();
        let not_text = format!("`{name}` does not hold one line of printable text");
        let readable = format!("`{name}` can be read by everybody (mode 0644)");
        for (text, mode, expected) in [
            ("t0ken\n", 0o600, Ok("t0ken")),
            ("t0ken", 0o400, Ok("t0ken")),
            ("t0ken\n", 0o644, Err(readable.as_str())),
            ("", 0o600, Err(not_text.as_str())),
            ("a\nb\n", 0o600, Err(not_text.as_str())),
            ("a b\n", 0o600, Err(not_text.as_str())),
        ] {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let read = Secret::File(file.clone()).read();
            let read = read.as_ref().map(|secret| secret.as_str()).map_err(ToString::to_string);
            assert_eq!(read, expected.map_err(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn what_a_service_has_not_is_named() {
        let error = Secret::Environment("VIPD_TEST_NO_SUCH".to_owned()).read().unwrap_err();
        assert_eq!(error.to_string(), "the environment has no variable `VIPD_TEST_NO_SUCH`, or one that is no text");
        assert_eq!(Secret::Environment("PATH".to_owned()).read().unwrap().as_str(), env::var("PATH").unwrap());
    }
}
