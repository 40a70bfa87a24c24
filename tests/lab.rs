//! The harness itself: what it says about a network is what the network does.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use harness::{
    Capture, GENEROUS, Host, HostOptions, KeepalivedRouter, Lab, Lan, Namespace, Probe, Process, Unicast,
    decode::{Announcement, Form, advertisement, announcement},
    frame::Advert,
    inject, ip, lab, until,
};
use vrrp_wire::{Family, MacAddr};

const N1: HostOptions<'_> =
    HostOptions { mac: MacAddr([2, 0, 0, 0, 0, 1]), addresses: &["10.77.0.1/24", "fd77::1/64"] };
const N2: HostOptions<'_> =
    HostOptions { mac: MacAddr([2, 0, 0, 0, 0, 2]), addresses: &["10.77.0.2/24", "fd77::2/64"] };

const KEEPALIVED: KeepalivedRouter<'_> = KeepalivedRouter {
    vrid: 51,
    family: Family::Ipv4,
    version: 3,
    password: None,
    priority: 100,
    interval: Duration::from_millis(100),
    addresses: &["10.77.0.100/24"],
    preempt: true,
    unicast: None,
};

type Switching = fn(&Lan, &str) -> Result<()>;

struct Pair {
    lan: Lan,
    n1: Host,
    n2: Host,
}

fn pair(lab: &Lab) -> Result<Pair> {
    let mut lan = lab.lan()?;
    Ok(Pair { n1: lan.host("n1", &N1)?, n2: lan.host("n2", &N2)?, lan })
}

#[test]
fn hosts_reach_each_other() -> Result<()> {
    let lab = lab!();
    let Pair { lan, n1, n2 } = pair(&lab)?;
    for target in ["10.77.0.2", "fd77::2", "fe80::ff:fe00:2"] {
        Probe::start(&n1, ip(target))?.wait_answered(GENEROUS)?;
        assert_eq!(n1.neighbour(ip(target))?, Some(n2.mac()), "{target}");
        assert_eq!(lan.holders(ip(target))?, ["n2"], "{target}");
    }
    assert_eq!(n2.link_local(), ip("fe80::ff:fe00:2"));
    assert_eq!(lan.holders(ip("10.77.0.9"))?, [""; 0]);
    Ok(())
}

#[test]
fn a_probe_sees_an_outage_of_the_length_that_it_had() -> Result<()> {
    let lab = lab!();
    let Pair { lan, n1, n2 } = pair(&lab)?;
    let outages: [(Switching, Switching); 2] = [(Lan::cut, Lan::mend), (Lan::silence, Lan::unsilence)];
    for (begin, end) in outages {
        let probe = Probe::start(&n1, ip("10.77.0.2"))?;
        probe.wait_answered(GENEROUS)?;

        let before = Instant::now();
        begin(&lan, n2.name())?;
        let begun = Instant::now();
        thread::sleep(Duration::from_millis(300));
        let ending = Instant::now();
        end(&lan, n2.name())?;
        probe.wait_answered(GENEROUS)?;

        let outage = probe.outage_since(before);
        assert!(outage + Duration::from_millis(2) >= ending - begun, "{outage:?}");
        assert!(outage <= before.elapsed() + Duration::from_millis(2), "{outage:?}");
        let answers = probe.answers();
        let strays = answers.iter().filter(|answer| answer.sent_at > begun && answer.answered_at < ending).count();
        assert_eq!(strays, 0, "answers during the outage");
    }
    Ok(())
}

#[test]
fn only_a_cut_cable_takes_the_carrier() -> Result<()> {
    let lab = lab!();
    let Pair { lan, n1, .. } = pair(&lab)?;
    let carrier = || -> Result<bool> { Ok(n1.run("ip", &["link", "show", Host::INTERFACE])?.contains("LOWER_UP")) };
    assert!(carrier()?);
    lan.silence("n1")?;
    assert!(carrier()?);
    lan.unsilence("n1")?;
    lan.cut("n1")?;
    until("the carrier to go", GENEROUS, || Ok((!carrier()?).then_some(())))?;
    lan.mend("n1")?;
    until("the carrier to come", GENEROUS, || Ok(carrier()?.then_some(())))
}

#[test]
fn an_injected_frame_is_captured_as_it_was_sent() -> Result<()> {
    let lab = lab!();
    let Pair { n1, n2, lan } = pair(&lab)?;
    let at_host = Capture::start(n2.namespace(), Host::INTERFACE)?;
    let at_bridge = Capture::start(lan.namespace(), "br0")?;
    for (source, address) in [("10.77.0.1", "10.77.0.100"), ("fe80::ff:fe00:1", "fe80::100")] {
        let frame = Advert::new(n1.mac(), ip(source), 51, 100, &[ip(address)]).frame();
        inject(&n1, &frame, 1)?;
        for capture in [&at_host, &at_bridge] {
            let captured = capture.wait_for("the advert", GENEROUS, |captured| captured.bytes == frame)?;
            assert!(!captured.outgoing);
        }
    }
    Ok(())
}

/// What arrives is counted by the receiving interface; a test of 100,000 forged frames relies on it.
#[test]
fn a_flood_arrives_completely() -> Result<()> {
    const COUNT: usize = 100_000;
    let lab = lab!();
    let Pair { n1, n2, .. } = pair(&lab)?;
    let received = || -> Result<usize> {
        Ok(n2
            .namespace()
            .enter(|| fs::read_to_string("/proc/thread-self/net/dev"))??
            .lines()
            .find_map(|line| line.trim().strip_prefix("vsw0:")?.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or(0))
    };
    let mut frame = Advert::new(n1.mac(), ip("10.77.0.66"), 51, 255, &[ip("10.77.0.100")]);
    frame.destination_mac = n2.mac();

    let before = received()?;
    inject(&n1, &frame.frame(), COUNT)?;

    until("all frames to arrive", GENEROUS, || Ok((received()? >= before + COUNT).then_some(())))
}

#[test]
fn keepalived_takes_addresses_and_gives_them_back() -> Result<()> {
    let lab = lab!();
    let Pair { lan, n1, n2 } = pair(&lab)?;
    let capture = Capture::start(lan.namespace(), "br0")?;
    let ipv6 = KeepalivedRouter { family: Family::Ipv6, addresses: &["fe80::100/64", "fd77::100/64"], ..KEEPALIVED };
    let mut keepalived = n1.keepalived(&[KEEPALIVED, ipv6])?;
    let routers = [
        (Family::Ipv4, ip("10.77.0.100"), Form::Request),
        (Family::Ipv6, ip("fd77::100"), Form::Neighbor { overrides: true }),
    ];
    for (family, address, form) in routers {
        keepalived.wait_for_state(51, family, "Active")?;
        Probe::start(&n2, address)?.wait_answered(GENEROUS)?;
        assert_eq!(lan.holders(address)?, ["n1"]);
        assert_eq!(n2.neighbour(address)?, Some(n1.mac()));
        let expected = Announcement { address, mac: n1.mac(), form };
        capture.wait_for("the announcement", GENEROUS, |frame| announcement(&frame.bytes) == Some(expected))?;
    }

    keepalived.process.terminate(GENEROUS)?;

    for (_, address, _) in routers {
        assert_eq!(lan.holders(address)?, [""; 0]);
        capture.wait_for("Priority 0", GENEROUS, |frame| {
            advertisement(&frame.bytes)
                .is_some_and(|advert| advert.priority == 0 && advert.addresses.contains(&address))
        })?;
    }
    Ok(())
}

/// Unicast reaches the peer, Preempt_Mode off leaves the address where it is.
#[test]
fn two_keepalived_agree() -> Result<()> {
    let lab = lab!();
    let Pair { n1, n2, .. } = pair(&lab)?;
    let (source, peer) = (ip("10.77.0.1"), ip("10.77.0.2"));
    let first = KeepalivedRouter { unicast: Some(Unicast { source, peer }), ..KEEPALIVED };
    let unicast = Some(Unicast { source: peer, peer: source });
    let second = KeepalivedRouter { priority: 200, preempt: false, unicast, ..KEEPALIVED };
    let mut active = n1.keepalived(&[first])?;
    active.wait_for_state(51, Family::Ipv4, "Active")?;
    let backup = n2.keepalived(&[second])?;
    let capture = Capture::start(n2.namespace(), Host::INTERFACE)?;
    let from_n1 = |bytes: &[u8]| advertisement(bytes).is_some_and(|advert| advert.source == ip("10.77.0.1"));
    until("five adverts, which outlast Active_Down_Interval", GENEROUS, || {
        let heard = capture.frames().iter().filter(|frame| from_n1(&frame.bytes)).count();
        Ok((heard >= 5).then_some(()))
    })?;
    assert_eq!(backup.state(51, Family::Ipv4), Some("Backup"));
    active.process.kill()?;
    backup.wait_for_state(51, Family::Ipv4, "Active")
}

#[test]
fn a_killed_keepalived_leaves_its_address_and_no_process() -> Result<()> {
    let lab = lab!();
    let Pair { lan, n1, .. } = pair(&lab)?;
    let mut keepalived = n1.keepalived(&[KEEPALIVED])?;
    keepalived.wait_for_state(51, Family::Ipv4, "Active")?;
    until("the address", GENEROUS, || Ok((lan.holders(ip("10.77.0.100"))? == ["n1"]).then_some(())))?;
    keepalived.process.kill()?;
    assert_eq!(lan.holders(ip("10.77.0.100"))?, ["n1"]);
    until("its processes to end", GENEROUS, || Ok((processes_in(n1.namespace())? == 0).then_some(())))
}

#[test]
fn a_stopped_process_says_nothing_until_it_goes_on() -> Result<()> {
    let _lab = lab!();
    let namespace = Namespace::new()?;
    let mut command = namespace.command("sh");
    command.args(["-c", "while :; do echo tick; sleep 0.01; done"]);
    let mut process = Process::spawn("ticker", command)?;
    process.wait_for_output("tick", GENEROUS)?;

    process.stop()?;
    let mut last = usize::MAX;
    until("silence", GENEROUS, || {
        thread::sleep(Duration::from_millis(100));
        let len = process.transcript().len();
        Ok((std::mem::replace(&mut last, len) == len).then_some(()))
    })?;

    process.cont()?;
    until("another tick", GENEROUS, || Ok((process.transcript().len() > last).then_some(())))?;
    assert!(process.is_running());
    assert!(!process.terminate(GENEROUS)?.success());
    assert!(!process.is_running());
    assert!(process.wait_for_output("tock", GENEROUS).is_err());
    Ok(())
}

/// Processes, mounts and files of a lab end with it, even of one that nobody cleaned up.
#[test]
fn a_lab_leaves_nothing_behind() -> Result<()> {
    drop(lab!());
    let mounts_before = fs::read_to_string("/proc/self/mounts")?;
    let namespace = thread::spawn(|| -> Result<Namespace> {
        let lab = Lab::new()?;
        lab.write("file", "text")?;
        let namespace = Namespace::new()?;
        let mut command = namespace.command("sleep");
        std::mem::forget(Process::spawn("sleep", {
            command.arg("1000");
            command
        })?);
        ensure!(fs::metadata("/run/lab/file")?.len() == 4, "the file is not there");
        ensure!(processes_in(&namespace)? == 1, "the process is not there");
        ensure!(lab.bpftool(&["-j", "map", "list"])?.starts_with('['), "bpftool prints no list");
        Ok(namespace)
    })
    .join()
    .unwrap()?;
    until("the process to end", GENEROUS, || Ok((processes_in(&namespace)? == 0).then_some(())))?;
    assert!(!fs::exists("/run/lab")?);
    assert_eq!(fs::read_to_string("/proc/self/mounts")?, mounts_before);
    Ok(())
}

/// Living processes in a network namespace.
fn processes_in(namespace: &Namespace) -> Result<usize> {
    let wanted = namespace.enter(|| fs::read_link("/proc/thread-self/ns/net"))??;
    let mut count = 0;
    for entry in fs::read_dir("/proc")? {
        // A zombie has no namespace any more.
        if fs::read_link(entry?.path().join("ns/net")).is_ok_and(|found| found == wanted) {
            count += 1;
        }
    }
    Ok(count)
}
