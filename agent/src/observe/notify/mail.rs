//! Sends events by e-mail, those that came together in one.

use std::{fs, sync::Arc};

use anyhow::Context;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::header::ContentType,
    transport::smtp::{
        self,
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
        extension::ClientId,
    },
};

use super::courier::Failure;
use crate::{
    client::excerpt,
    config::notify::{Mail, MailTls},
    observe::event::{Condition, Event},
};

/// What a server answers to who it does not let in: that may be mended.
const NOT_LET_IN: [&str; 5] = ["454", "530", "534", "535", "538"];

/// A mail server, and to whom it is to deliver.
pub(super) struct Postman {
    config: Mail,
}

impl Postman {
    pub(super) const fn new(config: Mail) -> Self {
        Self { config }
    }

    /// Sends `batch` in one mail.
    pub(super) async fn send(&self, batch: &[Arc<Event>]) -> Result<(), Failure> {
        let Some(first) = batch.first() else { return Ok(()) };
        let mail = self.compose(batch).map_err(|error| Failure::Refused(format!("{error:#}")))?;
        let transport = self.transport(&first.node).map_err(|error| Failure::later(&error))?;
        match transport.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failure(error)),
        }
    }

    fn compose(&self, batch: &[Arc<Event>]) -> anyhow::Result<Message> {
        let mut mail = Message::builder().from(self.config.from.clone()).message_id(Some(id(batch)));
        for to in &self.config.to {
            mail = mail.to(to.clone());
        }
        let lines: Vec<_> = batch.iter().map(ToString::to_string).collect();
        let mail = mail.subject(subject(batch)).header(ContentType::TEXT_PLAIN).body(lines.join("\n") + "\n");
        mail.context("failed to put a mail together")
    }

    fn transport(&self, node: &str) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
        let Mail { host, port, timeout, .. } = &self.config;
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.as_str())
            .port(*port)
            .timeout(Some(*timeout))
            .hello_name(ClientId::Domain(hello(node)))
            .tls(match self.config.tls {
                MailTls::StartTls => Tls::Required(self.tls()?),
                MailTls::Tls => Tls::Wrapper(self.tls()?),
                MailTls::Off => Tls::None,
            });
        if let Some((username, password)) = &self.config.login {
            let password = password.read()?;
            transport = transport.credentials(Credentials::new(username.clone(), password.as_str().to_owned()));
        }
        Ok(transport.build())
    }

    fn tls(&self) -> anyhow::Result<TlsParameters> {
        let mut parameters = TlsParameters::builder(self.config.host.clone());
        if let Some(file) = &self.config.ca_file {
            let hint = || format!("failed to read certificates from `{}`", file.display());
            let certificate = Certificate::from_pem(&fs::read(file).with_context(hint)?).with_context(hint)?;
            parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(certificate);
        }
        parameters.build_rustls().context("TLS cannot be spoken")
    }

    fn failure(&self, error: smtp::Error) -> Failure {
        let status = error.status().map(|code| code.to_string());
        let is_final = error.is_permanent() && !status.is_some_and(|code| NOT_LET_IN.contains(&code.as_str()));
        let server = format!("{}:{}", self.config.host, self.config.port);
        // The reply of the server is in it, which may have as many lines as it likes.
        let said = excerpt(&format!("{:#}", anyhow::Error::new(error)));
        let error = anyhow::Error::msg(said).context(format!("the mail server {server} does not take the mail"));
        if is_final { Failure::Refused(format!("{error:#}")) } else { Failure::later(&error) }
    }
}

/// The name by which this node greets a server: what no domain may have is left out.
fn hello(node: &str) -> String {
    let name: String = node.chars().filter(|char| char.is_ascii_alphanumeric() || "-.".contains(*char)).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// By what a mail is known that has come twice.
fn id(batch: &[Arc<Event>]) -> String {
    let numbers = batch.first().zip(batch.last()).map(|(first, last)| {
        let began = first.time.unix_timestamp_nanos();
        format!("{began}.{}-{}@{}", first.sequence, last.sequence, hello(&first.node))
    });
    format!("<{}>", numbers.unwrap_or_default())
}

/// What a mail about `batch` is called.
fn subject(batch: &[Arc<Event>]) -> String {
    let Some(first) = batch.first() else { return "vipd".to_owned() };
    let from = format!("[vipd {}/{}]", first.cluster, first.node);
    if batch.len() == 1 {
        return format!("{from} {}: {} -> {}", first.subject, first.from, first.to);
    }
    let counts = Condition::ALL.iter().filter_map(|&condition| {
        let count = batch.iter().filter(|event| event.to == condition).count();
        (count > 0).then(|| format!("{count} to {condition}"))
    });
    format!("{from} {} changes: {}", batch.len(), counts.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observe::event::tests::event;

    fn postman() -> Postman {
        Postman::new(Mail {
            to: vec!["Operators <ops@example.org>".parse().unwrap(), "me@example.org".parse().unwrap()],
            from: "vipd@example.org".parse().unwrap(),
            host: "127.0.0.1".to_owned(),
            port: 1,
            tls: MailTls::Off,
            login: None,
            ca_file: None,
            timeout: Duration::from_secs(10),
            retry: Duration::from_mins(1),
            digest: Duration::from_secs(2),
        })
    }

    #[test]
    fn what_came_together_is_one_mail() {
        let one = Arc::new(event(1, "web-a", Condition::Backup, Condition::Active));
        let other = Arc::new(event(2, "web-b", Condition::Active, Condition::Fault));
        assert_eq!(subject(&[Arc::clone(&one)]), "[vipd ingress/n1] web-a/IPv4: Backup -> Active");
        let both = [one, other];
        let mail = String::from_utf8(postman().compose(&both).unwrap().formatted()).unwrap();
        // Lines that are too long for mail are folded.
        let mail = mail.replace("=\r\n", "");
        for line in [
            "From: vipd@example.org",
            "To: Operators <ops@example.org>, me@example.org",
            "Message-ID: <1000000000.1-2@n1>",
            "Subject: [vipd ingress/n1] 2 changes: 1 to Active, 1 to Fault",
            "1970-01-01T00:00:01Z #1 n1: web-a/IPv4 Backup -> Active: no advert from an Active Router",
            "1970-01-01T00:00:02Z #2 n1: web-b/IPv4 Active -> Fault: no advert from an Active Router",
        ] {
            assert!(mail.lines().any(|found| found == line), "{line} is not in:\n{mail}");
        }
    }

    #[test]
    fn a_node_has_a_name_that_a_server_understands() {
        assert_eq!(hello("n1.example.org"), "n1.example.org");
        assert_eq!(hello("node 1\r\n"), "node1");
        assert_eq!(hello("ü"), "localhost");
    }
}
