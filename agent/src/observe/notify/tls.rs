//! Which certificates are trusted.

use std::{path::Path, sync::Arc};

use anyhow::{Context, ensure};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The certificates in the PEM file `ca_file`, or those that the host trusts.
pub fn roots(ca_file: Option<&Path>) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            let name = file.display();
            let hint = || format!("failed to read certificates from `{name}`");
            for certificate in CertificateDer::pem_file_iter(file).with_context(hint)? {
                roots.add(certificate.with_context(hint)?).with_context(hint)?;
            }
            ensure!(!roots.is_empty(), "there is no certificate in `{name}`");
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            ensure!(
                !roots.is_empty(),
                "this host trusts no certificates: install the package ca-certificates, or give ca_file"
            );
        }
    }
    Ok(roots)
}

/// How HTTPS is spoken by who trusts these.
pub fn client(ca_file: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().context("no version of TLS can be spoken")?;
    Ok(builder.with_root_certificates(roots(ca_file)?).with_no_client_auth())
}
