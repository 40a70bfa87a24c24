//! Whether a server says that it serves, by the health protocol of gRPC.

use std::{error::Error, iter};

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tonic::{
    Code, Status,
    transport::{self, Channel},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tower_service::Service;

use super::GrpcRequest;
use crate::client::{Connection, Endpoint, Server, excerpt};

/// What asks a server.
#[derive(Debug)]
pub(super) struct Asker {
    request: GrpcRequest,
    client: Option<HealthClient<Channel>>,
}

impl Asker {
    pub(super) const fn new(request: GrpcRequest) -> Self {
        Self { request, client: None }
    }

    /// Closes the connection.
    pub(super) fn hang_up(&mut self) {
        self.client = None;
    }

    pub(super) async fn look(&mut self) -> Result<String, String> {
        let request = HealthCheckRequest { service: self.request.service.clone() };
        let client = self.client.get_or_insert_with(|| client(&self.request));
        let answer = client.check(request).await.map_err(|status| sentence(&status))?;
        match answer.into_inner().status() {
            ServingStatus::Serving => Ok("serving".to_owned()),
            other @ (ServingStatus::Unknown | ServingStatus::NotServing | ServingStatus::ServiceUnknown) => {
                Err(other.as_str_name().to_owned())
            }
        }
    }
}

/// A client that connects when it is asked, and again after a connection was lost.
fn client(request: &GrpcRequest) -> HealthClient<Channel> {
    // Only the header :authority is made of it: the connector knows the way.
    let authority = match &request.server.endpoint {
        tcp @ Endpoint::Tcp(..) => transport::Endpoint::from_shared(format!("http://{tcp}")),
        Endpoint::Unix(_) => Ok(transport::Endpoint::from_static("http://localhost")),
    };
    let authority = authority.unwrap_or_else(|_| transport::Endpoint::from_static("http://localhost"));
    HealthClient::new(authority.connect_with_connector_lazy(Connector(request.server.clone())))
}

/// The innermost reason of a call that failed.
fn sentence(status: &Status) -> String {
    let causes = iter::successors(status.source(), |&cause| cause.source());
    match causes.last() {
        Some(innermost) => innermost.to_string(),
        None if status.code() == Code::NotFound => "the server does not know the service".to_owned(),
        None => format!("{}: {}", status.code(), excerpt(status.message())),
    }
}

/// Connects to the server.
#[derive(Clone, Debug)]
struct Connector(Server);

impl Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = std::io::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let server = self.0.clone();
        Box::pin(async move {
            let opened = server.connect(b"h2").await;
            opened.map(TokioIo::new).map_err(std::io::Error::other)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_cut() {
        let status = Status::internal(format!("x\n{}", "y".repeat(10_000)));
        let expected = format!("{}: x{}", Code::Internal, "y".repeat(199));
        assert_eq!(sentence(&status), expected);
    }
}
