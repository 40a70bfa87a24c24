//! Whether a connection is accepted.

use super::{Endpoint, connection};

/// Connects, and closes the connection again.
pub(super) async fn look(endpoint: &Endpoint) -> Result<String, String> {
    connection::reach(endpoint).await.map(|_| "accepts connections".to_owned())
}
