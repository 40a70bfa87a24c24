//! A certificate for an address of the lab, which vouches for itself.

use anyhow::Result;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// A certificate and its key.
#[derive(Debug)]
pub struct Certificate {
    /// The certificate in PEM.
    pub pem: String,
    /// The key in PEM.
    pub key_pem: String,
    /// The certificate in DER.
    pub der: CertificateDer<'static>,
    /// The key in DER.
    pub key_der: Vec<u8>,
}

impl Certificate {
    /// One for `address`.
    pub fn new(address: &str) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([address.to_owned()])?;
        Ok(Self {
            pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
            key_der: made.signing_key.serialize_der(),
        })
    }
}
