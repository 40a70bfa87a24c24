//! A server over TLS on a host of the lab.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result};
use tokio::{net::TcpStream, runtime::Builder, sync::oneshot};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
    server::TlsStream,
};

use crate::{Certificate, Host};

/// A server that runs, on a thread of its own. Dropped, it ends with all connections.
#[derive(Debug)]
pub struct TlsServer {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl TlsServer {
    /// Listens on `host` at `address`, which `certificate` is for, and has `talk` talk to whoever connects.
    pub fn start<F, T>(host: &Host, address: &str, certificate: &Certificate, talk: F) -> Result<Self>
    where
        F: Fn(TlsStream<TcpStream>, SocketAddr) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let address: SocketAddr = address.parse()?;
        let listener = host.namespace().enter(|| TcpListener::bind(address))??;
        listener.set_nonblocking(true)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certificate.key_der.clone()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der.clone()], key)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (stop, stopped) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("server".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    outcome = serve(listener, acceptor, talk) => eprintln!("server at {address}: {outcome:?}"),
                    // Nothing is ever sent: this waits for the other end to go.
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve<F, T>(listener: TcpListener, acceptor: TlsAcceptor, talk: F) -> Result<()>
where
    F: Fn(TlsStream<TcpStream>, SocketAddr) -> T + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let talk = Arc::new(talk);
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, from) = listener.accept().await.context("failed to accept")?;
        let acceptor = acceptor.clone();
        let talk = Arc::clone(&talk);
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                talk(stream, from).await;
            }
        });
    }
}
