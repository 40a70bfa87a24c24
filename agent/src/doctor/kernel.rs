//! Whether the kernel has what the guard needs.

use std::fs;

use aya::{
    maps::MapType,
    programs::ProgramType,
    sys::{is_map_supported, is_program_supported},
};

use super::{
    kind::Kind,
    report::{Area, Report},
};
use crate::datapath::bpffs;

/// The oldest kernel that the guard was tried on.
const OLDEST: (u32, u32) = (5, 10);
/// The first kernel with tcx.
const TCX: (u32, u32) = (6, 6);

/// The release of the running kernel, and its numbers.
pub(super) fn release() -> (String, (u32, u32)) {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    let numbers = numbers(&text);
    (text, numbers)
}

fn numbers(release: &str) -> (u32, u32) {
    let mut parts = release.split(|char: char| !char.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Looks at the kernel.
pub(super) fn look(report: &mut Report) {
    let (release, version) = release();
    let mut area = report.area("kernel");
    if version < OLDEST {
        area.find(Kind::KernelOld, format!("this is Linux {release}"), "install a newer kernel, 6.6 or later at best");
    } else if version < TCX {
        area.find(
            Kind::TcxUnsupported,
            format!("this is Linux {release}, and tcx came with 6.6"),
            "nothing has to be done",
        );
    }
    look_at_bpf(&mut area);
    look_at_switches(&mut area);
    if !bpffs::is_mounted() {
        let what = format!("no BPF file system is mounted at `{}`", bpffs::MOUNT_POINT);
        area.find(Kind::BpffsMissing, what, format!("mount -t bpf bpf {}", bpffs::MOUNT_POINT));
    }
    area.conclude(format!("Linux {release} has XDP and ring buffers, BPF is compiled, and bpffs is mounted"));
}

/// Loads programs that do nothing, for a moment.
fn look_at_bpf(area: &mut Area<'_>) {
    let (xdp, ring_buffer) = (is_program_supported(ProgramType::Xdp), is_map_supported(MapType::RingBuf));
    let (Ok(xdp), Ok(ring_buffer)) = (xdp, ring_buffer) else {
        area.miss("what BPF programs and maps it takes: it takes none from this command, see `rights`");
        return;
    };
    let remedy = "use a kernel with CONFIG_BPF_SYSCALL, as distributions have it";
    if !xdp {
        area.find(Kind::XdpUnsupported, "the kernel refuses an XDP program that does nothing", remedy);
    }
    if !ring_buffer {
        area.find(Kind::RingBufferUnsupported, "the kernel refuses a ring buffer", "use Linux 5.8 or later");
    }
    if aya::features().btf().is_none() {
        area.find(Kind::BtfUnsupported, "the kernel takes no BTF", "use a kernel with CONFIG_DEBUG_INFO_BTF");
    }
}

/// Looks at what can be switched on and off.
fn look_at_switches(area: &mut Area<'_>) {
    match fs::read_to_string("/proc/sys/net/core/bpf_jit_enable") {
        Ok(text) if text.trim() == "0" => {
            area.find(Kind::BpfJitOff, "net.core.bpf_jit_enable is 0", "sysctl -w net.core.bpf_jit_enable=1");
        }
        // Only the first network namespace shows it.
        Ok(_) | Err(_) => {}
    }
    if fs::read_to_string("/proc/sys/kernel/unprivileged_bpf_disabled").is_ok_and(|text| text.trim() == "0") {
        let remedy = "sysctl -w kernel.unprivileged_bpf_disabled=1";
        area.find(Kind::BpfUnprivileged, "kernel.unprivileged_bpf_disabled is 0", remedy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_begins_with_two_numbers() {
        for (release, expected) in [
            ("6.18.44-fc-v595", (6, 18)),
            ("5.10.0-28-amd64", (5, 10)),
            ("6.1", (6, 1)),
            ("7-rc1", (7, 0)),
            ("", (0, 0)),
        ] {
            assert_eq!(numbers(release), expected, "{release}");
        }
    }
}
