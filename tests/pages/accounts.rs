//! Who runs each command of the pages.

use anyhow::{Context, Result};

use crate::commands::Typed;

/// How a command is run by the tests of this program, on a node of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It ends by itself, with status 0.
    Answers,
    /// It judges: it ends by itself, with status 0 or 1, and says something.
    Judges,
    /// It goes on for ever, and shows what happens.
    Follows,
    /// It is the agent.
    Serves,
    /// It is for what an agent has left that was killed.
    CleansUp,
}

/// Who runs a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// The test of vipd's commands.
    Here(Manner),
    /// The test of the maps, while the node's agent hangs.
    Hung,
    /// Another one: its file, and what in that file runs it.
    There {
        /// The file, from the top of the repository.
        file: &'static str,
        /// Its text.
        proof: &'static str,
    },
    /// Nobody, and why.
    Nobody(&'static str),
}

const ANSWERS: Account = Account::Here(Manner::Answers);
const PACKAGE: Account = Account::There {
    file: "tests/package.rs",
    proof: "fn a_cluster_is_installed_upgraded_and_removed_with_the_package(",
};
const MIGRATION: Account =
    Account::There { file: "tests/migration.rs", proof: "fn the_three_hosts_are_imported_without_loss(" };
const VSWITCH: Account = Account::Nobody("takes three servers of Hetzner, and other people's programs");
const CI: &str = ".ci/run";

/// Commands by how they begin. The longest that fits counts.
pub(crate) const ACCOUNTS: &[(&str, Account)] = &[
    ("vipd", ANSWERS),
    ("vipd run", Account::Here(Manner::Serves)),
    ("vipd events", Account::Here(Manner::Follows)),
    ("vipd status --watch", Account::Here(Manner::Follows)),
    (
        "vipd top",
        Account::There { file: "tests/screen.rs", proof: "fn top_shows_a_failover_and_leaves_the_terminal_as_it_was(" },
    ),
    ("vipd doctor", Account::Here(Manner::Judges)),
    ("vipd import", MIGRATION),
    ("vipd release", Account::Here(Manner::CleansUp)),
    ("vipd detach", Account::Here(Manner::CleansUp)),
    ("bpftool", Account::Hung),
    ("ls /sys/fs/bpf/vipd", Account::Hung),
    ("for map in", Account::Hung),
    ("for link in", Account::Hung),
    ("sysctl kernel.bpf_stats_enabled", Account::Hung),
    ("cargo xtask demo", Account::There { file: "tests/pages.rs", proof: "fn the_demo_plays(" }),
    ("cargo xtask test", Account::There { file: CI, proof: "cargo xtask test" }),
    ("cargo xtask dist deb", PACKAGE),
    ("cargo xtask dist image", Account::There { file: "xtask/src/test.rs", proof: "image::make(" }),
    ("podman load", Account::There { file: "tests/container/podman.rs", proof: "\"load\"" }),
    ("podman push", Account::Nobody("takes a registry")),
    (
        "podman run",
        Account::There { file: "tests/container/podman.rs", proof: "[\"run\", \"--rm\", \"--network=none\"" },
    ),
    ("ctr", Account::Nobody("takes containerd")),
    ("kubectl", Account::Nobody("takes a cluster; what it would be sent is looked at by tests/manifests.rs")),
    ("vipd keygen --output keys/key-1", Account::There { file: "tests/manifests.rs", proof: "example/keys/key-1" }),
    ("apt install ./vipd_", PACKAGE),
    ("dpkg --install vipd_", PACKAGE),
    ("curl", Account::There { file: "tests/metrics.rs", proof: "fn metrics_tell_of_an_election_and_of_an_attack(" }),
    ("systemctl start vipd", Account::There { file: "tests/package.rs", proof: "[\"start\", \"vipd\"]" }),
    ("systemctl stop vipd", Account::There { file: "tests/package.rs", proof: "[\"stop\", \"vipd\"]" }),
    ("systemctl reload vipd", Account::There { file: "tests/package.rs", proof: "[\"reload\", \"vipd\"]" }),
    ("systemctl status vipd", Account::There { file: "tests/package.rs", proof: "[\"status\", \"vipd\"]" }),
    (
        "systemctl disable vipd",
        Account::Nobody("systemd's business; that it is enabled at first is seen by tests/package.rs"),
    ),
    (
        "systemctl kill",
        Account::Nobody("systemd in a container with hybrid control groups kills the main process alone"),
    ),
    ("sysctl net.ipv4.conf", ANSWERS),
    ("apt install chrony", Account::Nobody("the clock of the host")),
    ("ifup", VSWITCH),
    ("ip -d link show enp0s31f6.4000", VSWITCH),
    ("ping", VSWITCH),
    ("scp", VSWITCH),
    ("dig", VSWITCH),
    ("while sleep", VSWITCH),
];

/// Who runs `typed`, with the beginning by which that is found.
pub(crate) fn account(typed: &Typed) -> Result<(&'static str, &'static Account)> {
    let Typed { command, place } = typed;
    let fitting = ACCOUNTS.iter().filter(|(words, _)| command.starts_with(words));
    let (words, account) = fitting
        .max_by_key(|(words, _)| words.len())
        .with_context(|| format!("{place}: nobody runs `{command}`: name who does in tests/pages/accounts.rs"))?;
    Ok((words, account))
}
