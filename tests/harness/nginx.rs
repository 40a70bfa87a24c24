//! A real ingress: nginx on a host.

use std::{
    fmt::Write as _,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};

use crate::{GENEROUS, Host, Process, lab};

/// Where nginx listens, and by which certificate it is known there.
#[derive(Clone, Copy, Debug, Default)]
pub struct NginxOptions<'a> {
    /// Arguments of `listen`, such as `127.0.0.1:8080` or `unix:/run/lab/nginx.sock`.
    pub listen: &'a [&'a str],
    /// Files of the certificate and of its key, for a `listen` with `ssl`.
    pub certificate: Option<(&'a Path, &'a Path)>,
}

/// A running nginx, which answers `/healthz` with status 200 and `ok`, `/broken` with 503, and everything else with 404.
#[derive(Debug)]
pub struct Nginx {
    /// The daemon, to be stopped and killed.
    pub process: Process,
}

impl Host {
    /// Starts nginx and waits until it listens.
    pub fn nginx(&self, options: &NginxOptions<'_>) -> Result<Nginx> {
        static STARTED: AtomicU32 = AtomicU32::new(1);
        let name = format!("nginx-{}-{}", self.name(), STARTED.fetch_add(1, Ordering::Relaxed));
        let directory = lab::directory(&name)?;
        let file = lab::write(&format!("{name}.conf"), &config(&directory, options)?)?;
        let mut command = self.namespace().command("nginx");
        command.arg("-p").arg(&directory).arg("-c").arg(&file);
        let process = Process::spawn(&name, command).context("is nginx installed? `cargo xtask setup` does that")?;
        process.wait_for_output("start worker process", GENEROUS)?;
        Ok(Nginx { process })
    }
}

fn config(directory: &Path, options: &NginxOptions<'_>) -> Result<String> {
    let dir = directory.display();
    let mut text = format!("daemon off; user root; pid {dir}/pid; error_log stderr notice; worker_processes 1;\n");
    writeln!(text, "events {{}}\nhttp {{ access_log off; keepalive_requests 1000000;")?;
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(text, "{kind}_temp_path {dir}/{kind};")?;
    }
    writeln!(text, "server {{")?;
    for listen in options.listen {
        writeln!(text, "listen {listen};")?;
    }
    if let Some((certificate, key)) = options.certificate {
        writeln!(text, "ssl_certificate {}; ssl_certificate_key {};", certificate.display(), key.display())?;
    }
    writeln!(text, "location = /healthz {{ return 200 \"ok\\n\"; }}\nlocation = /broken {{ return 503; }}")?;
    writeln!(text, "location / {{ return 404; }} }} }}")?;
    Ok(text)
}
