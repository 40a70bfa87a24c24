//! Whether a connection is accepted.

use crate::client::Endpoint;

/// Connects, and closes the connection again.
pub(super) async fn look(endpoint: &Endpoint) -> Result<String, String> {
    endpoint.connect().await.map(|_| "accepts connections".to_owned())
}
