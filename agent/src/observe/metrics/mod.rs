//! Metrics for Prometheus and whoever reads its formats, and whether the agent lives and is ready, over HTTP.
//!
//! Runs on a thread of its own. Nobody who asks reaches the election thread: what it has said within the last half second is
//! told to all.

mod exposition;
mod families;
mod listener;
mod site;
pub mod tls;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    os::fd::{OwnedFd, RawFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use anyhow::Context;
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
    task::JoinHandle,
};

use self::site::Site;
pub use self::{
    exposition::{Format, encode},
    families::{Family, Kind, all as families},
};
use super::{Alarm, AlarmKind, overview::Overview};
use crate::{
    config,
    restart::{adopt, leave_open},
};

/// The servers, one for each address.
#[derive(Debug)]
pub struct Metrics {
    runtime: Handle,
    overview: Overview,
    config: Option<config::metrics::Metrics>,
    running: Vec<Running>,
    /// The sockets of addresses at which nobody serves at the moment.
    idle: BTreeMap<SocketAddr, OwnedFd>,
    /// Dropped, the thread ends.
    _stay: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    /// Returns the socket, if there was one.
    task: JoinHandle<Option<OwnedFd>>,
}

impl Metrics {
    /// Nothing is served yet of what `overview` shows. The program before has perhaps left `sockets` open.
    pub fn new(overview: Overview, sockets: &[(SocketAddr, RawFd)]) -> anyhow::Result<Self> {
        let idle = sockets.iter().map(|&(address, socket)| Ok((address, adopt(socket)?)));
        let idle = idle.collect::<anyhow::Result<_>>()?;
        let runtime = Builder::new_current_thread().enable_all().build().context("failed to start a runtime")?;
        let handle = runtime.handle().clone();
        let (stay, stays) = oneshot::channel::<()>();
        let work = move || {
            // Nothing is ever sent: this waits for the other end to go.
            let _ = runtime.block_on(stays);
        };
        thread::Builder::new().name("metrics".to_owned()).spawn(work).context("failed to start a thread")?;
        Ok(Self { runtime: handle, overview, config: None, running: Vec::new(), idle, _stay: stay })
    }

    /// Serves as `config` says and in no other way. Who connects meanwhile waits for a moment.
    pub async fn run(&mut self, config: &config::metrics::Metrics) {
        if self.config.as_ref() == Some(config) {
            return;
        }
        self.stop().await;
        let mut idle = std::mem::take(&mut self.idle);
        let site = Arc::new(Site::new(self.overview.clone(), config.login.clone()));
        for &address in &config.listen {
            let (stop, stopped) = oneshot::channel();
            let server = listener::Server {
                address,
                site: Arc::clone(&site),
                tls: config.tls.clone(),
                board: self.overview.metrics.clone(),
            };
            let task = self.runtime.spawn(server.run(idle.remove(&address), stopped));
            self.running.push(Running { address, stop, task });
        }
        self.config = Some(config.clone());
    }

    /// Answers who has asked, and nobody else; the sockets stay open, so that who connects waits.
    pub async fn stop(&mut self) {
        self.config = None;
        for Running { address, stop, task } in std::mem::take(&mut self.running) {
            drop(stop);
            if let Ok(Some(socket)) = task.await {
                self.idle.insert(address, socket);
            }
        }
    }

    /// Leaves the sockets open for the next program, once nothing is served; returns their addresses and numbers.
    pub fn leave_open(&self) -> anyhow::Result<Vec<(SocketAddr, RawFd)>> {
        self.idle.iter().map(|(&address, socket)| Ok((address, leave_open(socket)?))).collect()
    }
}

/// The addresses at which metrics should be served and are not, and why.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<BTreeMap<SocketAddr, String>>>);

impl Board {
    /// An alarm for each of them.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm> {
        let alarm =
            |what: &String| Alarm { kind: AlarmKind::MetricsUnavailable, router: None, peer: None, what: what.clone() };
        self.lock().values().map(alarm).collect()
    }

    /// Notes why metrics are not served at `address`; says whether that is news.
    fn fail(&self, address: SocketAddr, error: &dyn fmt::Display, remedy: &str) -> bool {
        let what = format!("metrics are not served at {address}: {error}; {remedy}");
        self.lock().insert(address, what.clone()) != Some(what)
    }

    /// Notes that they are served there, or need not be; says whether that is news.
    fn mend(&self, address: SocketAddr) -> bool {
        self.lock().remove(&address).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, String>> {
        // Nothing that is done under the lock leaves it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
