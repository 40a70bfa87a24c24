//! Writes archives of the form that the kernel unpacks as its first file system: cpio, new ASCII format.

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;
const TERMINAL: u32 = 0o020_600;

/// An archive. Folders come before what is in them.
#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    inodes: u32,
}

impl Archive {
    pub(super) fn folder(&mut self, path: &str) {
        self.entry(path, DIRECTORY, (0, 0), &[]);
    }

    /// A file that can be run.
    pub(super) fn file(&mut self, path: &str, content: &[u8]) {
        self.entry(path, PROGRAM, (0, 0), content);
    }

    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.entry(path, LINK, (0, 0), target.as_bytes());
    }

    /// A character device.
    pub(super) fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, TERMINAL, (major, minor), &[]);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.inodes += 1;
        let length = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let fields = [
            self.inodes,
            mode,
            0, // owner
            0, // group
            1, // links
            0, // time
            length(content.len()),
            0, // device that the file is on
            0,
            device.0,
            device.1,
            length(path.len() + 1),
            0, // no checksum
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the kernel's own description of the format: thirteen fields of eight digits, name and content padded to four.
    #[test]
    fn a_file_is_a_header_a_name_and_its_content() {
        let mut archive = Archive::default();
        archive.file("a", b"hello");
        let expected = "070701\
            00000001000081ed00000000000000000000000100000000\
            0000000500000000000000000000000000000000\
            0000000200000000a\0hello\0\0\0";
        let bytes = archive.finish();
        assert_eq!(String::from_utf8_lossy(&bytes[..expected.len()]), expected);
        let trailer = String::from_utf8_lossy(&bytes[expected.len()..]).into_owned();
        assert!(trailer.starts_with("070701") && trailer.ends_with("0000000b00000000TRAILER!!!\0\0\0\0"), "{trailer}");
    }

    #[test]
    fn a_device_has_its_numbers_and_a_link_its_target() {
        let mut archive = Archive::default();
        archive.device("dev/ttyS1", 4, 65);
        archive.link("bin/sh", "busybox");
        let text = String::from_utf8(archive.finish()).unwrap();
        assert!(text.contains("00000004000000410000000a00000000dev/ttyS1\0"), "{text}");
        assert!(text.contains("bin/sh\0\0\0\0busybox\0"), "{text}");
    }
}
