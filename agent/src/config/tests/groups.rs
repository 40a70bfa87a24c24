//! Which virtual routers move together, and what is no group.

use super::*;

/// Three IPv4 virtual routers, web-a, web-b and web-c, of n1 and n2 in this order, and what `more` says.
fn text(more: &str) -> String {
    let head = BASE.split_once("[[virtual_router]]").unwrap().0;
    let entry = |(at, name): (usize, &str)| {
        format!(
            "[[virtual_router]]\nname = \"web-{name}\"\nvrid = {}\naddresses = [\"10.77.0.{}/24\"]\nnodes = [\"n1\", \"n2\"]\n\n",
            53 - at,
            100 + at
        )
    };
    let entries: String = ["a", "b", "c"].into_iter().enumerate().map(entry).collect();
    format!("{head}{entries}{more}")
}

/// What `NAME/FAMILY` moves with, and who breaks ties.
fn groups(text: &str, node: &str) -> Vec<(String, Option<(String, bool)>)> {
    let config = parse(text, node).unwrap();
    let group = |router: &VirtualRouter| router.group.as_ref().map(|it| (it.group.clone(), it.breaks_ties));
    config.virtual_routers.iter().map(|it| (format!("{}/{}", it.name, it.family), group(it))).collect()
}

fn expected(of: &[(&str, Option<(&str, bool)>)]) -> Vec<(String, Option<(String, bool)>)> {
    let owned = |group: Option<(&str, bool)>| group.map(|(name, breaks_ties)| (name.to_owned(), breaks_ties));
    of.iter().map(|&(router, group)| (router.to_owned(), owned(group))).collect()
}

/// The halves of an entry do, unless it or the cluster says otherwise; an owner has its addresses whatever becomes of others.
#[test]
fn the_families_of_an_entry_move_together() {
    let together = [("IPv4", true), ("IPv6", false)];
    let cases = [
        (&[][..], true, true),
        (&[("vrid = 51", "vrid = 51\nsync_families = false")], false, true),
        (&[("interface", "sync_families = false\ninterface")], false, false),
        (
            &[("interface", "sync_families = false\ninterface"), ("vrid = 52", "vrid = 52\nsync_families = true")],
            false,
            true,
        ),
    ];
    for (edits, web_a, web_b) in cases {
        let routers = [("web-a", web_a), ("web-b", web_b)].into_iter().flat_map(|(name, is_group)| {
            together.map(|(family, ties)| (format!("{name}/{family}"), is_group.then(|| (name.to_owned(), ties))))
        });
        assert_eq!(groups(&edited(edits), "n1"), routers.collect::<Vec<_>>(), "{edits:?}");
    }
    let owned = edited(&[
        (r#"["10.77.0.100/24", "fd77::100/64"]"#, r#"["10.77.0.1/24", "fd77::1/64", "fe80::1/64"]"#),
        (r#"nodes = ["n1", "n2"]"#, "priorities = { n1 = 255, n2 = 100 }"),
    ]);
    assert_eq!(groups(&owned, "n2")[..2], expected(&[("web-a/IPv4", None), ("web-a/IPv6", None)]));
}

/// The one of IPv4 with the least VRID breaks ties, in whatever order the file has them.
#[test]
fn a_group_has_the_virtual_routers_that_it_lists() {
    for order in [r#""web-a", "web-c""#, r#""web-c", "web-a""#] {
        let text = text(&format!("[[group]]\nname = \"web\"\nvirtual_routers = [{order}]\n"));
        for node in ["n1", "n2"] {
            let routers =
                [("web-a/IPv4", Some(("web", false))), ("web-b/IPv4", None), ("web-c/IPv4", Some(("web", true)))];
            assert_eq!(groups(&text, node), expected(&routers), "{order} {node}");
        }
    }
    let whole = format!("{BASE}\n[[group]]\nname = \"web\"\nvirtual_routers = [\"web-a\"]\n");
    let membership = parse(&whole, "n1").unwrap().virtual_routers.remove(1).group.unwrap();
    assert_eq!(membership, Membership { group: "web".to_owned(), is_listed: true, breaks_ties: false });
}

#[test]
fn what_is_no_group_is_refused() {
    let group = |name: &str, members: &str| format!("[[group]]\nname = \"{name}\"\nvirtual_routers = [{members}]\n");
    let edited = |edits: &[(&str, &str)], members: &str| {
        let text = edits.iter().fold(text(&group("web", members)), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        mistakes_in(&text)
    };
    let at = |line: u32, mistake: &str| format!("{line}: group \"web\": {mistake}");
    let list = |mistake: &str| vec![at(37, &format!("virtual_routers: {mistake}"))];
    assert_eq!(edited(&[], ""), list("there is no virtual router"));
    assert_eq!(mistakes_in(&text("[[group]]\nname = \"web\"\n")), [at(35, "virtual_routers: missing")]);
    assert_eq!(edited(&[], r#""web-a", "web-d""#), list("there is no virtual router \"web-d\""));
    let twice = "\"web-a\" is listed in group \"web\" (line 37) already";
    assert_eq!(edited(&[], r#""web-a", "web-b", "web-a""#), list(twice));
    let two = format!("{}{}", group("web", r#""web-a", "web-b""#), group("www", r#""web-c", "web-a""#));
    assert_eq!(mistakes_in(&text(&two)), [format!("40: group \"www\": virtual_routers: {twice}")]);
    let two = format!("{}{}", group("web", r#""web-a""#), group("web", r#""web-b", "web-c""#));
    assert_eq!(mistakes_in(&text(&two))[1], "39: group \"web\": name: web is that of group \"web\" (line 36) already");
    let named = text(&group("web-c", r#""web-a", "web-b""#));
    assert_eq!(
        mistakes_in(&named),
        ["36: group \"web-c\": name: \"web-c\" is the name of virtual_router \"web-c\" (line 29) already"]
    );
}

/// All nodes have the same members, in the same order of preference.
#[test]
fn a_group_that_could_be_torn_apart_is_refused() {
    let web = "[[group]]\nname = \"web\"\nvirtual_routers = [\"web-a\", \"web-b\"]\n";
    let of = |from: &str, to: &str| mistakes_in(&text(web).replacen(from, to, 1));
    let torn = "group \"web\": virtual_routers: \"web-b\" has other nodes, or prefers them in another order, than \
                \"web-a\": no node could have both";
    let nodes = r#"nodes = ["n1", "n2"]"#;
    for other in [
        r#"nodes = ["n2", "n1"]"#,
        r#"nodes = ["n1"]"#,
        "priorities = { n1 = 200, n2 = 150 }",
        "priorities = { n2 = 200, n1 = 150 }",
    ] {
        assert_eq!(of(nodes, other), [format!("37: {torn}")], "{other}");
    }
    let both = |one: &str, other: &str| text(web).replacen(nodes, one, 1).replacen(nodes, other, 1);
    let same = both("priorities = { n1 = 200, n2 = 150 }", "priorities = { n2 = 150, n1 = 200 }");
    assert_eq!(groups(&same, "n1")[0].1, Some(("web".to_owned(), false)));

    let owned =
        text(web).replacen("10.77.0.100/24", "10.77.0.1/24", 1).replacen(nodes, "priorities = { n1 = 255, n2 = 9 }", 1);
    let mistake = "group \"web\": virtual_routers: \"n1\" owns the addresses of \"web-a\", and keeps them whatever becomes of \
                 others";
    assert_eq!(mistakes_in(&owned)[0], format!("37: {mistake}"));
    assert_eq!(
        of("vrid = 53", "vrid = 53\nsync_families = false"),
        [
            "20: virtual_router \"web-a\": sync_families: \"web-a\" is in group \"web\" (line 38), whose members move together"
        ]
    );
}

#[test]
fn what_changes_less_than_it_seems_is_a_warning() {
    let warnings = |text: &str| -> Vec<String> {
        parse(text, "n1").unwrap().warnings.iter().map(|warning| format!("{}: {}", warning.key, warning.what)).collect()
    };
    let web = |members: &str| text(&format!("[[group]]\nname = \"web\"\nvirtual_routers = [{members}]\n"));
    assert_eq!(
        warnings(&web("\"web-a\"")),
        ["group \"web\": virtual_routers: \"web-a\" alone has nobody to move together with"]
    );
    assert_eq!(
        warnings(&web("\"web-a\", \"web-b\"").replacen("vrid = 52", "vrid = 52\npreempt = false", 1)),
        [
            "virtual_router \"web-b\": preempt: \"web-b\" preempts otherwise than \"web-a\": the group preempts only when both would"
        ]
    );
    assert_eq!(
        warnings(&text("").replacen("vrid = 52", "vrid = 52\nsync_families = true", 1)),
        ["virtual_router \"web-b\": sync_families: changes nothing: all addresses are of one IP version"]
    );
}

/// keepalived leaves weights out in a group. Here they count for all members alike, as does a check that means Fault: each check
/// once, whichever of them goes by it.
#[test]
fn members_share_their_checks() {
    // (checks of web-a, of web-b, of the group, what web-a and web-b go by, what web-c does)
    let cases = [
        ("", "", "", &[][..]),
        ("\"w\"", "", "", &["w"]),
        ("", "\"w\"", "", &["w"]),
        ("", "", "\"w\"", &["w"]),
        ("\"w\"", "\"w\"", "\"w\"", &["w"]),
        ("\"w\"", "\"f\"", "", &["w", "f"]),
        ("\"f\"", "", "\"w\"", &["f", "w"]),
    ];
    for (one, other, group, expected) in cases {
        let text = text(&format!(
            "[[group]]\nname = \"web\"\nvirtual_routers = [\"web-a\", \"web-b\"]\nchecks = [{group}]\n\
             [[check]]\nname = \"w\"\ntcp = \"127.0.0.1:80\"\nweight = -60\n[[check]]\nname = \"f\"\ntcp = \"127.0.0.1:81\"\n"
        ));
        let text = text.replacen("vrid = 53", &format!("vrid = 53\nchecks = [{one}]"), 1);
        let text = text.replacen("vrid = 52", &format!("vrid = 52\nchecks = [{other}]"), 1);
        let config = parse(&text, "n1").unwrap();
        let checks = |at: usize| -> Vec<(String, Option<i16>)> {
            let tracked = config.virtual_routers[at].checks.iter();
            tracked.map(|tracked| (tracked.check.clone(), tracked.effect.weight)).collect()
        };
        let expected: Vec<_> = expected.iter().map(|&name| (name.to_owned(), (name == "w").then_some(-60))).collect();
        assert_eq!([checks(0), checks(1)], [expected.clone(), expected.clone()], "{one} {other} {group}");
        assert_eq!(checks(2), [], "{one} {other} {group}");
        assert_eq!(config.checks.len(), expected.len(), "{one} {other} {group}");
    }
    let wrong = "[[group]]\nname = \"web\"\nvirtual_routers = [\"web-a\", \"web-b\"]\nchecks = [\"w\"]\n";
    assert_eq!(mistakes_in(&text(wrong)), ["38: group \"web\": checks: there is no check \"w\""]);
}
