//! Keys, and the few of them that hold at one time.

use std::{fmt, num::NonZeroU8};

use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use vrrp_wire::hmac::Midstates;
use zeroize::Zeroizing;

/// Bytes of a SHA-256 block. HMAC fills shorter keys up with zeros, which therefore belong to none.
const BLOCK_LEN: usize = 64;

/// The number that a trailer names its key by, 1 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(NonZeroU8);

impl KeyId {
    /// The identifier `number`, or `None` for 0, which is nobody's.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The identifier as the wire carries it.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A secret that the routers of a network share. Never printed, and wiped from memory when dropped.
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    /// On the heap, so that moving the key leaves no copy behind; filled up with zeros.
    secret: Box<Zeroizing<[u8; BLOCK_LEN]>>,
}

/// A secret has not 32 to 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key of {0} bytes; it must have {min} to {max}", min = Key::LEN_MIN, max = Key::LEN_MAX)]
pub struct KeyLengthError(pub usize);

impl Key {
    /// Fewest bytes of a secret: as many as the hash has.
    pub const LEN_MIN: usize = 32;
    /// Most bytes of a secret: more would be hashed first, and add nothing.
    pub const LEN_MAX: usize = BLOCK_LEN;

    /// The key `id` whose secret is `bytes`, 32 to 64 of them.
    pub fn new(id: KeyId, bytes: &[u8]) -> Result<Self, KeyLengthError> {
        if !(Self::LEN_MIN..=Self::LEN_MAX).contains(&bytes.len()) {
            return Err(KeyLengthError(bytes.len()));
        }
        let mut secret = Box::new(Zeroizing::new([0; BLOCK_LEN]));
        for (to, from) in secret.iter_mut().zip(bytes) {
            *to = *from;
        }
        Ok(Self { id, secret })
    }

    /// The number that trailers name it by.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// What the kernel needs of the secret to verify tags; as secret as the key.
    #[must_use]
    pub fn midstates(&self) -> Midstates {
        Midstates::new(self.secret.as_slice())
    }

    /// The secret, filled up with zeros, which make no other key of it; for another process that signs in our name.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        self.secret.as_slice()
    }

    pub(super) fn hmac(&self) -> Hmac<Sha256> {
        Hmac::new((&**self.secret).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id.get()).finish_non_exhaustive()
    }
}

/// The keys that are accepted: one in a quiet network, two while it changes from one to the next.
#[derive(Clone, Debug)]
pub struct Keyring(Vec<Key>);

/// Keys that cannot hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// None at all: nothing could be verified.
    #[error("no key")]
    Empty,
    /// More than four.
    #[error("{0} keys; at most {max} hold at a time", max = Keyring::KEYS_MAX)]
    TooMany(usize),
    /// Two of the same identifier.
    #[error("two keys with id {0}")]
    Duplicate(KeyId),
}

impl Keyring {
    /// Most keys that hold at a time.
    pub const KEYS_MAX: usize = 4;

    /// The ring of `keys`: one to four, with different identifiers.
    pub fn new(keys: Vec<Key>) -> Result<Self, KeyringError> {
        if keys.is_empty() {
            return Err(KeyringError::Empty);
        }
        if keys.len() > Self::KEYS_MAX {
            return Err(KeyringError::TooMany(keys.len()));
        }
        for (at, key) in keys.iter().enumerate() {
            if keys.iter().take(at).any(|other| other.id == key.id) {
                return Err(KeyringError::Duplicate(key.id));
            }
        }
        Ok(Self(keys))
    }

    /// The key that trailers call `id`.
    #[must_use]
    pub fn get(&self, id: u8) -> Option<&Key> {
        self.0.iter().find(|key| key.id.get() == id)
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u8) -> Key {
        Key::new(KeyId::new(id).unwrap(), &[id; 32]).unwrap()
    }

    #[test]
    fn a_secret_has_32_to_64_bytes() {
        let id = KeyId::new(1).unwrap();
        for (len, accepted) in [(0, false), (31, false), (32, true), (64, true), (65, false)] {
            assert_eq!(Key::new(id, &vec![7; len]).err(), (!accepted).then_some(KeyLengthError(len)));
        }
        assert_eq!(KeyLengthError(31).to_string(), "a key of 31 bytes; it must have 32 to 64");
        assert_eq!(KeyId::new(0), None);
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", key(99)), "Key { id: 99, .. }");
        assert_eq!(format!("{:?}", Keyring::new(vec![key(99)]).unwrap()), "Keyring([Key { id: 99, .. }])");
    }

    #[test]
    fn a_ring_holds_one_to_four_keys_of_different_identifiers() {
        let ring = |ids: &[u8]| Keyring::new(ids.iter().map(|&id| key(id)).collect());
        assert_eq!(ring(&[]).err(), Some(KeyringError::Empty));
        assert_eq!(ring(&[1, 2, 3, 4, 5]).err(), Some(KeyringError::TooMany(5)));
        assert_eq!(ring(&[1, 2, 1]).err(), Some(KeyringError::Duplicate(KeyId::new(1).unwrap())));
        let ring = ring(&[1, 2, 3, 255]).unwrap();
        assert_eq!(ring.iter().map(|key| key.id().get()).collect::<Vec<_>>(), [1, 2, 3, 255]);
        assert_eq!(ring.get(255).map(Key::id), KeyId::new(255));
        assert!(ring.get(4).is_none());
        assert!(ring.get(0).is_none());
    }
}
