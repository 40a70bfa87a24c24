//! What the rest of the agent tells the election thread.

use std::{
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    check::board::News,
    link::LinkState,
    observe::{Explanation, Snapshot},
    reactor::reload::{Reload, Reloaded},
    restart::Memory,
    router::handover::{Candidate, HandoverRequest, PendingHandover},
    supervisor::supervised::Supervisor,
};

/// Mail that may wait. Senders wait when it is full; the election thread never does.
const CAPACITY: usize = 256;
/// How long the election thread may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One piece of news, or a question.
#[derive(Debug)]
pub enum Mail {
    /// An interface changed.
    Link(LinkState),
    /// What became of the wish to hold a virtual router's addresses.
    Addresses {
        /// What the [crew](crate::perform::crew) calls it.
        router: u32,
        /// The term as Active that the wish belonged to.
        term: u64,
        /// What went wrong, as a sentence.
        outcome: Result<(), String>,
    },
    /// Somebody else has added a virtual address so that it was probed for, and not answered for meanwhile.
    Unfit {
        /// What the [crew](crate::perform::crew) calls the virtual router.
        router: u32,
        /// The address.
        address: IpAddr,
    },
    /// Hosts were asked for an answer to a virtual address.
    Asked {
        /// What the [crew](crate::perform::crew) calls the virtual router.
        router: u32,
        /// The term as Active that it was done in.
        term: u64,
        /// The hosts.
        gateways: Vec<IpAddr>,
    },
    /// Checks have come to something else.
    Checks(News),
    /// Another configuration.
    Reload {
        /// What is to be done for it.
        reload: Box<Reload>,
        /// What became of it.
        done: oneshot::Sender<Reloaded>,
    },
    /// Another supervisor watches this agent.
    Supervisor(Supervisor),
    /// What is the state of everything?
    Status(oneshot::Sender<Snapshot>),
    /// Why are virtual routers in their states? Those of a name, or all.
    Explain {
        /// The name.
        router: Option<String>,
        /// Whoever asks.
        asker: oneshot::Sender<Vec<Explanation>>,
    },
    /// Which node is that, and may virtual routers of a name be handed over to it?
    Candidate {
        /// The name of the virtual routers.
        router: String,
        /// The name of the node.
        node: String,
        /// Whoever asks.
        asker: oneshot::Sender<Result<Candidate, String>>,
    },
    /// Let other routers serve; says for whom that is on its way, or why it cannot be done.
    HandOver {
        /// What.
        request: HandoverRequest,
        /// Whoever asks.
        asker: oneshot::Sender<Result<Vec<PendingHandover>, String>>,
    },
    /// Stop where things are, for another program in the same process, and go on only when told to.
    Freeze {
        /// What that program is to know.
        memory: oneshot::Sender<anyhow::Result<Memory>>,
        /// Go on: that program could not be started.
        thaw: std::sync::mpsc::Receiver<()>,
    },
    /// Leave every virtual router and end.
    Shutdown,
}

/// The sending side.
#[derive(Clone, Debug)]
pub struct Mailbox {
    sender: mpsc::Sender<Mail>,
    waker: Arc<EventFd>,
}

impl Mailbox {
    /// Hands over `mail`, and waits while the mailbox is full. Mail to an election thread that has ended is lost.
    pub async fn send(&self, mail: Mail) {
        if self.sender.send(mail).await.is_ok() {
            // The counter overflows only after 2^64 wakes that nobody cleared; it is readable then too.
            let _ = self.waker.write(1);
        }
    }

    /// Asks the election thread what `mail` says, and waits for its answer, but not for ever.
    pub async fn ask<T>(&self, mail: impl FnOnce(oneshot::Sender<T>) -> Mail) -> anyhow::Result<T> {
        let (asker, answer) = oneshot::channel();
        let ask = async {
            self.send(mail(asker)).await;
            answer.await
        };
        timeout(PATIENCE, ask).await.ok().and_then(Result::ok).context("the election thread does not answer")
    }
}

/// The election thread's side; its file descriptor is readable when there may be mail.
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::Receiver<Mail>,
    waker: Arc<EventFd>,
}

impl Inbox {
    /// The next piece of mail, if any; never waits.
    pub fn take(&mut self) -> Option<Mail> {
        self.receiver.try_recv().ok()
    }

    /// Makes the file descriptor readable again, for mail that is left for the next turn.
    pub fn wake(&self) {
        // The counter overflows only after 2^64 wakes; it is readable then too.
        let _ = self.waker.write(1);
    }

    /// Makes the file descriptor unreadable; to be called before mail is taken, so that none is overlooked.
    pub fn clear(&self) {
        // Non-blocking: an error says that nobody woke us.
        let _ = self.waker.read();
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

/// A mailbox and its inbox.
pub fn mailbox() -> nix::Result<(Mailbox, Inbox)> {
    let waker = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
    let waker = Arc::new(waker);
    let (sender, receiver) = mpsc::channel(CAPACITY);
    Ok((Mailbox { sender, waker: Arc::clone(&waker) }, Inbox { receiver, waker }))
}
