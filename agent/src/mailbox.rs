//! What the rest of the agent tells the election thread.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::{mpsc, oneshot};

use crate::{link::LinkState, observe::Snapshot};

/// Mail that may wait. Senders wait when it is full; the election thread never does.
const CAPACITY: usize = 256;

/// One piece of news, or a question.
#[derive(Debug)]
pub enum Mail {
    /// An interface changed.
    Link(LinkState),
    /// What became of the wish to hold a virtual router's addresses.
    Addresses {
        /// Its place among all.
        router: usize,
        /// The term as Active that the wish belonged to.
        term: u64,
        /// What went wrong, as a sentence.
        outcome: Result<(), String>,
    },
    /// What is the state of everything?
    Status(oneshot::Sender<Snapshot>),
    /// Leave every virtual router and end.
    Shutdown,
}

/// The sending side.
#[derive(Clone, Debug)]
pub struct Mailbox {
    sender: mpsc::Sender<Mail>,
    bell: Arc<EventFd>,
}

impl Mailbox {
    /// Hands over `mail`. Mail to an election thread that has ended is of no use to anybody.
    pub async fn send(&self, mail: Mail) {
        if self.sender.send(mail).await.is_ok() {
            // The counter overflows only after 2^64 rings that nobody heard; it is readable then too.
            let _ = self.bell.write(1);
        }
    }
}

/// The election thread's side; its file descriptor is readable when there may be mail.
#[derive(Debug)]
pub struct Letterbox {
    receiver: mpsc::Receiver<Mail>,
    bell: Arc<EventFd>,
}

impl Letterbox {
    /// The next piece of mail, if any; never waits.
    pub fn take(&mut self) -> Option<Mail> {
        self.receiver.try_recv().ok()
    }

    /// Rings the bell for mail that was left for the next turn.
    pub fn ring(&self) {
        // The counter overflows only after 2^64 rings; it is readable then too.
        let _ = self.bell.write(1);
    }

    /// Silences the bell; to be called before mail is taken, so that none is overlooked.
    pub fn hush(&self) {
        // Non-blocking: an error says that it did not ring.
        let _ = self.bell.read();
    }
}

impl AsFd for Letterbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// A mailbox and its letterbox.
pub fn mailbox() -> nix::Result<(Mailbox, Letterbox)> {
    let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
    let bell = Arc::new(bell);
    let (sender, receiver) = mpsc::channel(CAPACITY);
    Ok((Mailbox { sender, bell: Arc::clone(&bell) }, Letterbox { receiver, bell }))
}
