//! The keys of a test's cluster.

use anyhow::Result;
use harness::Lab;

/// The secrets; the identifier of the first is 1.
pub(crate) const KEYS: [&str; 3] =
    ["the first key of the tests of vipd", "the second key of the tests of vipd", "the wrong key of the tests of vipd"];

/// `[auth]` of a cluster that believes nothing but the first key. Nobody keeps the clock of a test right.
pub(crate) const ENFORCE: &str =
    "mode = \"enforce\"\nactive_key = 1\nkeys = [{ id = 1, file = \"/run/lab/key1\" }]\nclock_grace = \"0s\"";

/// Writes the first two keys into files of the lab.
pub(crate) fn write_keys(lab: &Lab) -> Result<()> {
    for (at, key) in KEYS[..2].iter().enumerate() {
        lab.secret(&format!("key{}", at + 1), &format!("{key}\n"))?;
    }
    Ok(())
}
