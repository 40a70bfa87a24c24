//! `[[check]]`: what a good one becomes, and what a bad one is told.

use vrrp::track::{Effect, Reading};

use super::*;
use crate::{
    check::{GrpcRequest, HttpRequest, Neighbor, Processes, Subject, Who},
    client::{Endpoint, Server, Tls, Trust},
    program::Program,
};

/// The base text, whose first virtual router goes by the check `c` with these `keys`.
fn text(keys: &str) -> String {
    edited(&[("vrid = 51\n", "vrid = 51\nchecks = [\"c\"]\n")]) + &format!("\n[[check]]\nname = \"c\"\n{keys}\n")
}

fn config_with(keys: &str) -> Config {
    parse(&text(keys), "n1").unwrap_or_else(|error| panic!("{keys}\n{error}"))
}

fn subject(keys: &str) -> Subject {
    config_with(keys).checks.remove(0).subject
}

fn http(keys: &str) -> HttpRequest {
    let Subject::Http(request) = subject(keys) else { panic!("no request: {keys}") };
    request
}

fn tcp(host: &str, port: u16) -> Endpoint {
    Endpoint::Tcp(host.to_owned(), port)
}

#[test]
fn a_request_is_made_of_an_url() {
    let plain = HttpRequest {
        server: Server { endpoint: tcp("127.0.0.1", 80), tls: None },
        host: "127.0.0.1".to_owned(),
        path: "/".to_owned(),
        status: vec![200..=399],
        body: None,
    };
    assert_eq!(http("http = \"http://127.0.0.1\""), plain);
    let full = HttpRequest {
        server: Server { endpoint: tcp("::1", 8080), tls: None },
        host: "www.example.org:81".to_owned(),
        path: "/healthz?full=1".to_owned(),
        status: vec![204..=204, 300..=302],
        body: Some("ok".to_owned()),
    };
    let keys = "http = \"http://[::1]:8080/healthz?full=1\"\nhost = \"www.example.org:81\"\nbody = \"ok\"\n\
                status = [204, \"300-302\"]";
    assert_eq!(http(keys), full);
    let socket = Server { endpoint: Endpoint::Unix("/run/app.sock".into()), tls: None };
    let unix = HttpRequest { server: socket, host: "app".to_owned(), ..plain.clone() };
    assert_eq!(http("http = \"http://app/\"\nsocket = \"/run/app.sock\""), unix);

    let tls = |server: &str, trust| Some(Tls { server: server.to_owned(), trust });
    let secure =
        HttpRequest { server: Server { endpoint: tcp("127.0.0.1", 443), tls: tls("127.0.0.1", Trust::Host) }, ..plain };
    assert_eq!(http("http = \"https://127.0.0.1/\""), secure);
    assert_eq!(http("http = \"https://127.0.0.1/\"\nverify = false").server.tls, tls("127.0.0.1", Trust::Anybody));
    let named = "http = \"https://127.0.0.1/\"\nca_file = \"/etc/ca.pem\"\nhost = \"www.example.org:8443\"";
    assert_eq!(http(named).server.tls, tls("www.example.org", Trust::File("/etc/ca.pem".into())));
}

#[test]
fn each_kind_of_check_is_read() {
    assert_eq!(subject("tcp = \"[::1]:443\""), Subject::Tcp(tcp("::1", 443)));
    assert_eq!(subject("tcp = \"localhost:443\""), Subject::Tcp(tcp("localhost", 443)));
    let grpc =
        GrpcRequest { server: Server { endpoint: tcp("127.0.0.1", 50051), tls: None }, service: "app".to_owned() };
    assert_eq!(subject("grpc = \"http://127.0.0.1:50051\"\nservice = \"app\""), Subject::Grpc(grpc));
    let command = Program {
        path: "/usr/bin/check".into(),
        arguments: vec!["-q".to_owned()],
        user: Some("nobody".to_owned()),
        group: None,
    };
    assert_eq!(subject("command = [\"/usr/bin/check\", \"-q\"]\nuser = \"nobody\""), Subject::Command(command));
    let processes = |min, max| Subject::Process(Processes { program: "nginx".to_owned(), min, max });
    for (keys, expected) in [
        ("", processes(1, None)),
        ("\nmin = 2\nmax = 9", processes(2, Some(9))),
        ("\nmax = 0", processes(0, Some(0))),
        ("\nmax = 3", processes(1, Some(3))),
    ] {
        assert_eq!(subject(&format!("process = \"nginx\"{keys}")), expected, "{keys}");
    }
    assert_eq!(subject("file = \"/run/value\""), Subject::File("/run/value".into()));
    assert_eq!(subject("interface = \"eth1\""), Subject::Interface("eth1".to_owned()));
    let neighbor =
        |who, interface: Option<&str>| Subject::Address(Neighbor { who, interface: interface.map(str::to_owned) });
    assert_eq!(subject("address = \"gateway\""), neighbor(Who::Gateway(Family::Ipv4), None));
    let through = neighbor(Who::Gateway(Family::Ipv6), Some("eth1"));
    assert_eq!(subject("address = \"gateway6\"\nthrough = \"eth1\""), through);
    let address = Who::Address("10.77.0.254".parse().unwrap());
    assert_eq!(subject("address = \"10.77.0.254\""), neighbor(address, Some("vsw0")));
}

#[test]
fn what_the_kernel_knows_needs_one_look() {
    let times = |keys| {
        let check = config_with(keys).checks.remove(0);
        (check.interval.as_millis(), check.timeout.as_millis(), check.rise, check.fall)
    };
    assert_eq!(times("tcp = \"127.0.0.1:80\""), (1_000, 1_000, 2, 3));
    assert_eq!(times("interface = \"eth1\"\ninterval = \"200ms\""), (200, 200, 1, 1));
    let given = "tcp = \"127.0.0.1:80\"\ninterval = \"5s\"\ntimeout = \"100ms\"\nrise = 7\nfall = 1";
    assert_eq!(times(given), (5_000, 100, 7, 1));
}

#[test]
fn a_virtual_router_goes_by_what_it_names() {
    let config = config_with("tcp = \"127.0.0.1:80\"\nweight = -60\nreverse = true\nstart = \"failing\"");
    assert_eq!(config.checks[0].start, Some(Reading::Failing));
    let effect = Effect { weight: Some(-60), reverse: true };
    for router in &config.virtual_routers {
        let tracked: Vec<_> = router.checks.iter().map(|tracked| (tracked.check.as_str(), tracked.effect)).collect();
        let expected: &[_] = if router.name == "web-a" { &[("c", effect)] } else { &[] };
        assert_eq!(tracked, expected, "{}", router.name);
    }
}

/// 200 and 150 are 50 apart.
#[test]
fn weights_that_move_nothing_are_warned_of() {
    let weak = "the weights of c are too small: the first node has at least 151, and the second at most 150";
    let cases = [
        ("tcp = \"127.0.0.1:80\"\nweight = -49", Some(weak)),
        ("tcp = \"127.0.0.1:80\"\nweight = -50", None),
        ("tcp = \"127.0.0.1:80\"\nweight = 50", None),
        ("tcp = \"127.0.0.1:80\"\nweight = 49\nreverse = true", Some(weak)),
        ("tcp = \"127.0.0.1:80\"", None),
        ("file = \"/run/x\"\nweight = -1", None),
    ];
    for (keys, expected) in cases {
        let warnings: Vec<_> = config_with(keys).warnings.into_iter().map(|warning| warning.what).collect();
        assert_eq!(warnings, Vec::from_iter(expected), "{keys}");
    }
}

/// A node runs what its own virtual routers go by, and the owner of addresses goes by nothing.
#[test]
fn a_check_that_is_not_needed_does_not_run() {
    let elsewhere = text("tcp = \"127.0.0.1:80\"").replacen("nodes = [\"n1\", \"n2\"]", "nodes = [\"n2\"]", 1);
    assert_eq!(parse(&elsewhere, "n1").unwrap().checks, []);
    assert_eq!(parse(&elsewhere, "n2").unwrap().checks.len(), 1);

    let unused = edited(&[]) + "\n[[check]]\nname = \"c\"\ntcp = \"127.0.0.1:80\"\n";
    let config = parse(&unused, "n1").unwrap();
    assert_eq!(config.checks, []);
    let warning = config.warnings[0].to_string();
    assert!(warning.contains("29: check \"c\": no virtual router goes by it, so it does not run"), "{warning}");

    let owner = text("tcp = \"127.0.0.1:80\"")
        .replacen("[\"10.77.0.100/24\", \"fd77::100/64\"]", "[\"10.77.0.1/24\"]", 1)
        .replacen("nodes = [\"n1\", \"n2\"]", "priorities = { n1 = 255, n2 = 100 }", 1);
    let config = parse(&owner, "n1").unwrap();
    assert_eq!((config.checks.len(), config.virtual_routers[0].checks.len()), (0, 0));
    assert!(config.warnings[0].what.starts_with("\"n1\" owns the addresses"), "{:?}", config.warnings);
    assert_eq!(parse(&owner, "n2").unwrap().virtual_routers[0].checks.len(), 1);
}

#[test]
fn what_could_never_pass_is_refused() {
    let cases = [
        ("", "30: check \"c\": it says nothing to look at"),
        (
            "tcp = \"127.0.0.1:80\"\nfile = \"/run/x\"",
            "30: check \"c\": tcp and file are given, and a check looks at one thing",
        ),
        ("tcp = \"127.0.0.1\"", "32: check \"c\": tcp: \"127.0.0.1\" is not HOST:PORT"),
        ("tcp = \"::1:80\"", "32: check \"c\": tcp: \"::1:80\" is not HOST:PORT"),
        (
            "http = \"ftp://127.0.0.1/\"",
            "32: check \"c\": http: \"ftp://127.0.0.1/\": it is no URL of http or https with a host",
        ),
        (
            "http = \"http://a@b/\"",
            "32: check \"c\": http: \"http://a@b/\": it has a user in it, who would not be sent",
        ),
        (
            "http = \"http://b/\"\nstatus = []",
            "33: check \"c\": status: no status would be a good one, so the check could never pass",
        ),
        (
            "http = \"http://b/\"\nstatus = [\"300-200\"]",
            "33: check \"c\": status: \"300-200\" is not a code of status",
        ),
        ("http = \"http://b/\"\nverify = false", "33: check \"c\": verify: means nothing without TLS"),
        (
            "http = \"https://b/\"\nverify = false\nca_file = \"/a\"",
            "34: check \"c\": ca_file: verify = false believes every certificate, whoever has signed it",
        ),
        ("http = \"http://b/\"\nuser = \"a\"", "33: check \"c\": user: means nothing for a check of kind http"),
        ("grpc = \"http://b/c\"", "32: check \"c\": grpc: the path \"/c\" is not that of a gRPC server"),
        ("command = []", "32: check \"c\": command: there is no program"),
        ("command = [\"check\"]", "32: check \"c\": command: \"check\" is not an absolute path"),
        ("process = \"bin/nginx\"", "32: check \"c\": process: \"bin/nginx\" is neither a path nor a name"),
        (
            "process = \"nginx\"\nmin = 3\nmax = 2",
            "34: check \"c\": max: at least 3 and at most 2 processes are never there, so the check could never pass",
        ),
        (
            "process = \"nginx\"\nmin = 0",
            "33: check \"c\": min: any number of processes would do, so the check could never fail",
        ),
        (
            "interface = \"sixteen-bytes-xx\"",
            "32: check \"c\": interface: \"sixteen-bytes-xx\" cannot be the name of an interface",
        ),
        ("file = \"run/x\"", "32: check \"c\": file: \"run/x\" is not an absolute path"),
        ("file = \"/run/x\"\nstart = \"passing\"", "33: check \"c\": start: means nothing for a check of kind file"),
        ("address = \"gateway4\"", "32: check \"c\": address: \"gateway4\" is not an address"),
        (
            "address = \"10.77.0.101\"",
            "32: check \"c\": address: 10.77.0.101 is a virtual address of virtual_router \"web-b\" (line 24): nobody answers for it before somebody serves",
        ),
        ("tcp = \"b:80\"\nfall = 0", "33: check \"c\": fall: 0 is not a number of looks"),
        ("tcp = \"b:80\"\nrise = 0", "33: check \"c\": rise: 0 is not a number of looks"),
        (
            "tcp = \"b:80\"\ntimeout = \"2s\"",
            "33: check \"c\": timeout: 2s is longer than the interval, 1s: the next look would be due before",
        ),
        ("tcp = \"b:80\"\ninterval = \"5ms\"", "33: check \"c\": interval: \"5ms\" is outside 10ms to 3600s"),
        ("tcp = \"b:80\"\nweight = 0", "33: check \"c\": weight: a weight of 0 changes nothing"),
        ("tcp = \"b:80\"\nweight = -255", "33: check \"c\": weight: -255 is not a weight"),
        ("tcp = \"b:80\"\nstart = \"up\"", "33: check \"c\": start: \"up\" is not one of the choices"),
        ("tpc = \"b:80\"\ntcp = \"b:80\"", "32: check \"c\": tpc: unknown key"),
    ];
    for (keys, expected) in cases {
        assert_eq!(mistakes_in(&text(keys)), [expected], "{keys}");
    }
}

#[test]
fn the_kernel_takes_no_long_path_of_a_socket() {
    let socket = format!("http = \"http://b/\"\nsocket = \"/{}\"", "x".repeat(107));
    let expected = "33: check \"c\": socket: a path of 108 bytes is too long for a Unix socket";
    assert_eq!(mistakes_in(&text(&socket)), [expected]);
}

#[test]
fn names_of_checks_lead_somewhere() {
    let check = "\n[[check]]\nname = \"c\"\ntcp = \"127.0.0.1:80\"\n";
    let named = |list: &str| edited(&[("vrid = 51\n", &format!("vrid = 51\nchecks = {list}\n"))]) + check;
    assert_eq!(
        mistakes_in(&named("[\"d\", \"c\"]")),
        ["20: virtual_router \"web-a\": checks: there is no check \"d\""]
    );
    assert_eq!(mistakes_in(&named("[\"c\", \"c\"]")), ["20: virtual_router \"web-a\": checks: \"c\" is listed twice"]);
    let twice = named("[\"c\"]") + check;
    assert_eq!(mistakes_in(&twice), ["35: check \"c\": name: c is that of check \"c\" (line 31) already"]);
}

/// Under the unit of the package a file that is not there for the agent would pass, as 0.
#[test]
fn a_directory_that_a_service_has_for_itself_is_a_warning() {
    let of_its_own = |directory: &str| {
        format!(
            "as a service of systemd the agent has a {directory} of its own, where nothing of others is\n  \
             help: put it elsewhere, below /run say; or write PrivateTmp=no into a drop-in (systemctl edit vipd)"
        )
    };
    let warning = |line: u32, key: &str, directory: &str| {
        vec![format!("warning: vipd.toml:{line}: check \"c\": {key}: {}", of_its_own(directory))]
    };
    for (keys, expected) in [
        ("file = \"/tmp/value\"", warning(32, "file", "/tmp")),
        ("file = \"/var/tmp/a/value\"", warning(32, "file", "/var/tmp")),
        ("http = \"http://b/\"\nsocket = \"/tmp/app.sock\"", warning(33, "socket", "/tmp")),
        ("file = \"/run/tmp/value\"", vec![]),
        ("file = \"/tmpfile\"", vec![]),
    ] {
        let warnings: Vec<_> = config_with(keys).warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, expected, "{keys}");
    }
    let fifo = edited(&[]) + "\n[[notify]]\nname = \"pipe\"\nfifo = \"/tmp/pipe\"\n";
    let warnings = parse(&fifo, "n1").unwrap().warnings;
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    let expected = format!("warning: vipd.toml:31: notify \"pipe\": fifo: {}", of_its_own("/tmp"));
    assert_eq!(warning.to_string(), expected);
}
