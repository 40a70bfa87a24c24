//! The maps as the page on bpftool shows them: each has its section there, and each field its line and its place.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result, bail, ensure};
use harness::{
    Cluster, Injector, Lab,
    frame::{Advert, ip},
    lab,
    neighbor::{self, ARP_REPLY, ARP_REQUEST, BROADCAST, Station},
    until,
};
use serde_json::{Value, json};
use vrrp_wire::{
    Family,
    abi::{LAYOUT, Verdict, map},
};

use crate::{
    accounts::{Account, account},
    commands::of_pages,
    read,
    stage::Stage,
};

const PAGE: &str = "docs/bpftool.md";
const PINS: &str = "/sys/fs/bpf/vipd";

/// The part of the page on one map.
struct Section<'a> {
    text: &'a str,
}

impl<'a> Section<'a> {
    /// The command of the section, and what is shown of it.
    fn example(&self) -> Result<(&'a str, &'a str)> {
        let block = |language: &str| {
            let after = self.text.split_once(&format!("```{language}\n"))?.1;
            Some(after.split_once("\n```")?.0)
        };
        let shown = block("json").or_else(|| block("text")).context("nothing is shown")?;
        Ok((block("sh").context("no command")?, shown))
    }

    /// The fields that its table explains.
    fn explained(&self) -> BTreeSet<&'a str> {
        let cells = self.text.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('|').take(3));
        let names = cells.flat_map(|cell| cell.split(','));
        names.filter_map(|name| name.trim().strip_prefix('`')?.strip_suffix('`')).collect()
    }
}

/// The sections of a page under headings of the third level, and the one of this heading of the second.
fn sections(page: &str) -> BTreeMap<&str, Section<'_>> {
    let maps = page.split_once("\n## The maps\n").map_or("", |(_, maps)| maps);
    let sections = maps.split("\n### ").skip(1).filter_map(|section| section.split_once('\n'));
    sections.map(|(name, text)| (name, Section { text })).collect()
}

/// The names of all fields in `value`.
fn fields(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(object) => {
            object.iter().flat_map(|(name, value)| fields(value).into_iter().chain([name.clone()])).collect()
        }
        Value::Array(list) => list.iter().flat_map(fields).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => BTreeSet::new(),
    }
}

/// `value` with zero for each number: names, nesting and lengths.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(object) => object.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        Value::Array(list) => list.iter().map(shape).collect(),
        Value::Number(_) => 0.into(),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

/// The entries of a map as jq prints them, one a line; no two of one shape.
fn shapes(lines: &str) -> Result<Vec<Value>> {
    let mut shapes: Vec<Value> = Vec::new();
    for line in lines.lines() {
        let shape = shape(&serde_json::from_str(line).with_context(|| format!("not JSON: `{line}`"))?);
        if !shapes.contains(&shape) {
            shapes.push(shape);
        }
    }
    Ok(shapes)
}

/// n1 was Active, an attacker has forged adverts and claimed its address, its agent hangs, and n2 has taken over.
fn play(lab: &Lab) -> Result<Stage> {
    let mut stage = Stage::new(lab, "")?;
    stage.cluster.start(1)?;
    stage.cluster.settle_on(0, 1)?;
    stage.start_first("vipd run --node n1")?;
    stage.cluster.settle_on(0, 0)?;
    let attacker = &stage.cluster.attacker;
    let injector = Injector::new(attacker)?;
    let [vip, _] = Cluster::addresses(0);
    let own = Station { mac: attacker.mac(), address: ip("10.77.0.66") };
    let forged = Advert::new(own.mac, own.address, Cluster::VRIDS[0], 255, &[vip]);
    injector.flood(&forged.frame(), 3)?;
    let target = [10, 77, 0, 101].into();
    injector.send(&neighbor::arp(ARP_REPLY, Station { address: vip, ..own }, target, BROADCAST))?;
    until("the claim to be counted", harness::GENEROUS, || Ok((!dump(lab, map::CLAIMS)?.is_empty()).then_some(())))?;

    stage.agent()?.stop()?;
    stage.cluster.agent(1)?.wait_for("n2 to take over", |status| status.all_in(&["Active"]))?;
    until("the fences of n1 to close", harness::GENEROUS, || {
        let fences = dump(lab, map::FENCES)?;
        Ok(fences.iter().all(|fence| fence["value"]["closings"] == 1).then_some(()))
    })?;
    let question = neighbor::arp(ARP_REQUEST, own, target, BROADCAST);
    injector.flood(&question, 2)?;
    Ok(stage)
}

/// The entries of a map, by bpftool alone.
fn dump(lab: &Lab, map: &str) -> Result<Vec<Value>> {
    let text = lab.bpftool(&["map", "dump", "pinned", &format!("{PINS}/{map}")])?;
    serde_json::from_str(&text).with_context(|| format!("bpftool printed of `{map}`: {text}"))
}

/// The entry of `entries` whose key has all that `key` has.
fn find<'a>(entries: &'a [Value], key: &Value) -> Result<&'a Value> {
    let has =
        |entry: &Value| key.as_object().is_some_and(|key| key.iter().all(|(name, value)| entry["key"][name] == *value));
    let found = entries.iter().find(|entry| has(entry)).with_context(|| format!("no {key} in {entries:?}"))?;
    Ok(&found["value"])
}

/// Whether the value under `key` has all that `expected` has.
fn has(lab: &Lab, map: &str, key: &Value, expected: &Value) -> Result<()> {
    let entries = dump(lab, map)?;
    let value = find(&entries, key).with_context(|| format!("map `{map}`"))?;
    let Some(expected) = expected.as_object() else {
        ensure!(value == expected, "`{map}`: {value}, not {expected}");
        return Ok(());
    };
    for (name, expected) in expected {
        ensure!(value[name] == *expected, "`{name}` of {key} in `{map}` is {}, not {expected}", value[name]);
    }
    Ok(())
}

/// An address of sixteen bytes, as maps have it.
fn ipv4(address: [u8; 4]) -> Value {
    let [a, b, c, d] = address;
    json!([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

#[test]
fn every_map_is_as_the_page_shows_it() -> Result<()> {
    let lab = lab!();
    let page = read(PAGE)?;
    let sections = sections(&page);
    let shared = page.split_once("## Fields that many have").context("no fields that many have")?.1;
    let shared = Section { text: shared.split_once("\n## ").context("no section after it")?.0 }.explained();
    ensure!(page.contains(&format!("This page is of layout {LAYOUT}.")), "the maps are of layout {LAYOUT}");
    let stage = play(&lab)?;

    let pinned = fs::read_dir(PINS)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let pinned: BTreeSet<_> = pinned.collect::<Result<_>>()?;
    let maps: BTreeSet<_> = pinned.iter().map(String::as_str).filter(|name| !name.starts_with("link_")).collect();
    let described: BTreeSet<_> = sections.keys().copied().collect();
    ensure!(maps == described, "pinned are {maps:?}, the page has {described:?}");

    for (name, section) in &sections {
        let (command, shown) = section.example().with_context(|| format!("section `{name}`"))?;
        let printed = stage.type_in(command)?;
        if *name == map::ADVERTS {
            ensure!(printed.contains("ringbuf") && shown.contains("ringbuf"), "{printed}");
            continue;
        }
        let (found, shapes_shown) = (shapes(&printed)?, shapes(shown)?);
        let agree = found.len() == shapes_shown.len() && found.iter().all(|shape| shapes_shown.contains(shape));
        ensure!(agree, "`{name}` has entries like {found:?}, the page shows {shapes_shown:?}");
        let all: BTreeSet<_> = dump(&lab, name)?
            .iter()
            .flat_map(fields)
            .filter(|field| !["key", "value", "values"].contains(&field.as_str()))
            .collect();
        let explained: BTreeSet<_> = section.explained().into_iter().filter(|&field| field != "value").collect();
        for field in &all {
            let is_explained = explained.contains(field.as_str()) || shared.contains(field.as_str());
            ensure!(is_explained, "the page does not say what `{field}` of `{name}` is");
        }
        for field in explained {
            ensure!(all.contains(field), "the page explains `{field}` of `{name}`, which has {all:?}");
        }
    }
    decoded(&lab)?;
    the_recipes_work(&stage)
}

/// What was played is in the maps, under the names that the page gives.
fn decoded(lab: &Lab) -> Result<()> {
    let router = json!({ "vlan": 0, "family": 4, "vrid": 51 });
    let of_vip = json!({ "family": 4, "address": ipv4([10, 77, 0, 101]) });
    has(lab, map::COUNTERS, &router, &json!({ "unknown_source": 3, "dropped": 3, "claims": 1, "fenced_neighbor": 2 }))?;
    has(
        lab,
        map::ROUTERS,
        &router,
        &json!({ "own_address": ipv4([10, 77, 0, 1]), "auth": 2, "fence": 1, "unicast": 0 }),
    )?;
    has(lab, map::ROLES, &router, &json!({ "active": 1, "stale_after_ns": 1_250_000_000 }))?;
    has(lab, map::FENCES, &router, &json!({ "closings": 1 }))?;
    has(lab, map::VIPS, &of_vip, &router)?;
    let peers = dump(lab, map::PEERS)?;
    let peer =
        peers.iter().find(|peer| peer["key"]["source"] == ipv4([10, 77, 0, 2])).context("no n2 among the peers")?;
    ensure!(peer["value"]["mac"] == json!([2, 0, 0, 0, 0, 2]) && peer["value"]["last_priority"] == 150, "{peer}");
    let speaker =
        json!({ "family": 4, "vrid": 51, "source": ipv4([10, 77, 0, 66]), "mac": [2, 0, 0, 0, 0, 66], "version": 3 });
    has(lab, map::SOURCES, &speaker, &json!({ "frames": 3, "priority": 255, "interval_cs": 100, "verdict": 12 }))?;
    let claims = dump(lab, map::CLAIMS)?;
    let [claim] = claims.as_slice() else { bail!("{claims:?}") };
    ensure!(claim["key"]["mac"] == json!([2, 0, 0, 0, 0, 66]) && claim["value"]["frames"] == 1, "{claim}");
    ensure!(claim["key"]["vip"]["address"] == ipv4([10, 77, 0, 101]), "{claim}");
    let rejects = dump(lab, map::REJECTS)?;
    let of_each_cpu = rejects.iter().filter_map(|entry| entry["values"].as_array()).flatten();
    let kept: Vec<_> = of_each_cpu.map(|it| &it["value"]).filter(|reject| reject["at_ns"] != 0).collect();
    ensure!(kept.len() == 3 && kept.iter().all(|it| it["verdict"] == 12 && it["captured"] == 46), "{kept:?}");
    ensure!(kept.iter().all(|it| it["frame"][26] == 10 && it["frame"][29] == 66), "not from 10.77.0.66: {kept:?}");
    Ok(())
}

/// The recipes tell the same, while the agent hangs.
fn the_recipes_work(stage: &Stage) -> Result<()> {
    let mut said = String::new();
    for typed in of_pages()? {
        if account(&typed)?.1 == &Account::Hung {
            said += &stage.type_in(&typed.command).with_context(|| format!("{}: `{}`", typed.place, typed.command))?;
        }
    }
    for line in [
        "VRID 51, IPv4: Active\n",
        "VRID 51, IPv4: priority 150, ",
        " ms old, of 20",
        "VRID 51, IPv4: unknown_source 3\n",
        "VRID 51, version 3, priority 255, 3 frames, verdict 12, from 10.77.0.66\n",
        "{\"address\":[10,77,0,101,0,0,0,0,0,0,0,0,0,0,0,0],\"mac\":[2,0,0,0,0,66],\"frames\":1}\n",
        // The address that is fenced.
        "\n[10,77,0,101,0,0,0,0,0,0,0,0,0,0,0,0]\n",
        "vsw0(2) driver id ",
        "name vipd_guard ",
        "{\"name\":\"vipd_guard\",\"run_time_ns\":",
    ] {
        ensure!(said.contains(line), "no `{line}` in what the recipes print:\n{said}");
    }
    Ok(())
}

/// The numbers and names of verdicts are the program's.
#[test]
fn the_verdicts_are_those_of_the_program() -> Result<()> {
    let page = read(PAGE)?;
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let number: usize = cells.next()?.parse().ok()?;
        Some((number, cells.next()?.trim_matches('`'), cells.next()?.starts_with('*')))
    });
    let expected = Verdict::ALL.iter().enumerate().map(|(at, verdict)| (at, verdict.name(), !verdict.is_bad()));
    let (rows, expected): (Vec<_>, Vec<_>) = (rows.collect(), expected.collect());
    ensure!(rows == expected, "the page has {rows:?}, the program {expected:?}");
    ensure!(Family::Ipv4.number() == 4 && Family::Ipv6.number() == 6, "the page says 4 and 6");
    Ok(())
}
