//! What is wrong with the configuration, and who else can read or change it.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use vrrp::message::version_2::Authentication;

use super::{kind::Kind, report::Report};
use crate::config::{Config, ConfigError, Diagnostic, Identity, Severity};

/// Reads the configuration, notes what is wrong, and returns what is known of it all the same: where only the files that it
/// names are at fault, it says what to look for.
pub(super) fn look(report: &mut Report, path: &Path, identity: &Identity) -> Option<Config> {
    let mut area = report.area("configuration");
    let file = path.display();
    let config = match Config::read(path, identity) {
        Ok(config) => Ok(config),
        Err(ConfigError::Unreadable { source, .. }) => {
            let remedy =
                format!("write it (`deploy/examples/vipd.toml` explains every key), or name it by --config: {file}");
            area.find(Kind::ConfigurationError, format!("`{file}` cannot be read: {source}"), remedy);
            return None;
        }
        Err(ConfigError::Invalid(diagnostics)) => Err(diagnostics),
    };
    let diagnostics = match &config {
        Ok(config) => &config.warnings,
        Err(diagnostics) => diagnostics,
    };
    for diagnostic in diagnostics {
        let kind = match diagnostic.severity {
            Severity::Error => Kind::ConfigurationError,
            Severity::Warning => Kind::ConfigurationWarning,
        };
        area.find(kind, place_and_fault(diagnostic), &diagnostic.remedy);
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    let config = config.or_else(|_| Config::parse(&text, path, identity)).ok();
    if let Ok(metadata) = fs::metadata(path) {
        let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
        if mode & 0o022 != 0 || owner != 0 {
            let what = format!("`{file}` belongs to user {owner} and has mode {mode:04o}");
            area.find(Kind::ConfigurationWritable, what, format!("chown root {file}; chmod go-w {file}"));
        }
        if mode & 0o004 != 0 && config.as_ref().is_some_and(has_password) {
            area.find(Kind::PasswordReadable, format!("`{file}` has mode {mode:04o}"), format!("chmod 600 {file}"));
        }
    }
    if let Some(config) = &config {
        let (node, count) = (&config.node, config.virtual_routers.len());
        area.conclude(format!("`{file}` is correct; node `{node}` takes part in {count} virtual routers"));
    }
    config
}

fn place_and_fault(Diagnostic { file, line, key, what, .. }: &Diagnostic) -> String {
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    let separator = if key.is_empty() { "" } else { ": " };
    format!("{}{line}: {key}{separator}{what}", file.display())
}

fn has_password(config: &Config) -> bool {
    config.virtual_routers.iter().any(|router| router.authentication != Authentication::None)
}
