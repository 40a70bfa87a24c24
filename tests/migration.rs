//! From keepalived to vipd: samples are imported, and a cluster goes over host by host while a client asks for its addresses.

#[path = "migration/cluster.rs"]
mod cluster;
#[path = "migration/contest.rs"]
mod contest;

use std::{
    fs,
    net::IpAddr,
    path::Path,
    process::{Command, Output},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use harness::{GENEROUS, lab, until, vipd};

use self::{
    cluster::{HOSTS, Migration, address, conf},
    contest::Contests,
};

fn run(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(vipd()?).args(arguments).output()?)
}

/// What both streams say.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// Where Debian's package has its samples, unless the machine leaves documentation out.
const SAMPLES: &str = "/usr/share/doc/keepalived/samples";
/// The one that is always there.
const SAMPLE: &str = "/etc/keepalived/keepalived.conf.sample";

/// The samples with virtual routers: whether something is lost, and how many virtual routers a node takes part in.
const WITH_VRRP: [(&str, bool, usize); 12] = [
    ("keepalived.conf.SSL_GET", true, 1),
    ("keepalived.conf.conditional_conf", false, 1),
    ("keepalived.conf.sample", false, 1),
    ("keepalived.conf.track_interface", true, 1),
    ("keepalived.conf.vrrp", true, 4),
    ("keepalived.conf.vrrp.localcheck", true, 9),
    ("keepalived.conf.vrrp.lvs_syncd", true, 3),
    ("keepalived.conf.vrrp.routes", true, 1),
    ("keepalived.conf.vrrp.rules", true, 1),
    ("keepalived.conf.vrrp.scripts", false, 3),
    ("keepalived.conf.vrrp.static_ipaddress", true, 1),
    ("keepalived.conf.vrrp.sync", true, 9),
];

/// Imports a sample as two hosts, to be read by `vipd check`. Its programs are nowhere: `/bin/true` is in their place.
fn check_sample(lab: &harness::Lab, sample: &str, loses: bool, routers: usize) -> Result<()> {
    let (first, second) = (format!("n1={sample}"), format!("n2={sample}"));
    let addresses = ["--address", "n1=192.0.2.1", "--address", "n2=192.0.2.2", "--config-id", "high"];
    let hosts = [&["import"], &addresses[..], &[&first, &second]].concat();
    let output = run(&hosts)?;
    ensure!(output.status.code() == Some(i32::from(loses)), "{sample}: {}", said(&output));
    ensure!(output.stdout.is_empty() == loses, "{sample}: {}", said(&output));
    let output = run(&[&hosts[..], &["--allow-loss"]].concat())?;
    ensure!(output.status.success(), "{sample}: {}", said(&output));
    let toml = String::from_utf8(output.stdout)?;
    let lines = toml.lines().map(|line| match line.split_once(" = [\"/") {
        Some((key @ ("exec" | "command"), _)) => format!("{key} = [\"/bin/true\"]\n"),
        _ => format!("{line}\n"),
    });
    let file = lab.write("sample.toml", &lines.collect::<String>())?;
    let output = run(&["check", "--node", "n1", "--config", &file.to_string_lossy()])?;
    ensure!(output.status.success(), "{sample}: {}\n{toml}", said(&output));
    let count = format!("takes part in {routers} virtual routers");
    ensure!(said(&output).contains(&count), "{sample}: {}", said(&output));
    Ok(())
}

#[test]
fn the_samples_of_keepalived_are_imported() -> Result<()> {
    let lab = lab!();
    ensure!(Path::new(SAMPLE).exists(), "there is no `{SAMPLE}`: install keepalived");
    check_sample(&lab, SAMPLE, false, 1)?;
    let samples = match fs::read_dir(SAMPLES) {
        Ok(samples) => samples,
        Err(error) => {
            let reason =
                anyhow::Error::new(error).context(format!("failed to read `{SAMPLES}`: is documentation left out?"));
            harness::report_unavailable("the import of samples", &reason);
            return Ok(());
        }
    };
    let (mut checked, mut without) = (0, 0);
    for sample in samples {
        let (path, name) = sample.map(|sample| (sample.path(), sample.file_name()))?;
        let (path, name) = (path.to_string_lossy(), name.to_string_lossy());
        if let Some((_, loses, routers)) = WITH_VRRP.iter().find(|(known, ..)| *known == name) {
            check_sample(&lab, &path, *loses, *routers)?;
            checked += 1;
        } else if name.starts_with("keepalived.conf") {
            let output = run(&["import", &format!("n1={path}")])?;
            let loud = said(&output).contains("IPVS is NOT taken over");
            ensure!(output.status.code() == Some(1) && loud, "{name}: {}", said(&output));
            without += 1;
        }
    }
    ensure!(checked == WITH_VRRP.len() && without > 5, "{checked} samples with virtual routers, {without} without");
    Ok(())
}

#[test]
fn keys_go_into_files_of_their_own() -> Result<()> {
    let lab = lab!();
    let secret = "hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let text = format!(
        "vrrp_instance VI_1 {{\n interface vsw0\n virtual_router_id 51\n version 3\n mcast_src_ip 10.77.0.1\n auth_hmac {{\n  key 1 {secret}\n  \
         active_key 1\n }}\n virtual_ipaddress {{\n  10.77.0.101/24\n }}\n}}\n"
    );
    let file = lab.write("signed.conf", &text)?;
    let keys = file.with_file_name("keys");
    let arguments = ["import", "--keys", &keys.to_string_lossy(), &format!("n1={}", file.display())];
    for _again in 0..2 {
        let output = run(&arguments)?;
        ensure!(output.status.success() && !said(&output).contains("hex:"), "{}", said(&output));
        ensure!(fs::read_to_string(keys.join("1"))? == format!("{secret}\n"));
        let toml = lab.write("signed.toml", std::str::from_utf8(&output.stdout)?)?;
        let output = run(&["check", "--node", "n1", "--config", &toml.to_string_lossy()])?;
        ensure!(output.status.success(), "{}", said(&output));
    }
    fs::write(keys.join("1"), "another one")?;
    let output = run(&arguments)?;
    ensure!(output.status.code() == Some(1) && output.stdout.is_empty(), "a key was overwritten: {}", said(&output));
    Ok(())
}

#[test]
fn what_is_typed_wrongly_is_said() -> Result<()> {
    let lab = lab!();
    let file = lab.write("a.conf", "")?;
    let file = file.to_string_lossy();
    let (n1, other) = (format!("n1={file}"), format!("n1={file}.not"));
    let cases: [(&[&str], i32, &str); 5] = [
        (&[], 2, "required arguments were not provided"),
        (&[&other], 1, ".not`"),
        (&[&n1, &n1], 1, "two hosts are called `n1`"),
        (&[&n1, "--address", "n2=10.0.0.1"], 1, "there is no host `n2`"),
        (&[&n1, "--address", "n1=here"], 1, "`here` is not an address"),
    ];
    for (arguments, status, why) in cases {
        let output = run(&[&["import"], arguments].concat())?;
        ensure!(
            output.status.code() == Some(status) && said(&output).contains(why),
            "{arguments:?}: {}",
            said(&output)
        );
    }
    Ok(())
}

/// Three hosts of keepalived, each MASTER for one address, become three of vipd: one after the other, with both programs side by side
/// meanwhile. Before and after, the same hosts serve, also when one of them is lost.
#[test]
fn a_cluster_migrates_host_by_host() -> Result<()> {
    let lab = lab!();
    let mut migration = Migration::new(&lab)?;
    migration.start_keepalived()?;
    let before = migration.holders(|holders| holders.iter().all(Option::is_some))?;
    ensure!(before == [Some(0), Some(1), Some(2)], "keepalived serves on {before:?}");
    let lost_before = migration.without_first()?;
    migration.wait_for(&before)?;

    let toml = migration.import()?;
    let probes = migration.probes()?;
    // The address of the third host is the first to move: for it the others are Backups.
    let told_before = migration.reports("INSTANCE VI_A MASTER 150")?;
    let contests = Contests::watch(&migration.lan)?;
    for host in [2, 1, 0] {
        let begun = Instant::now();
        migration.migrate(host, &toml)?;
        migration.wait_for(&before).with_context(|| format!("after {} went over", HOSTS[host]))?;
        for (router, probe) in probes.iter().enumerate() {
            probe.wait_answered(GENEROUS)?;
            eprintln!(
                "{} went over: {} without an answer for {:?}",
                HOSTS[host],
                address(router),
                probe.outage_since(begun)
            );
        }
    }
    for probe in &probes {
        probe.wait_answered(GENEROUS)?;
    }
    contests.were_short()?;
    until("the program of keepalived to be told by vipd", GENEROUS, || {
        Ok((migration.reports("INSTANCE VI_A MASTER 150")? > told_before).then_some(()))
    })?;

    let lost_after = migration.without_first()?;
    ensure!(lost_after == lost_before, "without n1 keepalived serves on {lost_before:?}, and vipd on {lost_after:?}");
    migration.wait_for(&before)?;

    // And back again, as the page on migration says.
    migration.go_back(1)?;
    migration.wait_for(&before)?;
    let addresses: Vec<IpAddr> = (0..3).map(address).collect();
    until("each address to be on one host", GENEROUS, || {
        Ok(migration.lan.holders_of(&addresses)?.iter().all(|holders| holders.len() == 1).then_some(()))
    })
}

/// The three hosts' files are ones that `vipd import` loses nothing of.
#[test]
fn the_three_hosts_are_imported_without_loss() -> Result<()> {
    let lab = lab!();
    let files =
        (0..3).map(|host| lab.write(&format!("{}.conf", HOSTS[host]), conf(host))).collect::<Result<Vec<_>>>()?;
    let typed: Vec<_> = files.iter().zip(HOSTS).map(|(file, name)| format!("{name}={}", file.display())).collect();
    let output = run(&[&["import"], &typed.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat())?;
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.success()
            && notes.lines().all(|line| line.starts_with("changed: ") || line.starts_with("  help: ")),
        "{notes}"
    );
    Ok(())
}
