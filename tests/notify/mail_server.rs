//! Exim on a host of the lab: it takes mail over STARTTLS from who logs in, and puts it into one file.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use harness::{Certificate, GENEROUS, Host, Lab, Process};
use nix::unistd::{User, chown};

/// Whom Exim makes itself.
const USER: &str = "Debian-exim";
const DIRECTORY: &str = "/run/lab/exim";

/// A mail server that runs.
pub(crate) struct MailServer {
    _process: Process,
    inbox: PathBuf,
}

impl MailServer {
    /// Listens on `host` at `address`, port 587, for the user `vipd` with the password `s3cret`.
    pub(crate) fn start(lab: &Lab, host: &Host, address: &str, certificate: &Certificate) -> Result<Self> {
        let user =
            User::from_name(USER)?.with_context(|| format!("no user `{USER}`: is exim4-daemon-light installed?"))?;
        fs::create_dir(DIRECTORY)?;
        let key = lab.secret("exim-key.pem", &certificate.key_pem)?;
        let pem = lab.write("exim-cert.pem", &certificate.pem)?;
        for path in [Path::new(DIRECTORY), &key] {
            chown(path, Some(user.uid), Some(user.gid))?;
        }
        let config = lab.write("exim.conf", &configuration(address, &pem, &key))?;
        fs::set_permissions(&config, fs::Permissions::from_mode(0o644))?;
        let mut command = host.namespace().command("exim4");
        command.arg("-C").arg(&config).args(["-bdf", "-d-all"]);
        let process = Process::spawn("exim", command)?;
        harness::until("Exim to listen", GENEROUS, || {
            let log = fs::read_to_string(format!("{DIRECTORY}/mainlog")).unwrap_or_default();
            Ok(log.contains("listening for SMTP").then_some(()))
        })?;
        Ok(Self { _process: process, inbox: Path::new(DIRECTORY).join("inbox") })
    }

    /// What has been delivered: all mails, one after the other, lines unfolded.
    pub(crate) fn inbox(&self) -> String {
        let text = fs::read_to_string(&self.inbox).unwrap_or_default();
        text.replace("=\n", "")
    }

    /// How many mails those are.
    pub(crate) fn mails(&self) -> usize {
        self.inbox().lines().filter(|line| line.starts_with("Subject: ")).count()
    }

    /// The numbers of all events, in the order in which they came.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let inbox = self.inbox();
        let events = inbox.lines().filter(|line| line.contains("Z #"));
        events.filter_map(|line| line.split('#').nth(1)?.split(' ').next()?.parse().ok()).collect()
    }
}

fn configuration(address: &str, certificate: &Path, key: &Path) -> String {
    let (certificate, key) = (certificate.display(), key.display());
    format!(
        "primary_hostname = mail.test
spool_directory = {DIRECTORY}
log_file_path = {DIRECTORY}/%slog
keep_environment =
daemon_smtp_ports = 587
local_interfaces = {address}
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
auth_advertise_hosts = ${{if def:tls_in_cipher {{*}}}}
acl_smtp_rcpt = rcpt
host_lookup =
rfc1413_hosts =
deliver_drop_privilege = true
begin acl
rcpt:
  accept authenticated = *
  deny message = log in first
begin routers
all:
  driver = accept
  transport = inbox
begin transports
inbox:
  driver = appendfile
  file = {DIRECTORY}/inbox
  user = {USER}
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if and {{{{eq{{$auth2}}{{vipd}}}}{{eq{{$auth3}}{{s3cret}}}}}}}}
  server_set_id = $auth2
"
    )
}
