//! How files are read, from keepalived.conf(5), "ADVANCED CONFIGURATION".

use super::*;
use crate::import::{lines, note::Notes};

/// The lines that `a.conf` comes to at the host `main`.
fn lines(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let mut notes = Notes::default();
    let read = lines::read(&Memory::of(files), Path::new("a.conf"), "main", &mut notes).unwrap();
    let notes = notes.into_sorted().iter().map(|note| note.to_string().lines().next().unwrap().to_owned()).collect();
    (read.into_iter().map(|line| line.text).collect(), notes)
}

fn of(text: &str) -> Vec<String> {
    let (lines, notes) = lines(&[("a.conf", text)]);
    assert_eq!(notes, [""; 0]);
    lines
}

#[test]
fn a_variable_is_replaced_when_it_is_used() {
    let text = "$BASE=10.2.${SUB}\n$SUB=0\n${BASE}.100/32\n$SUB=10\n${BASE}.100/32\n${OTHER} $OTHER $SUB.1 $SUB";
    assert_eq!(of(text), ["10.2.0.100/32", "10.2.10.100/32", "${OTHER} $OTHER $SUB.1 10"]);
}

#[test]
fn a_line_with_an_id_is_for_that_host_alone() {
    assert_eq!(of("@main a\n@backup b\n@^main c\n@^backup d\n@main"), ["a", "d"]);
    assert_eq!(
        of("@main $P=240\n@backup $P=200\npriority $P\n$IF=@main\n$IF x\n$NOT=@backup\n$NOT y"),
        ["priority 240", "x"]
    );
    assert_eq!(of("name ${_INSTANCE} ${_HASH}${_BANG}"), ["name main #!"]);
}

#[test]
fn a_definition_may_have_several_lines() {
    let text = "$I= \\\nvrrp_instance VI_${N} { \\\n @main priority 1 \\ # one\n @backup priority 2 \\\n}\n$N=0\n$I\n$N=1\n$I\nend";
    let expected = ["vrrp_instance VI_0 {", "priority 1", "}", "vrrp_instance VI_1 {", "priority 1", "}", "end"];
    assert_eq!(of(text), expected);
}

#[test]
fn a_sequence_repeats_the_rest_of_the_line() {
    assert_eq!(of("~SEQ(S, 0, 3) 10.0.${S}.1"), ["10.0.0.1", "10.0.1.1", "10.0.2.1", "10.0.3.1"]);
    assert_eq!(of("~SEQx(S, 0x90, 0x10, 0xc0) ${S}"), ["90", "a0", "b0", "c0"]);
    assert_eq!(of("~SEQ(S, 2) ${S}"), ["1", "2"]);
    assert_eq!(of("~SEQ(S, -2) ${S}"), ["-1", "-2"]);
    assert_eq!(of("~SEQ(S, 3, 1) ${S}"), ["3", "2", "1"]);
    assert_eq!(of("$N=2\n~SEQ(A, ${N}) ~SEQ(B, 8, 9) ${A}.${B}"), ["1.8", "1.9", "2.8", "2.9"]);
}

#[test]
fn a_list_repeats_the_rest_of_the_line() {
    let text = "~LST({IP, IP1}, {10,1},{20,4}) ~SEQ(IP2,168,2,170) 192.${IP2}.${IP}.${IP1}";
    assert_eq!(of(text), ["192.168.10.1", "192.170.10.1", "192.168.20.4", "192.170.20.4"]);
    assert_eq!(of("~LST(V, a, b) ${V}"), ["a", "b"]);
}

#[test]
fn files_include_files_seen_from_where_they_are() {
    let files = [
        ("a.conf", "one\ninclude conf.d/*.conf\ntwo\n@backup include conf.d/b.conf\nincluder {x,y}.conf"),
        ("conf.d/b.conf", "b"),
        ("conf.d/a.conf", "a\ninclude sub/c.conf"),
        ("conf.d/.hidden.conf", "hidden"),
        ("conf.d/sub/c.conf", "${_PWD}"),
        ("x.conf", "x"),
        ("y.conf", "y"),
    ];
    assert_eq!(lines(&files), (["one", "a", "conf.d/sub", "b", "two", "x", "y"].map(str::to_owned).to_vec(), vec![]));
}

/// keepalived opens one file of a pattern after the other.
#[test]
fn a_pattern_may_mean_many_files() {
    let names: Vec<_> = (10..35).map(|number| (format!("d/{number}.conf"), format!("line {number}"))).collect();
    let mut files = vec![("a.conf", "include d/*.conf")];
    files.extend(names.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let expected: Vec<_> = names.iter().map(|(_, text)| text.clone()).collect();
    assert_eq!(lines(&files), (expected, vec![]));

    // What a sibling includes as well is read twice.
    let files = [("a.conf", "include d/*.conf"), ("d/1.conf", "one\ninclude 2.conf"), ("d/2.conf", "two")];
    assert_eq!(lines(&files), (["one", "two", "two"].map(str::to_owned).to_vec(), vec![]));
}

#[test]
fn what_has_no_end_is_ended() {
    let (_, notes) = lines(&[("a.conf", "$A=$B\n$B=$A\nx $A")]);
    assert_eq!(notes, ["lost: a.conf:3: definitions and sequences come to too much here; the rest is not read"]);
    let (_, notes) = lines(&[("a.conf", "$A=${A}${A}\nx $A")]);
    assert!(notes[0].starts_with("lost: a.conf:2: a line of "), "{notes:?}");
    let (_, notes) = lines(&[("a.conf", "~SEQ(A, 1, 9223372036854775807) ~SEQ(B, 1, 9223372036854775807) x")]);
    assert_eq!(notes, ["lost: a.conf:1: definitions and sequences come to too much here; the rest is not read"]);
    let (lines, notes) = lines(&[("a.conf", "x\ninclude b.conf"), ("b.conf", "include a.conf\ny")]);
    assert_eq!(
        (lines, notes),
        (vec!["x".to_owned(), "y".to_owned()], vec!["lost: b.conf:1: a.conf includes itself".to_owned()])
    );
}

#[test]
fn a_file_that_is_not_there_is_said() {
    let (_, notes) = lines(&[("a.conf", "include b.conf\ninclude c/*")]);
    assert_eq!(
        notes,
        ["lost: a.conf:1: b.conf cannot be read: entity not found", "ignored: a.conf:2: there is no file \"c/*\""]
    );
}

#[test]
fn braces_stand_anywhere() {
    let text = "vrrp_instance VI_1\n{\n interface eth0 virtual_router_id\n virtual_router_id 5\n virtual_ipaddress { 10.0.0.101/24 }\n \
                track_interface{\n  eth1 }\n}\nvrrp_sync_group G { group { VI_1\n VI_2 } }\n}\nvrrp_instance VI_2 {";
    let import = one(text);
    assert_eq!(routers(&import).lines().nth(3), Some("vrid = 5"), "{}", import.toml);
    assert!(import.toml.contains("[[group]]\nname = \"G\"\nvirtual_routers = [\"VI_1\"]\n"), "{}", import.toml);
    assert!(import.toml.contains("[[check]]\nname = \"eth1\"\ninterface = \"eth1\"\n"), "{}", import.toml);
    assert!(has(&import, "lost: k.conf:11: this } closes nothing"), "{:?}", notes(&import));
    assert!(has(&import, "lost: k.conf:12: this block is never closed"), "{:?}", notes(&import));
}

#[test]
fn an_unknown_word_is_said_with_its_place() {
    let import = one(&(instance(" prioritty 100\n virtual_router_ip 7") + "vrrp_instanze VI_2 {\n state MASTER\n}\n"));
    let unknown: Vec<_> = notes(&import).into_iter().filter(|note| note.starts_with("unknown")).collect();
    let expected = [
        "unknown: k.conf:7: \"prioritty\" is no keyword here",
        "unknown: k.conf:8: \"virtual_router_ip\" is no keyword here",
    ];
    assert_eq!(unknown, expected);
    let lost =
        "lost: k.conf:10: \"vrrp_instanze\" is no keyword here, and nothing that stands in its block is imported";
    assert!(has(&import, lost), "{:?}", notes(&import));
}

/// A password on a line of its own looks like a keyword.
#[test]
fn no_note_has_a_secret_in_it() {
    let secrets = " authentication {\n  auth_type PASS\n  auth_pass s3cret-1\n  s3cret-2 x\n }\n auth_hmac {\n  key 1 s3cret-3-s3cret-3-s3cret-3-s3cret-3\n  \
                   s3cret-4\n  key x s3cret-5\n  mode s3cret-6\n }";
    let import = several(&[&instance(secrets), &instance(&secrets.replace("s3cret", "s3cr3t"))]);
    let said = import.notes.iter().map(ToString::to_string).collect::<String>() + &import.comments();
    assert!(import.notes.len() > 5 && !said.contains("s3cret") && !said.contains("s3cr3t"), "{said}");
}
