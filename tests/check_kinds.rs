//! Each kind of health check, with something real to look at.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read, Write},
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, future::ready, stream};
use harness::{Agent, Cluster, ClusterConfig, GENEROUS, Host, HostOptions, Lab, NginxOptions, Status, lab, until};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tonic::transport::server::TcpIncoming;
use tonic_health::{ServingStatus, server::health_reporter};
use vrrp_wire::MacAddr;

/// Fast looks, one of which decides.
const FAST: &str = "interval = \"50ms\"\nrise = 1\nfall = 1\nweight = -1\n";

/// One node that goes by every check in `tables`, each a name and its keys.
fn start(lab: &Lab, tables: &[(&str, String)]) -> Result<Cluster> {
    let names: Vec<_> = tables.iter().map(|(name, _)| *name).collect();
    let text = ClusterConfig::default().text(1)?;
    let mut text = text.replace("vrid = 51\n", &format!("vrid = 51\nchecks = {names:?}\n"));
    for (name, keys) in tables {
        let times = if keys.contains("interval") { "" } else { FAST };
        writeln!(text, "[[check]]\nname = \"{name}\"\n{keys}\n{times}")?;
    }
    Cluster::with_config(lab, 1, text)
}

fn check<'s>(status: &'s Status, name: &str) -> Option<&'s serde_json::Value> {
    status.0["checks"].as_array()?.iter().find(|check| check["name"] == name)
}

/// Waits until a check is in `state`, and its last look says `detail`.
fn expect(agent: &Agent, name: &str, state: &str, detail: &str) -> Result<Status> {
    agent.wait_for(&format!("check {name} to be {state} with `{detail}`"), |status| {
        let is_there = |check: &serde_json::Value| {
            check["state"] == state && check["detail"].as_str().is_some_and(|said| said.contains(detail))
        };
        check(status, name).is_some_and(is_there)
    })
}

/// A certificate for www.example.org and 127.0.0.1 with its key, and that of who has signed it.
fn certificates(lab: &Lab) -> Result<[PathBuf; 3]> {
    let mut authority = CertificateParams::new(vec![])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate()?;
    let root = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let names = ["www.example.org", "127.0.0.1"].map(str::to_owned).to_vec();
    let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    Ok([
        lab.write("leaf.pem", &leaf.pem())?,
        lab.secret("leaf.key", &key.serialize_pem())?,
        lab.write("ca.pem", &root.pem())?,
    ])
}

#[test]
fn requests_over_http() -> Result<()> {
    let lab = lab!();
    let [leaf, key, ca] = certificates(&lab)?;
    let http = |keys: &str| format!("http = {keys}");
    let secure = "\"https://127.0.0.1:8443/healthz\"";
    let mut cluster = start(
        &lab,
        &[
            ("good", http("\"http://127.0.0.1:8080/healthz\"\nbody = \"ok\"")),
            ("body", http("\"http://127.0.0.1:8080/healthz\"\nbody = \"fine\"")),
            ("broken", http("\"http://127.0.0.1:8080/broken\"")),
            ("wanted", http("\"http://127.0.0.1:8080/broken\"\nstatus = [503]")),
            ("unix", http("\"http://localhost/healthz\"\nsocket = \"/run/lab/nginx.sock\"")),
            ("signed", http(&format!("{secure}\nhost = \"www.example.org\"\nca_file = \"{}\"", ca.display()))),
            ("stranger", http(&format!("{secure}\nhost = \"www.example.com\"\nca_file = \"{}\"", ca.display()))),
            ("unsigned", http(secure)),
            ("anybody", http(&format!("{secure}\nverify = false"))),
        ],
    )?;
    let listen = ["127.0.0.1:8080", "unix:/run/lab/nginx.sock", "127.0.0.1:8443 ssl"];
    let options = NginxOptions { listen: &listen, certificate: Some((&leaf, &key)) };
    let mut nginx = cluster.nodes[0].nginx(&options)?;
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    for (name, state, detail) in [
        ("good", "passing", "status 200"),
        ("body", "failing", "status 200, and \"fine\" is not in the first 3 bytes of its body"),
        ("broken", "failing", "status 503"),
        ("wanted", "passing", "status 503"),
        ("unix", "passing", "status 200"),
        ("signed", "passing", "status 200"),
        ("stranger", "failing", "no TLS with www.example.com: invalid peer certificate"),
        ("unsigned", "failing", "no TLS with 127.0.0.1: invalid peer certificate: UnknownIssuer"),
        ("anybody", "passing", "status 200"),
    ] {
        expect(agent, name, state, detail)?;
    }

    nginx.process.kill()?;
    expect(agent, "good", "failing", "no connection to 127.0.0.1 port 8080: Connection refused")?;
    expect(agent, "unix", "failing", "no connection to `/run/lab/nginx.sock`: Connection refused")?;
    fs::remove_file("/run/lab/nginx.sock")?;
    let _nginx = cluster.nodes[0].nginx(&options)?;
    for name in ["good", "unix", "signed"] {
        expect(agent, name, "passing", "status 200")?;
    }
    Ok(())
}

fn listen(host: &Host, port: u16) -> Result<TcpListener> {
    Ok(host.namespace().enter(|| TcpListener::bind(("127.0.0.1", port)))??)
}

/// A server that accepts and says nothing does not answer.
#[test]
fn connections_and_silence() -> Result<()> {
    let lab = lab!();
    let mut cluster = start(
        &lab,
        &[("tcp", "tcp = \"127.0.0.1:7001\"".to_owned()), ("silent", "http = \"http://127.0.0.1:7002/\"".to_owned())],
    )?;
    let accepting = listen(&cluster.nodes[0], 7001)?;
    let _silent = listen(&cluster.nodes[0], 7002)?;
    let stop = Arc::new(AtomicBool::new(false));
    let accept = thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            while !stop.load(Ordering::Relaxed) {
                drop(accepting.accept());
            }
        }
    });
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    expect(agent, "tcp", "passing", "accepts connections")?;
    expect(agent, "silent", "failing", "no result within 50ms")?;
    stop.store(true, Ordering::Relaxed);
    expect(agent, "tcp", "failing", "no connection to 127.0.0.1 port 7001: Connection refused")?;
    accept.join().map_err(|_| anyhow::anyhow!("the listener panicked"))
}

/// A server that goes on with the client that it has, and takes no other, serves nobody who comes.
#[test]
fn servers_that_take_no_new_clients() -> Result<()> {
    let lab = lab!();
    let mut cluster = start(
        &lab,
        &[
            ("http", "http = \"http://127.0.0.1:7003/\"\nstart = \"passing\"".to_owned()),
            ("grpc", "grpc = \"http://127.0.0.1:7004\"\nstart = \"passing\"".to_owned()),
        ],
    )?;
    let (plain, calls) = (listen(&cluster.nodes[0], 7003)?, listen(&cluster.nodes[0], 7004)?);
    let http = thread::spawn(move || {
        let Ok((mut client, _)) = plain.accept() else { return };
        drop(plain);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        while matches!(client.read(&mut [0; 4096]), Ok(1..)) && client.write_all(answer).is_ok() {}
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    calls.set_nonblocking(true)?;
    runtime.spawn(async move {
        let (client, _) = tokio::net::TcpListener::from_std(calls)?.accept().await?;
        let clients = stream::once(ready(Ok::<_, io::Error>(client))).chain(stream::pending());
        let (_, service) = health_reporter();
        let served = tonic::transport::Server::builder().add_service(service).serve_with_incoming(clients).await;
        served.map_err(io::Error::other)
    });
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    expect(agent, "grpc", "failing", "no connection to 127.0.0.1 port 7004: Connection refused")?;
    expect(agent, "http", "failing", "no connection to 127.0.0.1 port 7003: Connection refused")?;
    drop(cluster);
    http.join().map_err(|_| anyhow::anyhow!("the server panicked"))
}

/// Checks that wait for a server of names, many of them and again and again, take nothing from others.
#[test]
fn names_that_nobody_answers_for() -> Result<()> {
    let lab = lab!();
    lab.private_etc()?;
    fs::write("/etc/resolv.conf", "nameserver 127.0.0.1\n")?;
    let names: Vec<_> = (1..=70).map(|number| format!("named-{number}")).collect();
    let by_name = names.iter().map(|name| (name.as_str(), format!("tcp = \"{name}.example:80\"")));
    let tables: Vec<_> = by_name.chain([("value", "file = \"/run/lab/value\"".to_owned())]).collect();
    let mut cluster = start(&lab, &tables)?;
    let _silent = cluster.nodes[0].namespace().enter(|| UdpSocket::bind(("127.0.0.1", 53)))??;
    lab.write("value", "7")?;
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    let looks = |status: &Status, name| check(status, name).and_then(|check| check["looks"].as_u64()).unwrap_or(0);
    let status = agent.wait_for("many looks", |status| names.iter().all(|name| looks(status, name) > 40))?;
    ensure!(check(&status, "named-1").is_some_and(|check| check["state"] == "failing"), "{status:?}");
    let value = check(&status, "value").context("no check of the file")?;
    ensure!(value["detail"] == "holds 7" && value["value"] == 7, "{value:#}");
    Ok(())
}

#[test]
fn servers_of_grpc() -> Result<()> {
    let lab = lab!();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let grpc = |keys: &str| format!("grpc = \"http://127.0.0.1:50051\"{keys}");
    let mut cluster = start(
        &lab,
        &[("app", grpc("\nservice = \"app\"")), ("whole", grpc("")), ("other", grpc("\nservice = \"other\""))],
    )?;
    let host = cluster.nodes[0].clone();
    let serve = || -> Result<_> {
        let listener = listen(&host, 50051)?;
        listener.set_nonblocking(true)?;
        let _context = runtime.enter();
        let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?);
        let (reporter, service) = health_reporter();
        runtime.block_on(reporter.set_service_status("app", ServingStatus::Serving));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, async { drop(stopped.await) });
        Ok((reporter, stop, runtime.spawn(server)))
    };
    let (reporter, stop, server) = serve()?;
    let set = |status| runtime.block_on(reporter.set_service_status("app", status));
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    expect(agent, "app", "passing", "serving")?;
    expect(agent, "whole", "passing", "serving")?;
    expect(agent, "other", "failing", "the server does not know the service")?;
    set(ServingStatus::NotServing);
    expect(agent, "app", "failing", "NOT_SERVING")?;
    expect(agent, "whole", "passing", "serving")?;
    set(ServingStatus::Serving);
    expect(agent, "app", "passing", "serving")?;
    drop(stop);
    runtime.block_on(server)??;
    expect(agent, "app", "failing", "no connection to 127.0.0.1 port 50051: Connection refused")?;
    let _again = serve()?;
    expect(agent, "app", "passing", "serving").map(drop)
}

/// Those that hang are killed with their children, and those that print megabytes fill nothing.
#[test]
fn commands() -> Result<()> {
    let lab = lab!();
    let good = lab.script("good", "test ! -e /run/lab/stop")?;
    // Another run of the tests on this machine has sleepers of its own.
    let span = format!("4242.{}", std::process::id());
    let hangs = lab.script("hangs", &format!("trap '' TERM\nsleep {span} &\nsleep {span}"))?;
    let loud = lab.script("loud", "id -un\nhead -c 3000000 /dev/zero\nexit 3")?;
    let command = |path: &Path, keys: &str| format!("command = [\"{}\"]{keys}", path.display());
    let slow = "\ninterval = \"300ms\"\nrise = 1\nfall = 1\nweight = -1";
    let mut cluster = start(
        &lab,
        &[
            ("good", command(&good, "")),
            ("hangs", command(&hangs, slow)),
            ("loud", command(&loud, &format!("\nuser = \"nobody\"{slow}"))),
        ],
    )?;
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    expect(agent, "good", "passing", "exit status 0")?;
    expect(agent, "hangs", "failing", "no result within 300ms")?;
    expect(agent, "loud", "failing", "exit status 3, having said \"nobody\"")?;
    lab.write("stop", "")?;
    expect(agent, "good", "failing", "exit status 1")?;
    fs::remove_file("/run/lab/stop")?;
    expect(agent, "good", "passing", "exit status 0")?;
    // At most those of the look that goes on.
    let sleepers = || processes(&span);
    ensure!(sleepers()?.len() <= 2, "children are left: {:?}", sleepers()?);
    cluster.take(0)?.process.terminate(GENEROUS)?;
    until("the children to end with the agent", GENEROUS, || Ok(sleepers()?.is_empty().then_some(())))
}

/// The processes with `argument` on their command line.
fn processes(argument: &str) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.split(|&byte| byte == 0).any(|word| word == argument.as_bytes()) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// The end of a process is noticed before the next look is due.
#[test]
fn processes_and_files() -> Result<()> {
    let lab = lab!();
    let name = format!("daemon{}", std::process::id());
    let sleep = lab.script(&name, "")?;
    fs::copy("/bin/sleep", &sleep)?;
    let slow = "interval = \"20s\"\nstart = \"failing\"\nweight = -1";
    let mut cluster = start(
        &lab,
        &[
            ("slow", format!("process = \"{}\"\n{slow}", sleep.display())),
            ("fast", format!("process = \"{name}\"\nmax = 1")),
            ("value", "file = \"/run/lab/value\"".to_owned()),
        ],
    )?;
    let daemon = || {
        let mut command = std::process::Command::new(&sleep);
        command.arg("4343");
        harness::Process::spawn(&name, command)
    };
    let first = daemon()?;
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    expect(agent, "slow", "passing", "1 process runs")?;
    expect(agent, "fast", "passing", "1 process runs")?;
    let second = daemon()?;
    expect(agent, "fast", "failing", "2 processes run, and there may be 1 at most")?;
    drop(second);
    expect(agent, "fast", "passing", "1 process runs")?;
    let begun = Instant::now();
    drop(first);
    expect(agent, "slow", "failing", "0 processes run, and there must be at least 1")?;
    ensure!(begun.elapsed() < Duration::from_secs(10), "noticed after {:?}", begun.elapsed());

    expect(agent, "value", "value", "no such file, which is 0")?;
    lab.write("value", "12\n")?;
    let status = expect(agent, "value", "value", "holds 12")?;
    ensure!(check(&status, "value").is_some_and(|check| check["value"] == 12), "{status:?}");
    lab.write("value", "twelve")?;
    expect(agent, "value", "failing", "holds \"twelve\", which is no whole number").map(drop)
}

/// A program that starts the agent with the capabilities of the unit, and nothing more.
fn with_the_rights_of_the_unit(lab: &Lab) -> Result<PathBuf> {
    let unit = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd/vipd.service"))?;
    let granted = unit.lines().filter_map(|line| line.strip_prefix("CapabilityBoundingSet=CAP_"));
    let granted: Vec<_> = granted.flat_map(|names| names.split(" CAP_")).map(str::to_lowercase).collect();
    ensure!(granted.contains(&"net_admin".to_owned()), "the unit grants {granted:?}");
    let set = format!("-all,+{}", granted.join(",+"));
    let vipd = harness::vipd()?;
    lab.script("vipd", &format!("exec setpriv --bounding-set={set} --inh-caps={set} '{}' \"$@\"", vipd.display()))
}

/// The link to the program of a process is not for those who may do less than the process.
#[test]
fn processes_that_may_do_more_than_the_agent() -> Result<()> {
    let lab = lab!();
    let names = ["missing", "roots", "nobodys", "titled", "hidden"];
    let tables = names.map(|name| (name, format!("process = \"/run/lab/{name}\"\nmax = 1")));
    let cluster = start(&lab, &tables)?;
    let daemon = |name: &str, start: &str| -> Result<_> {
        let program = Path::new("/run/lab").join(name);
        fs::copy("/bin/sleep", &program)?;
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &format!("exec {}", start.replace('@', &program.display().to_string()))]);
        harness::Process::spawn(name, command)
    };
    // Where the agent sees nothing, having no more rights there than anybody.
    cluster.nodes[0].run("install", &["--directory", "--owner=nobody", "--mode=700", "/run/lab/closed"])?;
    let _daemons = [
        daemon("roots", "@ 4444")?,
        daemon("nobodys", "setpriv --reuid=nobody --regid=nogroup --clear-groups @ 4444")?,
        daemon("titled", "-a 'titled: master process' @ 4444")?,
        daemon("hidden", "-a /run/lab/closed/hidden @ 4444")?,
    ];
    let agent = cluster.nodes[0].agent_of(&with_the_rights_of_the_unit(&lab)?, "unit", &cluster.config, &[])?;
    expect(&agent, "missing", "failing", "0 processes run, and there must be at least 1")?;
    for name in ["roots", "nobodys", "titled"] {
        expect(&agent, name, "passing", "1 process runs")?;
    }
    expect(&agent, "hidden", "failing", "it is not known how many processes run: process ").map(drop)
}

/// A link that is gone for less than two looks changes nothing; the first look comes at once.
#[test]
fn interfaces() -> Result<()> {
    let lab = lab!();
    let slow = "interval = \"20s\"\nstart = \"passing\"\nweight = -1";
    let mut cluster = start(
        &lab,
        &[
            ("fast", "interface = \"uplink\"".to_owned()),
            ("slow", format!("interface = \"uplink\"\n{slow}")),
            ("patient", format!("interface = \"uplink\"\nfall = 2\n{slow}")),
            ("missing", "interface = \"nothing\"".to_owned()),
        ],
    )?;
    let host = cluster.nodes[0].clone();
    let link = |words: &str| host.run("ip", &[&["link"], words.split(' ').collect::<Vec<_>>().as_slice()].concat());
    link("add uplink type veth peer name far")?;
    link("set uplink up")?;
    link("set far up")?;
    cluster.start(0)?;
    let agent = cluster.agent(0)?;
    for name in ["fast", "slow", "patient"] {
        expect(agent, name, "passing", "up")?;
    }
    expect(agent, "missing", "failing", "there is no such interface")?;
    let begun = Instant::now();
    link("set far down")?;
    expect(agent, "slow", "failing", "without carrier")?;
    ensure!(begun.elapsed() < Duration::from_secs(10), "noticed after {:?}", begun.elapsed());
    let status = expect(agent, "patient", "passing", "without carrier")?;
    ensure!(check(&status, "patient").is_some_and(|check| check["against"] == 1), "{status:?}");
    expect(agent, "fast", "failing", "without carrier")?;
    link("set far up")?;
    expect(agent, "slow", "passing", "up")?;
    link("set uplink down")?;
    expect(agent, "slow", "failing", "down")?;
    link("del uplink")?;
    expect(agent, "fast", "failing", "there is no such interface").map(drop)
}

#[test]
fn addresses_on_the_link() -> Result<()> {
    let lab = lab!();
    let mut cluster = start(
        &lab,
        &[
            ("ipv4", "address = \"10.77.0.70\"".to_owned()),
            ("ipv6", "address = \"fd77::70\"".to_owned()),
            ("gateway", "address = \"gateway\"".to_owned()),
            ("gateway6", "address = \"gateway6\"".to_owned()),
        ],
    )?;
    let slow = cluster.config.replace("interval = \"50ms\"", "interval = \"200ms\"");
    cluster.config = slow;
    let options = HostOptions { mac: MacAddr([2, 0, 0, 0, 0, 70]), addresses: &["10.77.0.70/24", "fd77::70/64"] };
    cluster.lan.host("gateway", &options)?;
    cluster.start(0)?;
    let agent = cluster.agents[0].as_ref().context("no agent")?;
    for address in ["10.77.0.70", "fd77::70"] {
        let name = if address.contains(':') { "ipv6" } else { "ipv4" };
        expect(agent, name, "passing", &format!("{address} is at 02:00:00:00:00:46 on vsw0"))?;
    }
    expect(agent, "gateway", "failing", "there is no default gateway over IPv4")?;
    expect(agent, "gateway6", "failing", "there is no default gateway over IPv6")?;
    let host = &cluster.nodes[0];
    host.run("ip", &["-4", "route", "add", "default", "via", "10.77.0.70"])?;
    host.run("ip", &["-6", "route", "add", "default", "via", "fd77::70"])?;
    expect(agent, "gateway", "passing", "10.77.0.70 is at 02:00:00:00:00:46 on vsw0")?;
    expect(agent, "gateway6", "passing", "fd77::70 is at 02:00:00:00:00:46 on vsw0")?;
    cluster.lan.silence("gateway")?;
    for name in ["ipv4", "ipv6", "gateway", "gateway6"] {
        expect(agent, name, "failing", "no result within 200ms")?;
    }
    cluster.lan.unsilence("gateway")?;
    for name in ["ipv4", "ipv6", "gateway", "gateway6"] {
        expect(agent, name, "passing", " is at ")?;
    }
    Ok(())
}
