//! The file system that maps are pinned in.

use std::path::Path;

use anyhow::{Context, ensure};
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

/// Where it belongs.
pub(crate) const MOUNT_POINT: &str = "/sys/fs/bpf";

/// Mounts bpffs where it belongs, unless it is there.
pub(super) fn ensure_mounted() -> anyhow::Result<()> {
    let point = Path::new(MOUNT_POINT);
    if is_mounted() {
        return Ok(());
    }
    ensure!(point.is_dir(), "`{MOUNT_POINT}` does not exist");
    mount(Some("bpf"), point, Some("bpf"), MsFlags::empty(), Some("mode=0700"))
        .with_context(|| format!("no bpffs at `{MOUNT_POINT}`, and mounting one failed"))
}

/// Whether it is there.
pub(crate) fn is_mounted() -> bool {
    statfs(MOUNT_POINT).is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC)
}
