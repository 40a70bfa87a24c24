//! The implementation that runs in the kernel, fed from here.

use proptest::prelude::*;
use vrrp_wire::hmac::{INPUT_MAX, Workspace, tag as kernel_tag};

use super::*;

/// The tag that the kernel's code makes for an advert, its input laid out by hand.
pub(super) fn tag_in_kernel(key: &Key, advert: &Advert) -> [u8; 16] {
    let (family, source) = match advert.source {
        IpAddr::V4(address) => (4, [address.octets().as_slice(), &[0; 12]].concat()),
        IpAddr::V6(address) => (6, address.octets().to_vec()),
    };
    let vrid = advert.message[1];
    let mut input = [&[family, 3, vrid, 0], source.as_slice(), &advert.message, &advert.trailer].concat();
    input[26..28].copy_from_slice(&[0; 2]);
    let tag_at = input.len() - 16;
    input[tag_at..].copy_from_slice(&[0; 16]);
    let mut workspace = Workspace::new();
    for (at, &word) in input.as_chunks().0.iter().enumerate() {
        assert!(workspace.put(at * 4, word));
    }
    kernel_tag(&mut workspace, &key.midstates(), input.len())
}

#[test]
fn the_published_vectors_hold_in_the_kernel() {
    for advert in published() {
        assert_eq!(tag_in_kernel(&key_1(), &advert), advert.trailer[12..]);
    }
}

proptest! {
    #[test]
    fn both_sides_make_the_same_tag(
        words in proptest::collection::vec(any::<[u8; 4]>(), 2..=(INPUT_MAX - 48) / 4),
        v4: [u8; 4],
        v6: [u8; 16],
        sequence: u64,
        secret in proptest::collection::vec(any::<u8>(), 32..=64),
    ) {
        let key = Key::new(KeyId::new(200).unwrap(), &secret).unwrap();
        for source in [IpAddr::from(v4), IpAddr::from(v6)] {
            let message = words.as_flattened().to_vec();
            let trailer = sign(&key, source, &message, Sequence::new(sequence));
            let advert = Advert { source, message, trailer };
            let tag = tag_in_kernel(&key, &advert);
            prop_assert_eq!(&tag[..], &trailer[12..]);
        }
    }
}
