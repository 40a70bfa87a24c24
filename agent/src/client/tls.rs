//! TLS to servers, and whose certificates are believed.

use std::sync::{Arc, OnceLock};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Connection, Tls, Trust};

/// The certificates that `trust` goes by; a sentence says why there are none.
pub fn roots(trust: &Trust) -> Result<Arc<RootCertStore>, String> {
    match trust {
        Trust::Host => of_this_host(),
        Trust::File(path) => {
            let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let certificates = certificates
                .map_err(|error| format!("no certificates can be read from `{}`: {error}", path.display()))?;
            let mut store = RootCertStore::empty();
            let (added, _) = store.add_parsable_certificates(certificates);
            if added == 0 { Err(format!("`{}` holds no certificate", path.display())) } else { Ok(Arc::new(store)) }
        }
        Trust::Anybody => Ok(Arc::new(RootCertStore::empty())),
    }
}

/// Those that the host trusts, read once.
fn of_this_host() -> Result<Arc<RootCertStore>, String> {
    static STORE: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut store = RootCertStore::empty();
        // What cannot be read is missed where it is needed.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(store)
    };
    let store = STORE.get_or_init(read);
    if store.is_empty() { Err("this host trusts no certificate".to_owned()) } else { Ok(Arc::clone(store)) }
}

/// Agrees on TLS with the server at the other end of `plain`.
pub(super) async fn wrap(plain: Connection, tls: &Tls, protocol: &[u8]) -> Result<TlsStream<Connection>, String> {
    let server = ServerName::try_from(tls.server.clone());
    let server = server.map_err(|_| format!("{:?} is no name of a server", tls.server))?;
    let connector = TlsConnector::from(Arc::new(config(&tls.trust, protocol)?));
    connector.connect(server, plain).await.map_err(|error| format!("no TLS with {}: {error}", tls.server))
}

/// Made for each connection, so that a file of certificates may be replaced.
fn config(trust: &Trust, protocol: &[u8]) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let mut config = match trust {
        Trust::Anybody => {
            let verifier = Arc::new(Unverified(provider));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
        Trust::Host | Trust::File(_) => builder.with_root_certificates(roots(trust)?).with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

/// Takes every certificate, of a server that has its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
