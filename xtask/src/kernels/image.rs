//! The first and only file system of a guest.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{cpio::Archive, modules::Modules};

/// What the guard meets in the guest: its interfaces, and traffic control.
const MODULES: [&str; 4] = ["veth", "8021q", "sch_ingress", "cls_bpf"];
/// Programs of busybox that the guest calls by name.
const APPLETS: [&str; 2] = ["sh", "ip"];

/// The first process. Results go to a port of their own, because kernels write to the console when they like.
const INIT: &str = "\
    #!/bin/sh\n\
    export PATH=/bin\n\
    busybox mount -t proc proc /proc\n\
    busybox mount -t sysfs sys /sys\n\
    busybox mount -t devtmpfs dev /dev\n\
    busybox mount -t bpf bpf /sys/fs/bpf\n\
    for module in /modules/*; do busybox insmod $module; done\n\
    busybox stty -F /dev/ttyS1 raw -echo 115200\n\
    vipd-kernel-probe >/dev/ttyS1\n\
    busybox poweroff -f\n";

/// The programs in the guest.
pub(super) struct Programs<'a> {
    pub(super) busybox: &'a Path,
    pub(super) probe: &'a Path,
}

/// The kernel in the unpacked packages.
pub(super) fn vmlinuz(tree: &Path) -> Result<PathBuf> {
    let candidates = [tree.join("boot"), tree.join("usr/boot")];
    for file in candidates.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
        if file.file_name().to_string_lossy().starts_with("vmlinuz-") {
            return Ok(file.path());
        }
    }
    // Newer packages keep it beside the modules.
    let modules = super::modules::release_folder(tree)?;
    let file = modules.join("vmlinuz");
    if !file.is_file() {
        bail!("there is no kernel in `{}`", tree.display());
    }
    Ok(file)
}

/// The file system for the kernel whose packages are in `tree`.
pub(super) fn build(programs: &Programs<'_>, tree: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "modules", "proc", "run", "sys", "tmp"] {
        archive.folder(folder);
    }
    archive.device("dev/console", 5, 1);
    for program in [programs.busybox, programs.probe] {
        let name = program.file_name().and_then(OsStr::to_str).context("a program without a name")?;
        let content = fs::read(program).with_context(|| format!("failed to read `{}`", program.display()))?;
        archive.file(&format!("bin/{name}"), &content);
    }
    for applet in APPLETS {
        archive.link(&format!("bin/{applet}"), "busybox");
    }
    let modules = Modules::of(tree, programs.busybox)?;
    for (number, module) in modules.with_dependencies(&MODULES)?.iter().enumerate() {
        archive.file(&format!("modules/{number:02}-{}.ko", module.name), &module.content);
    }
    archive.file("init", INIT.as_bytes());
    Ok(archive.finish())
}
