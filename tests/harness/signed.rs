//! Adverts that keepalived 2.4.3 has signed, as they were captured.

use anyhow::{Context, Result};

/// Frames of VRIDs 51 to 54 in the order in which they were sent, one a line.
const CAPTURED: &str = include_str!("../../agent-ebpf/src/testing/signed.hex");

/// The key that all of them are signed with: the bytes 0 to 31, identifier 1.
pub const KEY: [u8; 32] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
    31,
];

/// All of them.
///
/// # Errors
///
/// If the capture is not hexadecimal.
pub fn captured() -> Result<Vec<Vec<u8>>> {
    CAPTURED.lines().map(unhex).collect()
}

fn unhex(line: &str) -> Result<Vec<u8>> {
    let digits = (0..line.len()).step_by(2).map(|at| line.get(at..at + 2).context("half a byte"));
    digits.map(|pair| Ok(u8::from_str_radix(pair?, 16)?)).collect()
}
