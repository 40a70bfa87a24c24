extern crate std;

use std::{format, vec::Vec};

use hmac::{Hmac, KeyInit, Mac};
use proptest::prelude::*;
use sha2::Sha256;

use super::*;

const KEY: [u8; 32] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
    31,
];

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn filled(input: &[u8]) -> Workspace {
    let mut workspace = Workspace::new();
    put_all(&mut workspace, input);
    workspace
}

fn put_all(workspace: &mut Workspace, input: &[u8]) {
    for (at, &word) in input.as_chunks::<4>().0.iter().enumerate() {
        assert!(workspace.put(at * 4, word), "{at}");
    }
}

fn tag_of(key: &[u8], input: &[u8]) -> [u8; 16] {
    tag(&mut filled(input), &Midstates::new(key), input.len())
}

/// RustCrypto's opinion.
fn reference(key: &[u8], input: &[u8]) -> [u8; 16] {
    let code = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(input).finalize().into_bytes();
    *code.first_chunk().unwrap()
}

/// The one-block and the two-block message of NIST's examples for SHA-256, padded by hand.
#[test]
fn compression_gives_the_digests_that_nist_publishes() {
    let abc = format!("616263{:0<106}{:016x}", "80", 24);
    let two = format!(
        "{}{:0<128}{:016x}",
        "6162636462636465636465666465666765666768666768696768696a68696a6b696a6b6c6a6b6c6d6b6c6d6e6c6d6e6f6d6e6f706e6f7071",
        "80",
        448
    );
    let cases = [
        (abc, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (two, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
    ];
    for (message, digest) in cases {
        let message = hex(&message);
        let mut workspace = filled(&message);
        workspace.state = INITIAL;
        for block in 0..message.len() / 64 {
            compress(&mut workspace, block);
        }
        assert_eq!(workspace.state.map(u32::to_be_bytes).as_flattened(), hex(digest));
    }
}

/// The two vectors that the draft publishes: pseudo-header, message with checksum 0, head of the trailer, no tag.
#[test]
fn the_published_vectors_give_their_tags() {
    let cases = [
        (
            "04033300c633640a000000000000000000000000\
             3133c80100640000c0000264\
             010100006800000080000000\
             00000000000000000000000000000000",
            "1b84bc4e8e43892dc6d98448f8ee2265",
        ),
        (
            "06033300fe800000000000000000000000000010\
             3133c80100640000fe800000000000000000000000000100\
             010100006800000080000000\
             00000000000000000000000000000000",
            "c8c56146ebfd66ee10ec4d8186461b78",
        ),
    ];
    for (input, expected) in cases {
        assert_eq!(tag_of(&KEY, &hex(input)).as_slice(), hex(expected), "{input}");
    }
}

/// RFC 4231, test case 2 has a key of four bytes and an input of 28.
#[test]
fn rfc_4231_test_case_2_gives_its_tag() {
    let tag = tag_of(b"Jefe", b"what do ya want for nothing?");
    assert_eq!(tag.as_slice(), hex("5bdcc146bf60754e6a042426089575c7"));
}

/// Every length there is, with what earlier inputs have left in the workspace.
#[test]
fn every_length_gives_the_tag_of_the_reference() {
    let input: Vec<u8> = (0..INPUT_MAX).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
    let midstates = Midstates::new(&KEY);
    let mut workspace = Workspace::new();
    for len in (0..=INPUT_MAX).rev().chain(0..=INPUT_MAX).filter(|len| len.is_multiple_of(4)) {
        let input = &input[..len];
        put_all(&mut workspace, input);
        assert_eq!(tag(&mut workspace, &midstates, len), reference(&KEY, input), "{len}");
    }
}

#[test]
fn input_beyond_the_workspace_is_refused() {
    let mut workspace = Workspace::new();
    assert_eq!(INPUT_MAX, 500);
    assert!(workspace.put(496, [1; 4]));
    assert!(!workspace.put(500, [1; 4]));
    assert!(!workspace.put(usize::MAX, [1; 4]));
    for len in [501, 504, usize::MAX, 1, 27, 499] {
        assert_eq!(tag(&mut workspace, &Midstates::new(&KEY), len), reference(&KEY, b""), "{len}");
    }
}

/// Nobody learns a key from a log.
#[test]
fn midstates_are_not_printed() {
    assert_eq!(format!("{:?}", Midstates::new(&KEY)), "Midstates { .. }");
}

proptest! {
    #[test]
    fn any_key_and_input_give_the_tag_of_the_reference(
        key in proptest::collection::vec(any::<u8>(), 32..=64),
        words in proptest::collection::vec(any::<[u8; 4]>(), 0..=INPUT_MAX / 4),
    ) {
        let input = words.as_flattened();
        prop_assert_eq!(tag_of(&key, input), reference(&key, input));
    }
}
