//! Adverts that are due at the same moment, sent with one system call for each socket and source.

use std::{io, mem, net::IpAddr, sync::Arc};

use vrrp::message::Endpoints;
use vrrp_wire::abi::RouterKey;

use super::{advertise::Advertiser, announce::Announcer};

/// An advert to be sent.
#[derive(Debug)]
pub struct Letter {
    /// Whose it is.
    pub router: RouterKey,
    /// How it is sent.
    pub way: Way,
    /// From whom to whom.
    pub endpoints: Endpoints,
    /// The message, or the whole frame where it goes by [`Way::Frame`].
    pub bytes: Vec<u8>,
}

/// How an advert is sent.
#[derive(Clone, Debug)]
pub enum Way {
    /// By a raw socket, from the interface's own MAC address.
    Socket(Arc<Advertiser>),
    /// As a frame, from another one.
    Frame(Arc<Announcer>),
}

impl Way {
    /// Where its socket is in memory: that of one way, and of no other.
    fn place(&self) -> usize {
        match self {
            Self::Socket(advertiser) => Arc::as_ptr(advertiser).addr(),
            Self::Frame(announcer) => Arc::as_ptr(announcer).addr(),
        }
    }
}

/// What became of an advert.
#[derive(Debug)]
pub struct Outcome {
    /// Whose it was.
    pub router: RouterKey,
    /// Where it was to go.
    pub destination: IpAddr,
    /// Whether it went.
    pub result: io::Result<()>,
}

/// Adverts that wait to be sent, and what became of those that were.
#[derive(Debug, Default)]
pub struct Outbox {
    letters: Vec<Letter>,
    outcomes: Vec<Outcome>,
}

impl Outbox {
    /// Puts one in.
    pub fn post(&mut self, letter: Letter) {
        self.letters.push(letter);
    }

    /// Sends all, in their order as far as they go the same way. Never waits.
    pub fn flush(&mut self) {
        let letters = sorted(mem::take(&mut self.letters));
        for mut batch in letters.chunk_by(|one, next| batch_of(one) == batch_of(next)) {
            while let Some(first) = batch.first() {
                let sent = match &first.way {
                    Way::Socket(advertiser) => advertiser.send(batch),
                    Way::Frame(announcer) => announcer.send(batch),
                };
                // One that cannot be sent stops those behind it; they are tried again without it.
                let (done, result) = match sent {
                    Ok(count) => (count.clamp(1, batch.len()), Ok(())),
                    Err(error) => (1, Err(error)),
                };
                let (done, rest) = batch.split_at(done);
                self.outcomes.extend(done.iter().map(|letter| Outcome::of(letter, copy(&result))));
                batch = rest;
            }
        }
    }

    /// What became of the adverts that were sent since the last call.
    pub fn outcomes(&mut self) -> Vec<Outcome> {
        mem::take(&mut self.outcomes)
    }
}

/// What adverts that one system call can send have in common.
fn batch_of(letter: &Letter) -> (usize, IpAddr) {
    (letter.way.place(), letter.endpoints.source())
}

/// Those of one batch together: virtual routers of both families take turns in the configuration.
fn sorted(mut letters: Vec<Letter>) -> Vec<Letter> {
    letters.sort_by_key(batch_of);
    letters
}

impl Outcome {
    const fn of(letter: &Letter, result: io::Result<()>) -> Self {
        Self { router: letter.router, destination: letter.endpoints.destination(), result }
    }
}

/// An error of the system is its number, which can be had again.
fn copy(result: &io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(error) => Err(error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)),
    }
}
