//! Sends announcements, on a thread of its own: hundreds of frames take the kernel milliseconds, in which the virtual routers
//! that are taken over next must not wait for their addresses.

use std::{
    io,
    sync::{Arc, mpsc},
};

use tokio::sync::oneshot;

use super::{announce::Announcer, worker};
use crate::supervisor::vitals::Standing;

/// Where frames wait to be sent.
#[derive(Clone, Debug)]
pub struct Dispatch(mpsc::Sender<Parcel>);

/// Frames of one virtual router.
#[derive(Debug)]
struct Parcel {
    announcer: Arc<Announcer>,
    frames: Vec<Vec<u8>>,
    standing: Standing,
    answer: oneshot::Sender<io::Result<Vec<Vec<u8>>>>,
}

impl Dispatch {
    /// With the thread that sends, which ends with the last copy of this.
    pub fn begin() -> io::Result<Self> {
        let (sender, parcels) = mpsc::channel();
        worker::start("announcements", move || serve(&parcels))?;
        Ok(Self(sender))
    }

    /// Sends `frames` through `announcer`, unless the virtual router is no longer Active by its `standing` when it is their turn.
    /// Returns those that the interface had no room for.
    pub async fn send(
        &self,
        announcer: Arc<Announcer>,
        frames: Vec<Vec<u8>>,
        standing: Standing,
    ) -> io::Result<Vec<Vec<u8>>> {
        let (answer, answered) = oneshot::channel();
        let ended = || io::Error::other("the thread that announces has ended");
        self.0.send(Parcel { announcer, frames, standing, answer }).map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

fn serve(parcels: &mpsc::Receiver<Parcel>) {
    while let Ok(Parcel { announcer, mut frames, standing, answer }) = parcels.recv() {
        let outcome = if standing.is_active() {
            announcer.announce(&frames).map(|sent| frames.split_off(sent.min(frames.len())))
        } else {
            Ok(Vec::new())
        };
        // One that does not wait any more has no use for it.
        let _ = answer.send(outcome);
    }
}
