//! The packages that do no IO have next to no dependencies: then they cannot.

use anyhow::Result;

use crate::process;

/// Package, and all that it may depend on.
const PURE: [(&str, &[&str]); 2] =
    [("vrrp", &["vipd-ebpf", "thiserror", "hmac", "sha2", "zeroize"]), ("vipd-ebpf", &[])];

/// A line for each dependency that is not allowed.
pub(super) fn check() -> Result<Vec<String>> {
    let mut problems = vec![];
    for (package, allowed) in PURE {
        let mut cargo = process::cargo();
        cargo.args(["tree", "--package", package, "--edges", "normal", "--depth", "1", "--prefix", "none"]);
        let tree = process::capture(&mut cargo)?;
        problems.extend(not_allowed(&tree, allowed).into_iter().map(|name| {
            format!("package `{package}` depends on `{name}`: it does no IO, and its dependencies are listed in xtask")
        }));
    }
    Ok(problems)
}

/// The names in `tree`, its own first line aside, that are not in `allowed`.
fn not_allowed<'a>(tree: &'a str, allowed: &[&str]) -> Vec<&'a str> {
    let names = tree.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| !allowed.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_is_not_listed_is_found() {
        let tree =
            "vrrp v0.1.0 (/src/agent/vrrp)\nthiserror v2.0.21\ntokio v1.54.1\nvipd-ebpf v0.1.0 (/src/agent-ebpf)\n";
        assert_eq!(not_allowed(tree, &["vipd-ebpf", "thiserror"]), ["tokio"]);
        assert_eq!(not_allowed("vipd-ebpf v0.1.0 (/src/agent-ebpf)\n", &[]), [""; 0]);
    }
}
