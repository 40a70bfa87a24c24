//! `[metrics]`: what it becomes, and what is wrong with it.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt as _};

use super::*;
use crate::{
    config::metrics::{Credentials, Login},
    secret::Secret,
};

fn with(lines: &str) -> String {
    format!("{BASE}\n[metrics]\n{lines}\n")
}

fn listen(lines: &str, node: &str) -> Vec<SocketAddr> {
    parse(&with(lines), node).unwrap().metrics.listen
}

fn addresses(addresses: &[&str]) -> Vec<SocketAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

#[test]
fn it_listens_on_loopback_unless_the_file_says_otherwise() {
    assert_eq!(valid(&[]).metrics.listen, addresses(&["127.0.0.1:9650"]));
    for (lines, node, expected) in [
        ("", "n1", &["127.0.0.1:9650"][..]),
        ("listen = \"off\"", "n1", &[]),
        ("listen = []", "n1", &[]),
        ("listen = \"[::1]:80\"", "n1", &["[::1]:80"]),
        ("listen = [\"0.0.0.0:9650\", \"[::]:9650\"]", "n1", &["0.0.0.0:9650", "[::]:9650"]),
        ("listen = \"node:9650\"", "n1", &["10.77.0.1:9650", "[fd77::1]:9650"]),
        ("listen = [\"127.0.0.1:9650\", \"node:9651\"]", "n2", &["127.0.0.1:9650", "10.77.0.2:9651", "[fd77::2]:9651"]),
    ] {
        assert_eq!(listen(lines, node), addresses(expected), "{lines}");
    }
}

#[test]
fn who_may_read_and_how_the_server_is_known() {
    let lines = "certificate_file = \"/c\"\nkey_file = \"/k\"\nusername = \"prometheus\"\npassword = \"credential:scrape\"\n\
                 listen = \"node:9650\"";
    let config = parse(&with(lines), "n1").unwrap();
    assert_eq!(config.warnings, []);
    let credentials = Credentials { certificate_file: "/c".into(), key_file: "/k".into() };
    let login = Login { username: "prometheus".to_owned(), password: Secret::Credential("scrape".to_owned()) };
    assert_eq!((config.metrics.tls, config.metrics.login), (Some(credentials), Some(login)));
}

#[test]
fn what_is_wrong_is_said() {
    for (lines, expected) in [
        ("listen = \"9650\"", "30: metrics: listen: \"9650\" is no address and port"),
        ("listen = \"localhost:9650\"", "30: metrics: listen: \"localhost:9650\" is no address and port"),
        ("listen = \"127.0.0.1:0\"", "30: metrics: listen: \"127.0.0.1:0\" is no address and port"),
        ("listen = \"node:0\"", "30: metrics: listen: \"node:0\" is no address and port"),
        ("listen = 9650", "30: metrics: listen: 9650 is not a string"),
        ("listen = [\"off\"]", "30: metrics: listen: \"off\" is no address and port"),
        ("listen = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", "30: metrics: listen: 127.0.0.1:1 is there twice"),
        ("certificate_file = \"/c\"", "30: metrics: certificate_file: key_file is missing"),
        ("key_file = \"/k\"", "30: metrics: key_file: certificate_file is missing"),
        ("username = \"u\"", "30: metrics: username: password is missing"),
        ("password = \"/p\"", "30: metrics: password: username is missing"),
        (
            "username = \"a:b\"\npassword = \"/p\"",
            "30: metrics: username: \"a:b\" is no user name: empty, or with a colon",
        ),
        ("username = \"u\"\npassword = \"s3cret\"", "31: metrics: password: it says not where the secret is"),
    ] {
        assert_eq!(mistakes_in(&with(lines)), [expected], "{lines}");
    }
    let nowhere = with("listen = \"node:9650\"").replacen("address = \"10.77.0.1\"\naddress6 = \"fd77::1\"\n", "", 1);
    let said = mistakes_in(&nowhere);
    let expected = "28: metrics: listen: the file gives node \"n1\" (line 5) no address".to_owned();
    assert!(said.contains(&expected), "{said:?}");
}

#[test]
fn what_others_can_read_is_warned_of() {
    let login = "username = \"u\"\npassword = \"/p\"\n";
    for (lines, expected) in [
        ("listen = \"node:9650\"".to_owned(), Some("10.77.0.1:9650: whoever reaches it can read all metrics")),
        (
            format!("{login}listen = \"[::]:9650\""),
            Some("[::]:9650: the password is sent for everybody on the network to read"),
        ),
        (format!("{login}listen = \"127.0.0.1:9650\""), None),
        ("listen = [\"127.0.0.1:9650\", \"[::1]:9650\"]".to_owned(), None),
    ] {
        let warnings = parse(&with(&lines), "n1").unwrap().warnings;
        let said: Vec<_> = warnings.iter().map(|warning| warning.what.as_str()).collect();
        assert_eq!(said, expected.into_iter().collect::<Vec<_>>(), "{lines}");
    }
}

/// What the file names is looked at.
#[test]
fn certificate_key_and_password_must_be_there_and_go_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let write = |name: &str, text: &str, mode| {
        fs::write(path(name), text).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    let (one, other) =
        (rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap(), rcgen::KeyPair::generate().unwrap());
    write("certificate", &one.cert.pem(), 0o644);
    write("key", &one.signing_key.serialize_pem(), 0o600);
    write("open", &one.signing_key.serialize_pem(), 0o644);
    write("other", &other.serialize_pem(), 0o600);
    write("nothing", "none\n", 0o600);
    let said = |certificate: &str, key: &str| {
        let lines = format!("certificate_file = \"{}\"\nkey_file = \"{}\"", path(certificate), path(key));
        fs::write(path("vipd.toml"), with(&lines)).unwrap();
        match Config::read(path("vipd.toml").as_ref(), &by_name("n1")) {
            Ok(config) => format!("{:?}", config.warnings),
            Err(error) => error.to_string().replace(&path(""), ""),
        }
    };
    assert_eq!(said("certificate", "key"), "[]");
    for (certificate, key, expected) in [
        ("none", "key", "error: vipd.toml:30: metrics: certificate_file: no certificate can be read from `none`: "),
        (
            "nothing",
            "key",
            "error: vipd.toml:30: metrics: certificate_file: no certificate can be read from `nothing`: ",
        ),
        ("certificate", "none", "error: vipd.toml:31: metrics: key_file: `none` cannot be read: "),
        (
            "certificate",
            "open",
            "error: vipd.toml:31: metrics: key_file: `open` can be read by everybody (mode 0644)\n",
        ),
        ("certificate", "nothing", "error: vipd.toml:31: metrics: key_file: `nothing` holds no key: "),
        ("certificate", "other", "error: vipd.toml:31: metrics: key_file: the key does not go with the certificate: "),
    ] {
        let said = said(certificate, key);
        assert!(said.starts_with(expected), "{said}");
    }
}
