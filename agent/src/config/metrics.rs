//! Where metrics are served, and to whom, as checked.

use std::{net::SocketAddr, path::PathBuf};

use crate::secret::Secret;

/// Who serves metrics to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// The addresses that it is listened at; none: nothing is served. Default 127.0.0.1, port 9650.
    pub listen: Vec<SocketAddr>,
    /// What the server shows to be known by; `None`: nothing is encrypted.
    pub tls: Option<Credentials>,
    /// Who alone may read metrics; `None`: everybody.
    pub login: Option<Login>,
}

/// The certificate of a server, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// File of the certificate and those that it is signed by, in PEM.
    pub certificate_file: PathBuf,
    /// File of the key, in PEM.
    pub key_file: PathBuf,
}

/// A reader, as HTTP basic authentication (RFC 7617) has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret,
}
