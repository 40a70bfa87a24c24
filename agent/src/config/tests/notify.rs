//! `[[notify]]`: what it becomes, and what is wrong with it.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::{
    config::notify::{Exec, Fifo, LineFormat, Mail, MailTls, Notify, Way, Webhook, WebhookFormat, WebhookTarget},
    observe::event::{Condition, Severity},
    program::Program,
    secret::Secret,
};

fn with(lines: &str) -> String {
    format!("{BASE}\n[[notify]]\nname = \"x\"\n{lines}\n")
}

fn valid_notify(lines: &str) -> Notify {
    let config = parse(&with(lines), "n1").unwrap();
    assert_eq!(config.warnings, []);
    config.notify.into_iter().next().unwrap()
}

#[test]
fn each_way_has_its_defaults() {
    let seconds = Duration::from_secs;
    for (lines, way) in [
        (
            "exec = [\"/etc/vipd/notify\", \"\", \"a b\"]",
            Way::Exec(Exec {
                program: Program {
                    path: "/etc/vipd/notify".into(),
                    arguments: vec![String::new(), "a b".to_owned()],
                    user: None,
                    group: None,
                },
                timeout: seconds(30),
            }),
        ),
        (
            "fifo = \"/run/vipd/fifo\"",
            Way::Fifo(Fifo { path: "/run/vipd/fifo".into(), format: LineFormat::Keepalived, retry: seconds(3600) }),
        ),
        (
            "webhook = \"https://example.org/x?y\"",
            Way::Webhook(Webhook {
                target: WebhookTarget::Url("https://example.org/x?y".parse().unwrap()),
                format: WebhookFormat::Json,
                token: None,
                ca_file: None,
                timeout: seconds(10),
                retry: seconds(3600),
                digest: seconds(0),
                repeat: seconds(60),
            }),
        ),
        (
            "webhook_secret = \"credential:slack\"\nformat = \"slack\"\nretry = \"60s\"",
            Way::Webhook(Webhook {
                target: WebhookTarget::Secret(Secret::Credential("slack".to_owned())),
                format: WebhookFormat::Slack,
                token: None,
                ca_file: None,
                timeout: seconds(10),
                retry: seconds(60),
                digest: seconds(1),
                repeat: seconds(60),
            }),
        ),
        (
            "mail = [\"Ops <ops@example.org>\"]\nfrom = \"vipd@example.org\"\nserver = \"[fd77::25]\"\nusername = \"u\"\n\
             password = \"env:PASSWORD\"",
            Way::Mail(Mail {
                to: vec!["Ops <ops@example.org>".parse().unwrap()],
                from: "vipd@example.org".parse().unwrap(),
                host: "fd77::25".to_owned(),
                port: 587,
                tls: MailTls::StartTls,
                login: Some(("u".to_owned(), Secret::Environment("PASSWORD".to_owned()))),
                ca_file: None,
                timeout: seconds(30),
                retry: seconds(3600),
                digest: seconds(2),
            }),
        ),
    ] {
        let expected =
            Notify { name: "x".to_owned(), about: None, on: Condition::ALL.into(), severity: Severity::Info, way };
        assert_eq!(valid_notify(lines), expected, "{lines}");
    }
}

#[test]
fn filters_are_read() {
    let lines = "fifo = \"/run/x\"\nrouters = [\"web-b\"]\non = [\"Active\", \"Fault\"]\nseverity = \"warning\"";
    let Notify { about, on, severity, .. } = valid_notify(lines);
    assert_eq!(about, Some(["web-b".to_owned()].into()));
    assert_eq!((on, severity), ([Condition::Active, Condition::Fault].into(), Severity::Warning));
    let alerts = valid_notify("webhook = \"http://127.0.0.1:9093\"\nformat = \"alertmanager\"");
    assert_eq!(alerts.on, [Condition::Fault].into());
}

#[test]
fn what_is_wrong_is_said() {
    let cases: &[(&str, &[&str])] = &[
        ("", &["it says not how to tell"]),
        ("fifo = \"/f\"\nexec = [\"/e\"]", &["it says more than one way to tell"]),
        ("exec = []", &["exec: there is no program"]),
        ("exec = [\"notify\"]", &["exec: \"notify\" is not an absolute path"]),
        ("fifo = \"f\"", &["fifo: \"f\" is not an absolute path"]),
        (
            "exec = [\"/e\"]\nretry = \"1s\"\nfrom = \"a@b\"",
            &["retry: it is no key of a [[notify]] with exec", "from: it is no key of a [[notify]] with exec"],
        ),
        ("fifo = \"/f\"\nformat = \"slack\"", &["format: \"slack\" is not one of the choices"]),
        ("fifo = \"/f\"\nrouters = [\"web-c\"]", &["routers: there is no virtual router \"web-c\""]),
        ("fifo = \"/f\"\nrouters = []", &["routers: there is no virtual router"]),
        ("fifo = \"/f\"\non = []", &["on: there is no state"]),
        ("fifo = \"/f\"\non = [\"MASTER\"]", &["on: \"MASTER\" is not one of the choices"]),
        (
            "fifo = \"/f\"\non = [\"Active\"]\nseverity = \"critical\"",
            &["on: no change to these states is ever critical, so nothing is told"],
        ),
        ("webhook = \"ftp://example.org\"", &["webhook: it is no URL of http or https with a host"]),
        (
            "webhook = \"http://example.org\"\ntoken = \"/t\"",
            &["token: the token would be sent over http:// for everybody to read"],
        ),
        ("webhook = \"https://example.org\"\ntoken = \"s3cret\"", &["token: it says not where the secret is"]),
        ("webhook = \"https://example.org\"\ntoken = \"s3c\\tret\"", &["token: it says not where the secret is"]),
        ("webhook = \"https://example.org\"\ntoken = 1111", &["token: it is not a string"]),
        ("webhook = 1111", &["webhook: it is not a string"]),
        (
            "webhook = \"https://example.org\"\nwebhook_secret = \"/t\"",
            &["webhook_secret: webhook and webhook_secret are both given"],
        ),
        ("webhook = \"https://example.org\"\nrepeat = \"5s\"", &["repeat: nothing is repeated in this format"]),
        ("webhook = \"https://example.org\"\ntimeout = \"1ms\"", &["timeout: \"1ms\" is outside 100ms to 3600s"]),
        (
            "mail = [\"ops\"]\nfrom = \"a@b\"\nserver = \"s\"",
            &["mail: \"ops\" is not an e-mail address: Invalid input"],
        ),
        ("mail = []", &["from: missing", "server: missing", "mail: nobody gets the mail"]),
        ("mail = [\"a@b\"]\nfrom = \"a@b\"\nserver = \"s:x\"", &["server: \"s:x\" is not the name of a server"]),
        (
            "mail = [\"a@b\"]\nfrom = \"a@b\"\nserver = \"s\"\nusername = \"u\"",
            &["username: it goes with a password, which is missing"],
        ),
        (
            "mail = [\"a@b\"]\nfrom = \"a@b\"\nserver = \"s\"\nusername = \"u\"\npassword = \"/p\"\ntls = \"off\"",
            &["password: the password would be sent for everybody to read, since tls = \"off\""],
        ),
    ];
    for (lines, expected) in cases {
        let prefix = "notify \"x\": ";
        let said: Vec<_> = mistakes_in(&with(lines));
        let said: Vec<_> =
            said.iter().map(|what| what.split_once(prefix).map_or(what.as_str(), |(_, rest)| rest)).collect();
        assert_eq!(said, *expected, "{lines}");
    }
    let twice = format!("{}[[notify]]\nname = \"x\"\nfifo = \"/g\"\n", with("fifo = \"/f\""));
    assert_eq!(mistakes_in(&twice).len(), 1);
}

#[test]
fn the_address_of_a_slack_webhook_is_a_secret() {
    let config = parse(&with("webhook = \"https://hooks.slack.com/services/T0/B0/x\"\nformat = \"slack\""), "n1");
    let warnings = config.unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(!warnings[0].to_string().contains("T0/B0"), "{}", warnings[0]);
}

/// What `Config::read` says of `lines`, in which DIR stands for the directory of the files.
fn read(dir: &Path, lines: &str) -> Vec<String> {
    let file = dir.join("vipd.toml");
    fs::write(&file, with(&lines.replace("DIR", &dir.display().to_string()))).unwrap();
    let Err(ConfigError::Invalid(diagnostics)) = Config::read(&file, &by_name("n1")) else { return Vec::new() };
    // The directory itself lies where others can write, and where a service would not see it.
    let is_of_it = |what: &str| what.contains("/tmp` can be written") || what.contains("has a /tmp of its own");
    let of_files = diagnostics.iter().filter(|diagnostic| !is_of_it(&diagnostic.what));
    of_files
        .map(|diagnostic| format!("{}: {}", diagnostic.key, diagnostic.what).replace(&dir.display().to_string(), "DIR"))
        .collect()
}

#[test]
fn files_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let dir = fs::canonicalize(dir.path()).unwrap();
    for (name, mode) in [("good", 0o755), ("plain", 0o644), ("open", 0o757)] {
        fs::write(dir.join(name), "").unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink(dir.join("open"), dir.join("link")).unwrap();
    let open = "notify \"x\": exec: `DIR/open` can be written by others than its owner (mode 0757), who can change what is run";
    for (lines, expected) in [
        ("exec = [\"DIR/good\"]", Vec::new()),
        ("exec = [\"DIR/open\"]", vec![open.to_owned()]),
        ("exec = [\"DIR/link\"]", vec![open.to_owned()]),
        (
            "exec = [\"DIR/good\"]\nuser = \"no-such-user\"",
            vec!["notify \"x\": user: there is no user \"no-such-user\"".to_owned()],
        ),
        ("fifo = \"DIR/good\"", vec!["notify \"x\": fifo: `DIR/good` is there and is no named pipe".to_owned()]),
        (
            "webhook = \"https://example.org\"\ntoken = \"DIR/plain\"",
            vec!["notify \"x\": token: `DIR/plain` can be read by everybody (mode 0644)".to_owned()],
        ),
        (
            "webhook = \"https://example.org\"\nca_file = \"DIR/plain\"",
            vec!["notify \"x\": ca_file: `DIR/plain` holds no certificate".to_owned()],
        ),
    ] {
        assert_eq!(read(&dir, lines), expected, "{lines}");
    }
    let said = read(&dir, "exec = [\"DIR/plain\"]");
    assert!(said.len() == 1 && said[0].contains("`DIR/plain` cannot be executed by the user"), "{said:?}");
}
