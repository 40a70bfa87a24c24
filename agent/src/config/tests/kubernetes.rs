//! Checks that ask Kubernetes: what a good one becomes, and what a bad one is told.

use vrrp::track::Reading;

use super::*;
use crate::check::{Check, Kubernetes, Question, Subject};

/// The base text, whose first virtual router goes by the check `c` with these `keys`.
fn text(keys: &str) -> String {
    edited(&[("vrid = 51\n", "vrid = 51\nchecks = [\"c\"]\n")]) + &format!("\n[[check]]\nname = \"c\"\n{keys}\n")
}

fn check_of(text: &str, node: &str) -> Check {
    parse(text, node).unwrap_or_else(|error| panic!("{text}\n{error}")).checks.remove(0)
}

const PODS: &str = "pods = \"app=ingress\"\nnamespace = \"ingress-nginx\"";

#[test]
fn pods_and_nodes_are_asked_for_by_the_name_that_kubernetes_has() {
    let pods = |min| Question::Pods { namespace: "ingress-nginx".to_owned(), selector: "app=ingress".to_owned(), min };
    let asked =
        |node: &str, question| Subject::Kubernetes(Kubernetes { kubeconfig: None, node: node.to_owned(), question });
    assert_eq!(check_of(&text(PODS), "n1").subject, asked("n1", pods(1)));
    assert_eq!(check_of(&text(&format!("{PODS}\nmin = 2")), "n2").subject, asked("n2", pods(2)));
    assert_eq!(check_of(&text("node = \"schedulable\""), "n1").subject, asked("n1", Question::Schedulable));
    let renamed = text(PODS).replacen("name = \"n2\"", "name = \"n2\"\nkubernetes_name = \"worker-2.example\"", 1);
    assert_eq!(check_of(&renamed, "n2").subject, asked("worker-2.example", pods(1)));
    let by_file = text(PODS) + "[kubernetes]\nkubeconfig = \"/etc/vipd/kubeconfig\"\n";
    let expected =
        Kubernetes { kubeconfig: Some("/etc/vipd/kubeconfig".into()), node: "n1".to_owned(), question: pods(1) };
    assert_eq!(check_of(&by_file, "n1").subject, Subject::Kubernetes(expected));
}

/// Whatever a check does, it does nothing before the API was heard, and one look is enough.
#[test]
fn the_election_does_not_wait_for_the_api() {
    for (keys, start) in [
        ("", Reading::Passing),
        ("\nweight = -60", Reading::Passing),
        ("\nreverse = true", Reading::Failing),
        ("\nstart = \"failing\"", Reading::Failing),
    ] {
        let check = check_of(&text(&format!("{PODS}{keys}")), "n1");
        assert_eq!((check.start, check.rise, check.fall), (Some(start), 1, 1), "{keys}");
    }
}

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>
#[test]
fn selectors_are_those_of_the_api() {
    let good = [
        "environment=production,tier=frontend",
        "environment = production",
        "environment==production",
        "tier != frontend",
        "environment in (production, qa)",
        "tier notin (frontend,backend)",
        "environment,environment notin (frontend)",
        "partition",
        "!partition",
        "partition,environment notin (qa),x=",
        "app.kubernetes.io/component=controller",
    ];
    for selector in good {
        check_of(&text(&format!("pods = \"{selector}\"\nnamespace = \"a\"")), "n1");
    }
    let long = format!("a={}", "x".repeat(64));
    for (selector, wrong) in [
        ("", ""),
        ("a=b,", ""),
        ("=b", "=b"),
        ("a=b=c", "a=b=c"),
        ("a b", "a b"),
        ("a in b", "a in b"),
        ("a in (b", "a in (b"),
        ("a=b,c within (d)", "c within (d)"),
        ("-a=b", "-a=b"),
        ("a=b_", "a=b_"),
        ("Example.com/a=b", "Example.com/a=b"),
        ("a/b/c=d", "a/b/c=d"),
        ("!", "!"),
        (long.as_str(), long.as_str()),
    ] {
        let expected = format!("32: check \"c\": pods: {wrong:?} selects no labels");
        assert_eq!(
            mistakes_in(&text(&format!("pods = \"{selector}\"\nnamespace = \"a\""))),
            [expected],
            "{selector:?}"
        );
    }
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let cases = [
        ("pods = \"app=a\"", "32: check \"c\": pods: it is not said in which namespace the pods are"),
        ("pods = \"app=a\"\nnamespace = \"A\"", "33: check \"c\": namespace: \"A\" cannot be the name of a namespace"),
        (
            "pods = \"app=a\"\nnamespace = \"a.b\"",
            "33: check \"c\": namespace: \"a.b\" cannot be the name of a namespace",
        ),
        (
            "pods = \"app=a\"\nnamespace = \"a\"\nmin = 0",
            "34: check \"c\": min: any number of pods would do, so the check could never fail",
        ),
        (
            "pods = \"app=a\"\nnamespace = \"a\"\nmax = 2",
            "34: check \"c\": max: means nothing for a check of kind pods",
        ),
        (
            "pods = \"app=a\"\nnamespace = \"a\"\ntimeout = \"1s\"",
            "34: check \"c\": timeout: means nothing for a check of kind pods",
        ),
        ("node = \"ready\"", "32: check \"c\": node: \"ready\" is not one of the choices"),
        (
            "node = \"schedulable\"\nnamespace = \"a\"",
            "33: check \"c\": namespace: means nothing for a check of kind node",
        ),
        (
            "pods = \"app=a\"\nnode = \"schedulable\"",
            "30: check \"c\": pods and node are given, and a check looks at one thing",
        ),
    ];
    for (keys, expected) in cases {
        assert_eq!(mistakes_in(&text(keys)), [expected], "{keys}");
    }
    let table = |line: &str| text(PODS) + &format!("[kubernetes]\n{line}\n");
    assert_eq!(
        mistakes_in(&table("kubeconfig = \"kubeconfig\"")),
        ["35: kubernetes: kubeconfig: \"kubeconfig\" is not an absolute path"]
    );
    assert_eq!(mistakes_in(&table("kubeconfg = \"/a\"")), ["35: kubernetes: kubeconfg: unknown key"]);
}

#[test]
fn nodes_have_names_that_kubernetes_can_have() {
    let named = |name: &str, more: &str| {
        text(PODS).replace("\"n2\"", &format!("\"{name}\"")).replacen("fd77::2\"", &format!("fd77::2\"{more}"), 1)
    };
    let expected = "12: node \"N_2\": name: \"N_2\" cannot be the name of a node in Kubernetes, which checks ask for";
    assert_eq!(mistakes_in(&named("N_2", "")), [expected]);
    check_of(&named("N_2", "\nkubernetes_name = \"n2\""), "n1");
    assert_eq!(
        mistakes_in(&named("n2", "\nkubernetes_name = \"N2\"")),
        ["15: node \"n2\": kubernetes_name: \"N2\" cannot be the name of a node in Kubernetes"]
    );
    let twice = named("n2", "\nkubernetes_name = \"x\"").replacen("fd77::1\"", "fd77::1\"\nkubernetes_name = \"x\"", 1);
    assert_eq!(mistakes_in(&twice), ["16: node \"n2\": kubernetes_name: x is that of node \"n1\" (line 9) already"]);
    // Without such a check Kubernetes is nobody's business.
    parse(&edited(&[]).replace("\"n2\"", "\"N_2\""), "n1").unwrap();
}
