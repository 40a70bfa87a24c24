//! Whether a server says that it serves, by the health protocol of gRPC.

use std::{
    error::Error,
    future::{Ready, ready},
    io::{self, ErrorKind},
    iter,
};

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tonic::{
    Code, Status,
    transport::{self, Channel},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tower_service::Service;

use super::GrpcRequest;
use crate::client::{Connection, Endpoint, Names, excerpt};

/// What asks a server.
#[derive(Debug)]
pub(super) struct Asker {
    request: GrpcRequest,
    names: Names,
}

impl Asker {
    pub(super) fn new(request: GrpcRequest) -> Self {
        Self { request, names: Names::default() }
    }

    /// Asks over a connection of its own, as a new client does.
    pub(super) async fn look(&mut self) -> Result<String, String> {
        let server = &self.request.server;
        let connection = server.connect_by(&mut self.names, b"h2").await?;
        let mut client = client(&server.endpoint, connection);
        let request = HealthCheckRequest { service: self.request.service.clone() };
        let answer = client.check(request).await.map_err(|status| sentence(&status))?;
        match answer.into_inner().status() {
            ServingStatus::Serving => Ok("serving".to_owned()),
            other @ (ServingStatus::Unknown | ServingStatus::NotServing | ServingStatus::ServiceUnknown) => {
                Err(other.as_str_name().to_owned())
            }
        }
    }
}

/// A client that asks over `connection`.
fn client(endpoint: &Endpoint, connection: Connection) -> HealthClient<Channel> {
    // Only the header :authority is made of it.
    let authority = match endpoint {
        tcp @ Endpoint::Tcp(..) => transport::Endpoint::from_shared(format!("http://{tcp}")),
        Endpoint::Unix(_) => Ok(transport::Endpoint::from_static("http://localhost")),
    };
    let authority = authority.unwrap_or_else(|_| transport::Endpoint::from_static("http://localhost"));
    HealthClient::new(authority.connect_with_connector_lazy(Connector(Some(connection))))
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

/// Hands over a connection.
struct Connector(Option<Connection>);

impl Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connection = self.0.take().ok_or_else(|| ErrorKind::NotConnected.into());
        ready(connection.map(TokioIo::new))
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
