//! TLS of the server of metrics.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    config::metrics::Credentials,
    keys::{Problem, read_guarded},
};

/// Length of the longest key that is read, in bytes: one of RSA with 16384 bits has less.
const KEY_LEN_MAX: usize = 64 * 1024;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no certificate in the file.
    #[error("no certificate can be read from `{}`: {what}", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The key cannot be used; what is wrong with it, and what to do.
    #[error("{0}")]
    Key(String, String),
    /// Certificate and key are refused.
    #[error("the key does not go with the certificate: {0}")]
    Unlike(rustls::Error),
}

/// What agrees on TLS with a client. Made for each, so that the files may be replaced.
pub fn acceptor(credentials: &Credentials) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&credentials.certificate_file)?;
    let key = key(&credentials.key_file)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Unlike)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(TlsError::Unlike)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fail = |what: String| TlsError::Certificate { file: file.to_owned(), what };
    let chain = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| fail(error.to_string()))?;
    if chain.is_empty() { Err(fail("there is none in it".to_owned())) } else { Ok(chain) }
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let fail = |problem: &Problem| {
        let is_missing = matches!(problem, Problem::Unreadable(_));
        let remedy = if is_missing { "write the key into it, mode 0600".to_owned() } else { problem.remedy(file) };
        TlsError::Key(format!("`{}` {problem}", file.display()), remedy)
    };
    let (contents, problems) = read_guarded(file, KEY_LEN_MAX).map_err(|problem| fail(&problem))?;
    if let Some(problem) = problems.iter().find(|problem| problem.is_serious()) {
        return Err(fail(problem));
    }
    PrivateKeyDer::from_pem_slice(&contents).map_err(|error| {
        let what = format!("`{}` holds no key: {error}", file.display());
        TlsError::Key(what, "name the file of the key in PEM, without a passphrase".to_owned())
    })
}
