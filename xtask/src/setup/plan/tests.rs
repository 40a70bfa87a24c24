use super::*;

/// Debian 12 with rustup, a C compiler and nothing else.
fn fresh() -> Machine {
    Machine {
        distribution: Distribution::Debian,
        privilege: Privilege::Root,
        core: BpfCore::Absent,
        linker: Linker::Absent,
        python: Python::Absent,
        packages: ["gcc", "libc6-dev", "util-linux"].map(str::to_owned).into(),
        programs: ["cc", "setpriv"].into(),
    }
}

fn complete() -> Machine {
    Machine {
        linker: Linker::Usable("0.13.0".to_owned()),
        python: Python::Complete,
        packages: package_names().into_iter().map(str::to_owned).collect(),
        programs: program_names(),
        ..fresh()
    }
}

fn packages(machine: &Machine, needs: Needs) -> Vec<&'static str> {
    Plan::new(machine, needs).packages.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_fresh_debian_gets_toolchain_linker_and_tools() {
    let plan = Plan::new(&fresh(), Needs::Everything);
    assert_eq!(
        plan.commands(&fresh()),
        [
            "apt-get update",
            "apt-get install --yes --no-install-recommends rustc-web libstd-rust-web-dev-bpf llvm-22-dev \
             libpolly-22-dev keepalived frr exim4-daemon-light nginx prometheus prometheus-alertmanager kubernetes-client groff-base bpftool jq curl nftables tcpdump iproute2 \
             systemd-container podman runc puppet-agent puppet-lint python3-venv buildah",
            "LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --version 0.13.0 --locked --no-default-features \
             --features llvm-22",
            "python3 -m venv target/python",
            "target/python/bin/pip install kubernetes-validate==1.37.0 python-hcl2==8.1.4",
            "cargo install cargo-deb --version 3.8.0 --locked",
        ]
    );
}

#[test]
fn packaging_needs_what_makes_package_and_image_and_no_test_tools() {
    let mut machine = complete();
    assert!(Plan::new(&machine, Needs::Packaging).is_empty());
    for program in ["cargo-deb", "buildah"] {
        machine.programs.remove(program);
        machine.packages.remove(program);
    }
    let plan = Plan::new(&machine, Needs::Packaging);
    let expected = [
        "apt-get update",
        "apt-get install --yes --no-install-recommends buildah",
        "cargo install cargo-deb --version 3.8.0 --locked",
    ];
    assert_eq!(plan.commands(&machine), expected);
    assert!(Plan::new(&machine, Needs::Toolchain).is_empty());
}

#[test]
fn programs_of_python_get_an_environment_of_their_own() {
    let machine = Machine { python: Python::Bare, ..complete() };
    let plan = Plan::new(&machine, Needs::Everything);
    let why = "tests of manifests run programs of Python";
    assert_eq!(plan.steps(), [("kubernetes-validate==1.37.0, python-hcl2==8.1.4".to_owned(), why)]);
    assert!(Plan::new(&machine, Needs::Packaging).is_empty());
}

#[test]
fn a_build_installs_no_test_tools() {
    let expected = ["rustc-web", "libstd-rust-web-dev-bpf", "llvm-22-dev", "libpolly-22-dev"];
    assert_eq!(packages(&fresh(), Needs::Toolchain), expected);
}

#[test]
fn rust_src_spares_the_compiler_of_debian() {
    for core in [BpfCore::Source, BpfCore::Prebuilt] {
        let machine = Machine { core, ..fresh() };
        assert_eq!(packages(&machine, Needs::Toolchain), ["llvm-22-dev", "libpolly-22-dev"], "{core:?}");
    }
}

#[test]
fn a_usable_linker_spares_llvm() {
    let machine = Machine { linker: Linker::Usable("0.13.0".to_owned()), ..fresh() };
    let plan = Plan::new(&machine, Needs::Toolchain);
    assert_eq!(plan.linker, None);
    assert_eq!(packages(&machine, Needs::Toolchain), ["rustc-web", "libstd-rust-web-dev-bpf"]);
}

#[test]
fn a_linker_that_is_too_old_is_replaced() {
    let machine = Machine { linker: Linker::Unusable("`/x/bpf-linker` is version `0.10.3`".to_owned()), ..complete() };
    let plan = Plan::new(&machine, Needs::Toolchain);
    let why = "the one on PATH cannot be used: `/x/bpf-linker` is version `0.10.3`";
    assert_eq!(plan.steps(), [("bpf-linker".to_owned(), why)]);
}

#[test]
fn packages_of_one_reason_are_one_step() {
    let plan = Plan::new(&fresh(), Needs::Everything);
    let steps: Vec<_> = plan.steps().into_iter().map(|(what, _)| what).collect();
    let expected = [
        "rustc-web, libstd-rust-web-dev-bpf",
        "llvm-22-dev, libpolly-22-dev",
        "keepalived",
        "frr",
        "exim4-daemon-light",
        "nginx",
        "prometheus",
        "prometheus-alertmanager",
        "kubernetes-client",
        "groff-base",
        "bpftool",
        "jq",
        "curl",
        "nftables",
        "tcpdump",
        "iproute2",
        "systemd-container",
        "podman",
        "runc",
        "puppet-agent",
        "puppet-lint",
        "python3-venv",
        "buildah",
        "bpf-linker",
        "kubernetes-validate==1.37.0, python-hcl2==8.1.4",
        "cargo-deb",
    ];
    assert_eq!(steps, expected);
}

#[test]
fn a_complete_machine_needs_nothing() {
    let plan = Plan::new(&complete(), Needs::Everything);
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(plan.commands(&complete()), [""; 0]);
    assert_eq!(
        plan.there.len(),
        26,
        "three of the toolchain, twenty tools, Python's, two for packages: {:?}",
        plan.there
    );
}

#[test]
fn a_tool_from_elsewhere_spares_its_package() {
    let mut machine = complete();
    machine.packages.remove("bpftool");
    assert_eq!(packages(&machine, Needs::Everything), [""; 0]);
    machine.programs.remove("bpftool");
    assert_eq!(packages(&machine, Needs::Everything), ["bpftool"]);
}

#[test]
fn without_cc_the_c_compiler_comes_first() {
    let mut machine = complete();
    machine.programs.remove("cc");
    machine.packages.remove("gcc");
    machine.packages.remove("libc6-dev");
    assert_eq!(packages(&machine, Needs::Toolchain), ["gcc", "libc6-dev"]);
}

#[test]
fn commands_for_an_ordinary_user_use_sudo() {
    let mut machine = Machine { privilege: Privilege::None, ..complete() };
    machine.programs.remove("tcpdump");
    machine.packages.remove("tcpdump");
    let plan = Plan::new(&machine, Needs::Everything);
    assert_eq!(
        plan.commands(&machine),
        ["sudo apt-get update", "sudo apt-get install --yes --no-install-recommends tcpdump"]
    );
}

#[test]
fn elsewhere_the_commands_are_those_of_the_place() {
    let cases = [
        (
            "fedora",
            "sudo dnf install keepalived frr exim nginx prometheus prometheus-alertmanager kubernetes-client groff-base bpftool jq curl nftables tcpdump iproute systemd-container \
             podman runc puppet puppet-lint buildah",
        ),
        (
            "arch",
            "sudo pacman -S keepalived frr exim nginx prometheus prometheus-alertmanager kubectl groff bpf jq curl nftables tcpdump iproute2 systemd podman runc puppet puppet-lint buildah",
        ),
        (
            "opensuse-leap",
            "sudo zypper install keepalived frr exim nginx prometheus prometheus-alertmanager kubernetes-client groff bpftool jq curl nftables tcpdump iproute2 systemd-container \
             podman runc puppet puppet-lint buildah",
        ),
        (
            "nixos",
            "# and, by this system's package manager: keepalived frr exim4-daemon-light nginx prometheus prometheus-alertmanager kubernetes-client groff-base bpftool jq curl nftables tcpdump iproute2 systemd-container \
             podman runc puppet-agent puppet-lint buildah",
        ),
    ];
    for (id, tools) in cases {
        let distribution = Distribution::Other(id.to_owned());
        let machine = Machine { distribution, packages: BTreeSet::new(), ..fresh() };
        let plan = Plan::new(&machine, Needs::Everything);
        let expected = [
            "rustup component add rust-src",
            "cargo install cargo-binstall",
            "cargo binstall --no-confirm bpf-linker@0.13.0",
            tools,
            "python3 -m venv target/python",
            "target/python/bin/pip install kubernetes-validate==1.37.0 python-hcl2==8.1.4",
            "cargo install cargo-deb --version 3.8.0 --locked",
        ];
        assert_eq!(plan.commands(&machine), expected, "{id}");
    }
}

#[test]
fn another_system_with_everything_on_path_needs_nothing() {
    let distribution = Distribution::Other("fedora".to_owned());
    let machine = Machine { distribution, core: BpfCore::Source, packages: BTreeSet::new(), ..complete() };
    assert!(Plan::new(&machine, Needs::Everything).is_empty());
}

#[test]
fn elsewhere_only_what_is_missing_is_named() {
    let distribution = Distribution::Other("fedora".to_owned());
    let mut machine = Machine { distribution, core: BpfCore::Source, packages: BTreeSet::new(), ..complete() };
    machine.programs.remove("tcpdump");
    assert_eq!(Plan::new(&machine, Needs::Everything).commands(&machine), ["sudo dnf install tcpdump"]);
}

#[test]
fn only_fuzzing_needs_the_fuzzer_and_its_compiler() {
    let mut machine = complete();
    machine.programs.remove("c++");
    machine.programs.remove("cargo-fuzz");
    machine.packages.remove("g++");
    for needs in [Needs::Toolchain, Needs::Everything] {
        assert!(Plan::new(&machine, needs).is_empty(), "{needs:?}");
    }
    let commands = |machine: &Machine| Plan::new(machine, Needs::Fuzzing).commands(machine);
    let fuzzer = "cargo install cargo-fuzz --version 0.13.2 --locked";
    assert_eq!(commands(&machine), ["apt-get update", "apt-get install --yes --no-install-recommends g++", fuzzer]);
    machine.distribution = Distribution::Other("fedora".to_owned());
    assert_eq!(commands(&machine)[..], ["sudo dnf install gcc-c++", fuzzer]);
}
