//! What `vipd rejects` and `vipd speakers` show of a guard, with and without its daemon.

use std::{fs, net::IpAddr, process::Output, time::Duration};

use anyhow::{Context, Result, ensure};
use harness::{
    Agent, Cluster, ClusterConfig, GENEROUS, Host, Injector, Lab,
    frame::{Advert, Checksum, multicast_mac},
    lab, until, vipd,
};
use serde_json::{Value, json};
use vrrp_wire::{Family, MacAddr};

/// The Ethernet address of the attacker, and of 10.77.0.66.
const ATTACKER: &str = "02:00:00:00:00:42";

/// A cluster of `nodes` nodes that has settled.
fn settled(lab: &Lab, nodes: usize) -> Result<Cluster> {
    let mut cluster = Cluster::new(lab, nodes, &ClusterConfig { interval: "500ms", ..ClusterConfig::default() })?;
    cluster.start_all()?;
    cluster.settle_on(0, 0)?;
    Ok(cluster)
}

/// An advert in the attacker's own name for the first virtual router.
fn advert(cluster: &Cluster, family: Family) -> Advert {
    let attacker = &cluster.attacker;
    let [ipv4, ipv6] = Cluster::addresses(0);
    let (source, vip) = match family {
        Family::Ipv4 => (IpAddr::from([10, 77, 0, 66]), ipv4),
        Family::Ipv6 => (attacker.link_local().into(), ipv6),
    };
    Advert::new(attacker.mac(), source, Cluster::VRIDS[0], 255, &[vip])
}

/// What a command of the daemon's executable prints as JSON.
fn ask(agent: &Agent, command: &[&str]) -> Result<Value> {
    let text = agent.run(&[command, &["--json"]].concat())?;
    serde_json::from_str(&text).with_context(|| format!("`vipd {}` printed `{text}`", command.join(" ")))
}

/// Waits until a list in what `command` prints has `count` entries, and returns everything.
fn wait_for(agent: &Agent, command: &str, list: &str, count: usize) -> Result<Value> {
    until(&format!("{count} {list}"), GENEROUS, || {
        let said = ask(agent, &[command])?;
        Ok(said[list].as_array().is_some_and(|list| list.len() == count).then_some(said))
    })
}

/// The time of day in UTC, in the form of RFC 3339.
fn utc(host: &Host) -> Result<String> {
    Ok(host.run("date", &["--utc", "+%Y-%m-%dT%H:%M:%S.%6NZ"])?.trim().to_owned())
}

/// Sends three bad adverts for which there are three reasons, and returns the rows of the first node.
fn provoke(cluster: &Cluster) -> Result<Value> {
    let injector = Injector::new(&cluster.attacker)?;
    let [ipv4, ipv6] = [Family::Ipv4, Family::Ipv6].map(|family| advert(cluster, family));
    let bad = [ipv4.clone(), Advert { ttl: 254, ..ipv4 }, Advert { version: 4, priority: 7, ..ipv6 }];
    for (place, advert) in bad.into_iter().enumerate() {
        injector.send(&advert.frame())?;
        // One after the other: the CPUs of the receiver have rings of their own.
        wait_for(cluster.agent(0)?, "rejects", "rejects", place + 1)?;
    }
    wait_for(cluster.agent(0)?, "rejects", "rejects", 3)
}

/// Somebody who looks into what is wrong must not depend on the daemon, which may be it.
#[test]
fn bad_frames_are_shown_while_the_agent_hangs_and_after_it_was_killed() -> Result<()> {
    let lab = lab!();
    let mut cluster = settled(&lab, 1)?;
    let before = utc(&cluster.attacker)?;
    let said = provoke(&cluster)?;
    let after = utc(&cluster.attacker)?;
    let times = said["rejects"].as_array().context("no list")?.iter().map(|row| row["at"].as_str().unwrap_or_default());
    let times: Vec<_> = [before.as_str()].into_iter().chain(times).chain([after.as_str()]).collect();
    ensure!(times.is_sorted(), "not in the order of time: {times:?}");

    let link_local = cluster.attacker.link_local().to_string();
    let ipv4 = json!({
        "interface": "vsw0", "source_mac": ATTACKER, "source": "10.77.0.66", "destination": "224.0.0.18",
        "vlan": null, "vrid": 51, "priority": 255, "frame_len": 46, "captured": 46,
    });
    let ipv6 = json!({
        "interface": "vsw0", "source_mac": ATTACKER, "source": link_local, "destination": "ff02::12",
        "vlan": null, "vrid": 51, "priority": 7, "frame_len": 78, "captured": 78,
    });
    let expected = [(ipv4.clone(), "unknown_source", 255), (ipv4, "ttl", 254), (ipv6, "version", 255)];
    for (place, (mut row, verdict, ttl)) in expected.into_iter().enumerate() {
        row["verdict"] = verdict.into();
        row["ttl"] = ttl.into();
        row["at"] = times[place + 1].into();
        ensure!(said["rejects"][place] == row, "row {place} is {:#}, not {row:#}", said["rejects"][place]);
    }

    let mut agent = cluster.take(0)?;
    agent.process.stop()?;
    let shown = agent.run(&["rejects"])?;
    ensure!(shown.lines().count() == 4, "{shown}");
    agent.process.kill()?;
    let shown = agent.run(&["rejects", "--limit", "1"])?;
    let last = shown.lines().last().unwrap_or_default();
    ensure!(shown.lines().count() == 2 && last.contains("version") && last.contains(&link_local), "{shown}");
    agent.run(&["speakers"]).map(drop)
}

/// What a time in the form `12:34:56.789` adds to the hour: tcpdump prints in the zone of this machine.
fn past_the_hour(time: &str) -> Result<Duration> {
    let (rest, seconds) = time.trim_end_matches('Z').rsplit_once(':').context("no seconds")?;
    let (_, minutes) = rest.rsplit_once(':').context("no minutes")?;
    Ok(Duration::from_mins(minutes.parse()?) + Duration::from_secs_f64(seconds.parse()?))
}

/// tcpdump reads the capture, with the time of each frame, and Wireshark shows its reason.
#[test]
fn bad_frames_are_captured_for_tcpdump() -> Result<()> {
    let lab = lab!();
    let cluster = settled(&lab, 1)?;
    let said = provoke(&cluster)?;
    let agent = cluster.agent(0)?;
    let file = lab.write("rejects.pcapng", "")?;
    let name = file.to_str().context("not UTF-8")?;
    let wrote = agent.run(&["rejects", "--pcap", name])?;
    ensure!(wrote.starts_with("wrote 3 frames"), "{wrote}");

    let read = cluster.nodes[0].run("tcpdump", &["-r", name, "-nn", "-e", "-v", "-tttt"])?;
    for (text, count) in [
        ("02:00:00:00:00:42 > 01:00:5e:00:00:12, ethertype IPv4 (0x0800), length 46", 2),
        ("02:00:00:00:00:42 > 33:33:00:00:00:12, ethertype IPv6 (0x86dd), length 78", 1),
        ("(tos 0xc0, ttl 254,", 1),
        ("vrid 51, prio 255", 2),
        ("addrs: 10.77.0.101", 2),
        // What tcpdump says of a frame that is cut short.
        ("[|", 0),
    ] {
        ensure!(read.matches(text).count() == count, "`{text}` is not there {count} times:\n{read}");
    }
    let told = past_the_hour(said["rejects"][0]["at"].as_str().context("no time")?)?;
    let captured = past_the_hour(read.split_whitespace().nth(1).context("no time")?)?;
    // Each process reads the two clocks once, at moments of its own.
    ensure!(told.abs_diff(captured) < Duration::from_millis(10), "{told:?} past the hour, or {captured:?}:\n{read}");
    let bytes = fs::read(&file)?;
    for comment in ["vipd: unknown_source", "vipd: ttl", "vipd: version", "vsw0"] {
        let found = bytes.windows(comment.len()).any(|window| window == comment.as_bytes());
        ensure!(found, "`{comment}` is not in the capture");
    }

    let program = vipd()?;
    let command = format!(
        "{} rejects --limit 1 --pcap - --instance {} | tcpdump -r - -nn",
        program.to_str().context("not UTF-8")?,
        agent.instance()
    );
    let read = cluster.nodes[0].run("sh", &["-c", &command])?;
    ensure!(read.lines().count() == 1 && read.contains("ff02::12"), "{read}");
    Ok(())
}

/// An ARP request of the attacker for nobody, with the address `claimed` as its sender's. RFC 826.
fn arp_claim(mac: MacAddr, claimed: [u8; 4]) -> Vec<u8> {
    let ethernet = [MacAddr::BROADCAST.0.as_slice(), &mac.0, &[0x08, 0x06]].concat();
    let fixed = [0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x01];
    [ethernet.as_slice(), &fixed, &mac.0, &claimed, &[0; 6], &claimed].concat()
}

/// VRRPv3, VRRPv2 and CARP of strangers, as each of them counts its interval.
fn foreign(cluster: &Cluster) -> [Advert; 3] {
    let advert = advert(cluster, Family::Ipv4);
    let addresses = vec![[10, 77, 0, 98].into(), [10, 77, 0, 99].into()];
    let v3 = Advert { vrid: 99, priority: 150, interval_cs: 275, addresses, ..advert.clone() };
    // Authentication Type 1, and 3 seconds. RFC 2338 §5.3.6, §5.3.7.
    let v2 = Advert { version: 2, interval_cs: 0x0103, vrid: 98, trailer: b"password".to_vec(), ..advert.clone() };
    // VHID 7, skew 100, seven words of counter and digest, base of 2 seconds.
    let carp = Advert {
        version: 2,
        vrid: 7,
        priority: 100,
        count: Some(7),
        interval_cs: 2,
        addresses: Vec::new(),
        checksum: Checksum::MessageOnly,
        trailer: vec![0x5a; 28],
        destination_mac: multicast_mac(advert.destination),
        ..advert
    };
    [v3, v2, carp]
}

#[test]
fn everybody_who_speaks_is_shown() -> Result<()> {
    let lab = lab!();
    let cluster = settled(&lab, 2)?;
    let injector = Injector::new(&cluster.attacker)?;
    for advert in foreign(&cluster) {
        injector.flood(&advert.frame(), 2)?;
    }
    injector.send(&arp_claim(cluster.attacker.mac(), [10, 77, 0, 101]))?;
    let backup = cluster.agent(1)?;
    wait_for(backup, "speakers", "claims", 1)?;
    // Of n1 over IPv4 and IPv6, and of the attacker.
    let said = wait_for(backup, "speakers", "speakers", 5)?;
    let speaker = |vrid: u8, source: &str| {
        let rows = said["speakers"].as_array().map_or(&[][..], Vec::as_slice);
        rows.iter().find(|row| row["vrid"] == vrid && row["source"] == source).cloned().unwrap_or_default()
    };
    let expected = [
        (7, "10.77.0.66", "CARP", ATTACKER, 100, 2_000, 0, Value::Null, "carp"),
        (98, "10.77.0.66", "VRRPv2", ATTACKER, 255, 3_000, 1, "10.77.0.101".into(), "not_configured"),
        (99, "10.77.0.66", "VRRPv3", ATTACKER, 150, 2_750, 2, "10.77.0.98".into(), "not_configured"),
    ];
    for (vrid, source, protocol, mac, priority, interval_ms, addresses, address, verdict) in expected {
        let row = speaker(vrid, source);
        let expected = json!({
            "interface": "vsw0", "vlan": null, "protocol": protocol, "vrid": vrid, "source": source, "mac": mac,
            "priority": priority, "interval_ms": interval_ms, "address": address, "addresses": addresses, "frames": 2,
            "first_seen": row["first_seen"], "last_seen": row["last_seen"], "verdict": verdict,
        });
        ensure!(row == expected, "{row:#}, not {expected:#}");
    }
    let active = speaker(51, "10.77.0.1");
    ensure!((&active["protocol"], &active["verdict"]) == (&json!("VRRPv3"), &json!("admitted")), "{active:#}");
    ensure!(active["interval_ms"] == 500 && active["mac"] == "02:00:00:00:00:01", "{active:#}");
    let claim = &said["claims"][0];
    ensure!(claim["address"] == "10.77.0.101" && claim["mac"] == ATTACKER && claim["frames"] == 1, "{claim:#}");
    let shown = backup.run(&["speakers"])?;
    ensure!(shown.lines().count() == 9 && shown.contains("10.77.0.98 + 1"), "{shown}");
    Ok(())
}

fn run(host: &Host, arguments: &[&str]) -> Result<Output> {
    host.namespace().command(vipd()?).args(arguments).output().context("failed to start vipd")
}

#[test]
fn without_a_guard_there_is_nothing_to_show() -> Result<()> {
    let lab = lab!();
    let config = ClusterConfig { guard: "attach = \"off\"", ..ClusterConfig::default() };
    let mut cluster = Cluster::new(&lab, 1, &config)?;
    cluster.start_all()?;
    let on_sockets = cluster.agent(0)?.instance();
    for instance in ["nobody", on_sockets] {
        for command in [&["rejects"][..], &["rejects", "--pcap", "-"], &["speakers"]] {
            let output = run(&cluster.nodes[0], &[command, &["--instance", instance]].concat())?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.code() == Some(1), "{command:?} of {instance} ended with {}", output.status);
            ensure!(said.contains(&format!("no guard of `vipd@{instance}`")), "{said}");
            ensure!(output.stdout.is_empty(), "{command:?} of {instance} printed something");
        }
    }
    Ok(())
}
