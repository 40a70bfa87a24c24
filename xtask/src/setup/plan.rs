//! What to install on a given machine, and why. Decides only.

use std::collections::BTreeSet;

use super::{
    Needs,
    machine::{BpfCore, Distribution, Linker, Machine, Privilege, Python},
};

/// The bpf-linker that `setup` builds, and the LLVM it builds it with: that of the compilers in use.
pub(crate) const LINKER_VERSION: &str = "0.13.0";
/// Where Debian keeps that LLVM.
pub(crate) const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

const DEBIAN_CORE: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];
const LLVM: [&str; 2] = ["llvm-22-dev", "libpolly-22-dev"];
const C_COMPILER: [&str; 2] = ["gcc", "libc6-dev"];
const CXX_COMPILER: [&str; 1] = ["g++"];

const WHY_CORE: &str = "a compiler with a core library for BPF; the active toolchain has no rust-src";
const WHY_LLVM: &str = "bpf-linker is built with LLVM 22, which reads what rustc 1.95 writes";
const WHY_C: &str = "Rust calls cc to link";
const WHY_CXX: &str = "libFuzzer is C++";
const WHY_PYTHON: &str = "tests of manifests run programs of Python";

/// The programs of Python that tests run, and where they are installed, below the top of the repository: what is in the system
/// stays as it is.
pub(crate) const PYTHON_PACKAGES: [&str; 2] = ["kubernetes-validate==1.37.0", "python-hcl2==8.1.4"];
pub(crate) const PYTHON_FOLDER: &str = "target/python";

/// A subcommand of cargo that `setup` builds from crates.io.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Subcommand {
    pub(crate) name: &'static str,
    version: &'static str,
    pub(crate) why: &'static str,
}

pub(super) const FUZZER: Subcommand = Subcommand {
    name: "cargo-fuzz",
    version: "0.13.2",
    why: "builds and runs fuzz targets; from crates.io, a minute or two",
};
pub(super) const PACKAGER: Subcommand = Subcommand {
    name: "cargo-deb",
    version: "3.8.0",
    why: "makes the Debian package; from crates.io, a minute or two",
};

impl Subcommand {
    /// The arguments that make cargo build it.
    pub(crate) const fn arguments(&self) -> [&'static str; 5] {
        ["install", self.name, "--version", self.version, "--locked"]
    }
}

/// A program that tests and demo call: its name, Debian's package, and what for.
const TOOLS: &[(&str, &str, &str)] = &[
    ("keepalived", "keepalived", "a peer of the interoperability tests; it is not started"),
    ("vtysh", "frr", "another peer of the interoperability tests; it is not started"),
    ("exim4", "exim4-daemon-light", "a mail server for the tests of notifications; it is not started"),
    ("nginx", "nginx", "the ingress of tests of health checks; it is not started"),
    ("promtool", "prometheus", "scrapes agents and tries the alert rules in tests; it is not started"),
    ("prometheus-alertmanager", "prometheus-alertmanager", "hears the alerts in tests; it is not started"),
    ("kubectl", "kubernetes-client", "shows that the API server of the tests is like one of Kubernetes"),
    ("groff", "groff-base", "tests have it read the manual pages"),
    ("bpftool", "bpftool", "tests and demo show maps by it"),
    ("jq", "jq", "recipes of the page on bpftool use it"),
    ("curl", "curl", "a recipe of the README uses it"),
    ("nft", "nftables", "to lose frames in a lab by hand"),
    ("tcpdump", "tcpdump", "to read along in a lab by hand"),
    ("ip", "iproute2", "tests and demo build their network with it"),
    ("systemd-nspawn", "systemd-container", "boots hosts with systemd, on which tests install the package"),
    ("podman", "podman", "runs the container image in tests"),
    ("runc", "runc", "podman starts containers by it"),
    ("puppet", "puppet-agent", "tests apply the Puppet module by it; it is not started"),
    ("puppet-lint", "puppet-lint", "tests hold the Puppet module to the style of Puppet"),
    ("setpriv", "util-linux", "tests take capabilities away with it"),
];

/// What makes the container image.
const IMAGE_BUILDER: (&str, &str, &str) = ("buildah", "buildah", "makes the container image");
const VENV: &str = "python3-venv";

/// Every package that a plan may name.
pub(crate) fn package_names() -> BTreeSet<&'static str> {
    let tools = TOOLS.iter().map(|(_, package, _)| *package);
    DEBIAN_CORE
        .into_iter()
        .chain(LLVM)
        .chain(C_COMPILER)
        .chain(CXX_COMPILER)
        .chain(tools)
        .chain([IMAGE_BUILDER.1, VENV])
        .collect()
}

/// Every program that spares a package.
pub(crate) fn program_names() -> BTreeSet<&'static str> {
    TOOLS
        .iter()
        .map(|(program, _, _)| *program)
        .chain(["cc", "c++", IMAGE_BUILDER.0, FUZZER.name, PACKAGER.name])
        .collect()
}

/// What is missing on a machine, what is there, and for which need.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) needs: Needs,
    /// What is there: name and how it is.
    pub(crate) there: Vec<(&'static str, String)>,
    /// Debian packages and their reasons.
    pub(crate) packages: Vec<(&'static str, &'static str)>,
    /// Why the linker is to be built.
    pub(crate) linker: Option<String>,
    /// Whether the programs of Python are to be installed.
    pub(crate) python: bool,
    /// What else is to be built.
    pub(crate) subcommands: Vec<&'static Subcommand>,
}

impl Plan {
    pub(crate) fn new(machine: &Machine, needs: Needs) -> Self {
        let mut plan =
            Self { needs, there: vec![], packages: vec![], linker: None, python: false, subcommands: vec![] };
        plan.add_program(machine, "cc", &C_COMPILER, WHY_C);
        plan.add_core(machine);
        plan.add_linker(machine);
        match needs {
            Needs::Toolchain => {}
            Needs::Everything => {
                for (program, package, why) in TOOLS {
                    plan.add_program(machine, program, &[package], why);
                }
                plan.add_python(machine);
                plan.add_packaging(machine);
            }
            Needs::Packaging => plan.add_packaging(machine),
            Needs::Fuzzing => {
                plan.add_program(machine, "c++", &CXX_COMPILER, WHY_CXX);
                plan.add_subcommand(machine, &FUZZER);
            }
        }
        plan
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.linker.is_none() && !self.python && self.subcommands.is_empty()
    }

    /// What to install, and why: packages of one reason together.
    pub(crate) fn steps(&self) -> Vec<(String, &str)> {
        let groups = self.packages.chunk_by(|(_, one), (_, next)| one == next);
        let packages = groups.map(|group| {
            let names: Vec<_> = group.iter().map(|(name, _)| *name).collect();
            (names.join(", "), group[0].1)
        });
        let linker = self.linker.iter().map(|why| ("bpf-linker".to_owned(), why.as_str()));
        let python = self.python.then(|| (PYTHON_PACKAGES.join(", "), WHY_PYTHON));
        let subcommands = self.subcommands.iter().map(|subcommand| (subcommand.name.to_owned(), subcommand.why));
        packages.chain(linker).chain(python).chain(subcommands).collect()
    }

    /// The same by hand: what to type on this machine.
    pub(crate) fn commands(&self, machine: &Machine) -> Vec<String> {
        let mut commands = match &machine.distribution {
            Distribution::Debian => self.debian_commands(machine.privilege),
            Distribution::Other(id) => self.other_commands(id),
        };
        if self.python {
            commands.push(format!("python3 -m venv {PYTHON_FOLDER}"));
            commands.push(format!("{PYTHON_FOLDER}/bin/pip install {}", PYTHON_PACKAGES.join(" ")));
        }
        commands
            .extend(self.subcommands.iter().map(|subcommand| format!("cargo {}", subcommand.arguments().join(" "))));
        commands
    }

    /// `packages`, unless there is `program`, whatever it came from.
    fn add_program(&mut self, machine: &Machine, program: &'static str, packages: &[&'static str], why: &'static str) {
        if machine.programs.contains(program) {
            self.there.push((program, "already there".to_owned()));
        } else {
            self.require(machine, packages, why);
        }
    }

    fn add_packaging(&mut self, machine: &Machine) {
        let (program, package, why) = IMAGE_BUILDER;
        self.add_program(machine, program, &[package], why);
        self.add_subcommand(machine, &PACKAGER);
    }

    fn add_python(&mut self, machine: &Machine) {
        match machine.python {
            Python::Complete => self.there.push(("programs of Python", format!("already there, in {PYTHON_FOLDER}"))),
            Python::Bare => self.python = true,
            Python::Absent => {
                self.require(machine, &[VENV], WHY_PYTHON);
                self.python = true;
            }
        }
    }

    fn add_subcommand(&mut self, machine: &Machine, subcommand: &'static Subcommand) {
        if machine.programs.contains(subcommand.name) {
            self.there.push((subcommand.name, "already there".to_owned()));
        } else {
            self.subcommands.push(subcommand);
        }
    }

    fn add_core(&mut self, machine: &Machine) {
        let how = match machine.core {
            BpfCore::Source => "rust-src beside the active compiler, so Debian's rustc-web is not needed",
            BpfCore::Prebuilt => "the active compiler has one",
            BpfCore::Absent => {
                let before = self.packages.len();
                self.require(machine, &DEBIAN_CORE, WHY_CORE);
                if self.packages.len() > before {
                    return;
                }
                "Debian's rustc-web has one"
            }
        };
        self.there.push(("core library for BPF", how.to_owned()));
    }

    fn add_linker(&mut self, machine: &Machine) {
        let why = match &machine.linker {
            Linker::Usable(version) => {
                self.there.push(("bpf-linker", format!("already there, {version}")));
                return;
            }
            Linker::Unusable(reason) => format!("the one on PATH cannot be used: {reason}"),
            Linker::Absent => "links the BPF program; from crates.io, a few minutes".to_owned(),
        };
        self.require(machine, &LLVM, WHY_LLVM);
        self.linker = Some(why);
    }

    fn require(&mut self, machine: &Machine, packages: &[&'static str], why: &'static str) {
        let missing = packages.iter().filter(|package| !machine.packages.contains(**package));
        self.packages.extend(missing.map(|package| (*package, why)));
    }

    fn debian_commands(&self, privilege: Privilege) -> Vec<String> {
        let sudo = if privilege == Privilege::Root { "" } else { "sudo " };
        let mut commands = vec![];
        if !self.packages.is_empty() {
            let names: Vec<_> = self.packages.iter().map(|(name, _)| *name).collect();
            commands.push(format!("{sudo}apt-get update"));
            commands.push(format!("{sudo}apt-get install --yes --no-install-recommends {}", names.join(" ")));
        }
        if self.linker.is_some() {
            let arguments = linker_arguments().join(" ");
            commands.push(format!("LLVM_PREFIX={LLVM_PREFIX} cargo {arguments}"));
        }
        commands
    }

    /// Without Debian's compiler and LLVM: rust-src from rustup, and the linker that its authors publish.
    fn other_commands(&self, id: &str) -> Vec<String> {
        let lacks = |package: &str| self.packages.iter().any(|(name, _)| *name == package);
        let mut commands = vec![];
        if lacks("rustc-web") {
            commands.push("rustup component add rust-src".to_owned());
        }
        if self.linker.is_some() {
            commands.push("cargo install cargo-binstall".to_owned());
            commands.push(format!("cargo binstall --no-confirm bpf-linker@{LINKER_VERSION}"));
        }
        let mut tools: Vec<&str> = TOOLS.iter().map(|(_, package, _)| *package).filter(|name| lacks(name)).collect();
        tools.extend(Some(IMAGE_BUILDER.1).filter(|name| lacks(name)));
        let compilers = ["gcc", "g++"].into_iter().filter(|name| lacks(name));
        tools.splice(0..0, compilers);
        if !tools.is_empty() {
            commands.push(install_tools(id, &tools));
        }
        commands
    }
}

/// The arguments that make cargo build the linker.
pub(crate) fn linker_arguments() -> [&'static str; 8] {
    ["install", "bpf-linker", "--version", LINKER_VERSION, "--locked", "--no-default-features", "--features", "llvm-22"]
}

/// The mail server's package, elsewhere than in Debian.
const EXIM: (&str, &str) = ("exim4-daemon-light", "exim");
/// That of groff, where it is not in parts.
const GROFF: (&str, &str) = ("groff-base", "groff");

/// And Puppet's.
const PUPPET: (&str, &str) = ("puppet-agent", "puppet");

fn install_tools(id: &str, packages: &[&str]) -> String {
    let (manager, renamed): (_, &[(&str, &str)]) = match id {
        "fedora" | "rhel" | "centos" | "rocky" | "almalinux" => {
            ("dnf install", &[("iproute2", "iproute"), ("g++", "gcc-c++"), EXIM, PUPPET])
        }
        "arch" => {
            let own = &[
                ("bpftool", "bpf"),
                ("g++", "gcc"),
                ("kubernetes-client", "kubectl"),
                ("systemd-container", "systemd"),
                GROFF,
                EXIM,
                PUPPET,
            ];
            ("pacman -S", own)
        }
        "opensuse-leap" | "opensuse-tumbleweed" | "sles" => {
            ("zypper install", &[("g++", "gcc-c++"), GROFF, EXIM, PUPPET])
        }
        _ => return format!("# and, by this system's package manager: {}", packages.join(" ")),
    };
    let names: Vec<&str> = packages
        .iter()
        .map(|package| renamed.iter().find(|(debian, _)| debian == package).map_or(*package, |(_, own)| *own))
        .collect();
    format!("sudo {manager} {}", names.join(" "))
}

#[cfg(test)]
mod tests;
