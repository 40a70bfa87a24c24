//! The adverts themselves, byte by byte.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use harness::{GENEROUS, frame::checksum, lab, until};

use super::{
    pair::Pair,
    record::of,
    terms::{Peer, Side, Terms},
};

/// Lets one of the two become Active alone, and compares every advert of it with `frames`: for each dialect a line with
/// its name, and three with the bytes of Ethernet, IP and VRRP. What IP fills in as it likes is 0 there.
pub(crate) fn check(peer: Peer, side: Side, frames: &str) -> Result<()> {
    let lab = lab!();
    let begun = Instant::now();
    let terms = Terms { interval: Duration::from_millis(100), ..Terms::preferring(side, peer) };
    let mut pair = Pair::new(&lab, terms)?;
    pair.start(side)?;
    pair.wait_for_state(side, "Active")?;
    for served in pair.served() {
        let node = pair.node(side);
        let adverts = until("an advert", GENEROUS, || {
            let adverts = node.adverts(served, begun);
            Ok((!adverts.is_empty()).then_some(adverts))
        });
        let compare = || {
            let expected = expected(frames, served.dialect)?;
            for (frame, _) in adverts? {
                let sent = comparable(frame.bytes)?;
                ensure!(sent == expected, "it sends\n{}and not\n{}", shown(&sent), shown(&expected));
            }
            Ok(())
        };
        compare().context(of(served))?;
    }
    Ok(())
}

/// The bytes below the name of a dialect.
fn expected(frames: &str, dialect: &str) -> Result<Vec<u8>> {
    let begin = format!("# {dialect}\n");
    let lines = frames.split_once(&begin).context("no frame of it is expected")?.1.lines();
    let digits: Vec<char> = lines.take_while(|line| !line.starts_with('#')).flat_map(str::chars).collect();
    let digits: String = digits.into_iter().filter(|digit| !digit.is_whitespace()).collect();
    let bytes = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(digits.get(at..at + 2).unwrap_or("?"), 16));
    bytes.collect::<Result<_, _>>().context("not hexadecimal")
}

/// The frame without IPv4's identification and header checksum, which must be right, or without IPv6's flow label.
fn comparable(mut frame: Vec<u8>) -> Result<Vec<u8>> {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => {
            let header = frame.get(14..34).context("no IPv4 header")?;
            ensure!(checksum(&[header]) == 0, "a wrong header checksum: {}", shown(&frame));
            for at in [18, 19, 24, 25] {
                frame[at] = 0;
            }
        }
        Some([0x86, 0xdd]) => {
            frame[15] &= 0xf0;
            frame[16..18].fill(0);
        }
        _ => bail!("neither IPv4 nor IPv6: {}", shown(&frame)),
    }
    Ok(frame)
}

fn shown(bytes: &[u8]) -> String {
    let line = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ") + "\n";
    bytes.chunks(16).map(line).collect()
}
