//! A certificate for an address of the lab, which vouches for itself.

use anyhow::Result;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// A certificate and its key.
pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) key_pem: String,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key_der: Vec<u8>,
}

impl Certificate {
    /// One for `address`.
    pub(crate) fn new(address: &str) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([address.to_owned()])?;
        Ok(Self {
            pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
            key_der: made.signing_key.serialize_der(),
        })
    }
}
