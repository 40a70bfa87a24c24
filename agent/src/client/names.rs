//! Addresses of servers that are known by name.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

use tokio::task::{JoinHandle, spawn_blocking};

/// Looks up the name of one server, and never again while that goes on: without an answer it takes a thread of the runtime for
/// many seconds, however soon whoever asks has given up.
#[derive(Debug, Default)]
pub struct Names {
    pending: Option<JoinHandle<io::Result<Vec<SocketAddr>>>>,
    /// What it has led to last.
    known: Vec<SocketAddr>,
}

impl Names {
    /// Where `host` is, a name or an address: where it was last, as long as nobody answers for it any more.
    pub(super) async fn find(&mut self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let host = host.to_owned();
        self.find_by(move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect)).await
    }

    async fn find_by(
        &mut self,
        look_up: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    ) -> io::Result<Vec<SocketAddr>> {
        let hangs = self.pending.as_ref().is_some_and(|pending| !pending.is_finished());
        if hangs && !self.known.is_empty() {
            return Ok(self.known.clone());
        }
        let found = self.pending.get_or_insert_with(|| spawn_blocking(look_up)).await;
        self.pending = None;
        self.known = found??;
        Ok(self.known.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv4Addr,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
            mpsc,
        },
    };

    use futures_util::FutureExt;

    use super::*;

    fn at(last: u8) -> Vec<SocketAddr> {
        vec![SocketAddr::new(Ipv4Addr::new(192, 0, 2, last).into(), 80)]
    }

    #[tokio::test]
    async fn a_name_that_nobody_answers_for_takes_one_thread() {
        let mut names = Names::default();
        let begun = Arc::new(AtomicU32::new(0));
        let (answer, answers) = mpsc::channel();
        let another = || {
            let begun = Arc::clone(&begun);
            move || {
                begun.fetch_add(1, Ordering::Relaxed);
                Ok(at(9))
            }
        };
        let first = move || answers.recv().map_err(io::Error::other);
        assert!(names.find_by(first).now_or_never().is_none());
        for _ in 0..10 {
            assert!(names.find_by(another()).now_or_never().is_none());
        }
        answer.send(at(1)).unwrap();
        assert_eq!(names.find_by(another()).await.unwrap(), at(1));
        assert_eq!(begun.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_name_leads_where_it_led_while_nobody_answers() {
        let mut names = Names::default();
        assert_eq!(names.find_by(|| Ok(at(1))).await.unwrap(), at(1));
        let (answer, answers) = mpsc::channel();
        assert!(names.find_by(move || answers.recv().map_err(io::Error::other)).now_or_never().is_none());
        assert_eq!(names.find_by(|| Ok(at(3))).await.unwrap(), at(1));
        answer.send(at(2)).unwrap();
        while names.pending.as_ref().is_some_and(|pending| !pending.is_finished()) {
            tokio::task::yield_now().await;
        }
        assert_eq!(names.find_by(|| Ok(at(3))).await.unwrap(), at(2));
        assert_eq!(names.find_by(|| Ok(at(3))).await.unwrap(), at(3));
        assert!(names.find_by(|| Err(io::ErrorKind::NotFound.into())).await.is_err());
    }

    #[tokio::test]
    async fn an_address_is_not_looked_up() {
        let found = Names::default().find("192.0.2.1", 80).now_or_never().unwrap();
        assert_eq!(found.unwrap(), at(1));
    }
}
