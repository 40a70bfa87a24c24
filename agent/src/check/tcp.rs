//! Whether a connection is accepted.

use crate::client::{Endpoint, Names};

/// Connects, and closes the connection again.
pub(super) async fn look(endpoint: &Endpoint, names: &mut Names) -> Result<String, String> {
    endpoint.connect(names).await.map(|_| "accepts connections".to_owned())
}
