//! Writes the last bad frames as a capture file for tcpdump and Wireshark: pcapng, because each frame can carry its
//! verdict as a comment, and each interface its name. draft-ietf-opsawg-pcapng.
//!
//! Own code: three kinds of blocks are less than the interface of a crate for all of them.

use std::io::{self, Write};

use vrrp_wire::abi::{REJECT_LEN, Reject};

use super::{View, rejects::kept, verdict};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

/// Says the byte order, which is little-endian here.
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const LINKTYPE_ETHERNET: u16 = 1;
/// Time is in units of 10 to the power of minus this, in seconds.
const NANOSECONDS: u8 = 9;

const END_OF_OPTIONS: u16 = 0;
const COMMENT: u16 = 1;
const USER_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const TIME_RESOLUTION: u16 = 9;

/// Writes `rejects`, with times that the wall clock shows at present.
pub fn write(out: &mut impl Write, rejects: &[Reject], view: &View) -> io::Result<()> {
    write_section_header(out)?;
    let mut interfaces: Vec<u32> = rejects.iter().map(|reject| reject.ifindex).collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    for &ifindex in &interfaces {
        write_interface(out, &(view.interface)(ifindex))?;
    }
    for reject in rejects {
        let place = interfaces.binary_search(&reject.ifindex).unwrap_or_default();
        write_packet(out, u32::try_from(place).unwrap_or_default(), reject, view)?;
    }
    out.flush()
}

fn write_section_header(out: &mut impl Write) -> io::Result<()> {
    let mut body = BYTE_ORDER_MAGIC.to_le_bytes().to_vec();
    body.extend(1_u16.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    // As long as the file.
    body.extend(u64::MAX.to_le_bytes());
    push_option(&mut body, USER_APPLICATION, b"vipd");
    push_option(&mut body, END_OF_OPTIONS, &[]);
    write_block(out, SECTION_HEADER, &body)
}

fn write_interface(out: &mut impl Write, name: &str) -> io::Result<()> {
    let mut body = LINKTYPE_ETHERNET.to_le_bytes().to_vec();
    body.extend(0_u16.to_le_bytes());
    body.extend(u32::try_from(REJECT_LEN).unwrap_or_default().to_le_bytes());
    push_option(&mut body, INTERFACE_NAME, name.as_bytes());
    push_option(&mut body, TIME_RESOLUTION, &[NANOSECONDS]);
    push_option(&mut body, END_OF_OPTIONS, &[]);
    write_block(out, INTERFACE_DESCRIPTION, &body)
}

fn write_packet(out: &mut impl Write, interface: u32, reject: &Reject, view: &View) -> io::Result<()> {
    let frame = kept(reject);
    let captured = u32::try_from(frame.len()).unwrap_or_default();
    let wall_ns = view.wall_ns(reject.at_ns);
    let mut body = interface.to_le_bytes().to_vec();
    for half in [wall_ns >> 32, wall_ns & 0xffff_ffff] {
        body.extend(u32::try_from(half).unwrap_or_default().to_le_bytes());
    }
    body.extend(captured.to_le_bytes());
    body.extend(reject.frame_len.max(captured).to_le_bytes());
    push_padded(&mut body, frame);
    push_option(&mut body, COMMENT, format!("vipd: {}", verdict(reject.verdict)).as_bytes());
    push_option(&mut body, END_OF_OPTIONS, &[]);
    write_block(out, ENHANCED_PACKET, &body)
}

/// Appends an option, whose value must be shorter than 64 KiB.
fn push_option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
    push_padded(body, value);
}

/// Appends `bytes` up to a whole number of 32-bit words.
fn push_padded(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(bytes);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// Writes a block: its kind, and its length at both ends.
fn write_block(out: &mut impl Write, kind: u32, body: &[u8]) -> io::Result<()> {
    let len = u32::try_from(body.len() + 12).map_err(io::Error::other)?.to_le_bytes();
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&len)?;
    out.write_all(body)?;
    out.write_all(&len)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{rejects::tests::reject, tests::VIEW},
        *,
    };

    fn written(rejects: &[Reject]) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, rejects, &VIEW).unwrap();
        out
    }

    /// Written down from the draft, sections 4.1 to 4.3.
    #[test]
    fn every_byte_of_a_capture_is_where_the_draft_has_it() {
        let out = written(&[reject(5, 8, &[0xaa, 0xbb, 0xcc, 0xdd, 0xee])]);
        let section: [&[u8]; 5] = [
            &[0x0a, 0x0d, 0x0d, 0x0a, 40, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0],
            &[0xff; 8],
            &[4, 0, 4, 0],
            b"vipd",
            &[0, 0, 0, 0, 40, 0, 0, 0],
        ];
        let interface: [&[u8]; 5] = [
            &[1, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 128, 0, 0, 0],
            &[2, 0, 4, 0],
            b"eth7",
            &[9, 0, 1, 0, 9, 0, 0, 0],
            &[0, 0, 0, 0, 40, 0, 0, 0],
        ];
        // 1,700,000,000,000,000,005 is 0x1797_9cfe_362a_0005.
        let packet: [&[u8]; 6] = [
            &[6, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0],
            &[0xfe, 0x9c, 0x97, 0x17, 0x05, 0x00, 0x2a, 0x36],
            &[5, 0, 0, 0, 60, 0, 0, 0, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0, 0, 0],
            &[1, 0, 9, 0],
            b"vipd: ttl\0\0\0",
            &[0, 0, 0, 0, 60, 0, 0, 0],
        ];
        assert_eq!(out, [section.concat(), interface.concat(), packet.concat()].concat());
    }

    #[test]
    fn every_interface_is_described_once() {
        let on = |ifindex| Reject { ifindex, ..reject(1, 8, &[0; 4]) };
        let out = written(&[on(9), on(3), on(9)]);
        let names: Vec<_> = out.windows(4).filter(|bytes| bytes.starts_with(b"eth")).collect();
        assert_eq!(names, [b"eth3", b"eth9"]);
        // The interface of a packet follows the kind and the length of its block.
        let places: Vec<_> =
            out.windows(12).filter(|bytes| bytes[..8] == [6, 0, 0, 0, 56, 0, 0, 0]).map(|bytes| bytes[8]).collect();
        assert_eq!(places, [1, 0, 1]);
    }

    #[test]
    fn without_frames_it_is_a_capture_all_the_same() {
        assert_eq!(written(&[]).len(), 40);
    }
}
