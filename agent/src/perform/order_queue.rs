//! Takes orders of all virtual routers to the kernel, on a thread that may wait for it: those that come while it is busy go
//! together with its next write. So a node that takes hundreds of virtual routers over has their addresses after a few.

use std::{io, sync::mpsc};

use tokio::sync::oneshot;

use super::{
    netlink::{self, Order, Refused},
    worker,
};
use crate::supervisor::vitals::Standing;

/// Where orders wait.
#[derive(Clone, Debug)]
pub struct OrderQueue(mpsc::Sender<Errand>);

/// Orders of one virtual router, in their order.
#[derive(Debug)]
struct Errand {
    orders: Vec<Order>,
    standing: Option<Standing>,
    answer: oneshot::Sender<io::Result<Vec<Refused>>>,
}

impl OrderQueue {
    /// An empty one, and the thread that serves it, which ends with the last copy of this.
    pub fn begin() -> io::Result<Self> {
        let (sender, errands) = mpsc::channel();
        worker::start("orders", move || serve(&errands))?;
        Ok(Self(sender))
    }

    /// Has the kernel carry out `orders` one after the other, and returns those that it refused, as [`netlink::carry_out`] does.
    /// With a `standing` only while the virtual router is Active by it.
    pub async fn carry_out(&self, orders: Vec<Order>, standing: Option<Standing>) -> io::Result<Vec<Refused>> {
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        let (answer, answered) = oneshot::channel();
        let ended = || io::Error::other("the thread that changes the host has ended");
        self.0.send(Errand { orders, standing, answer }).map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

fn serve(errands: &mpsc::Receiver<Errand>) {
    while let Ok(first) = errands.recv() {
        let all: Vec<_> = std::iter::once(first).chain(errands.try_iter()).collect();
        // The supervisor may have handed over while they waited.
        let (wanted, others): (Vec<_>, Vec<_>) = all.into_iter().partition(Errand::is_wanted);
        for errand in others {
            errand.answer(Err(io::Error::other("the supervisor has handed over for it")));
        }
        let outcome = netlink::carry_out(&wanted.iter().flat_map(|errand| &errand.orders).cloned().collect::<Vec<_>>());
        match outcome {
            Ok(refused) => share(wanted, &refused),
            // Nobody knows how far it came. An order that has been carried out may come again.
            Err(_) => wanted.into_iter().for_each(|errand| {
                let outcome = netlink::carry_out(&errand.orders);
                errand.answer(outcome);
            }),
        }
    }
}

/// Tells everybody what was refused of his own.
fn share(errands: Vec<Errand>, refused: &[Refused]) {
    let mut first = 0;
    for errand in errands {
        let own = first..first + errand.orders.len();
        first = own.end;
        let refused = refused.iter().filter(|refused| own.contains(&refused.at));
        let refused = refused.map(|refused| Refused { at: refused.at - own.start, error: refused.error }).collect();
        errand.answer(Ok(refused));
    }
}

impl Errand {
    fn is_wanted(&self) -> bool {
        self.standing.as_ref().is_none_or(Standing::is_active)
    }

    fn answer(self, outcome: io::Result<Vec<Refused>>) {
        // One that does not wait any more has no use for it.
        let _ = self.answer.send(outcome);
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;
    use crate::perform::{address, holdings::Ground};

    #[test]
    fn everybody_learns_what_became_of_his_own() {
        let refused = |at, error| Refused { at, error };
        let order = || address::put(Ground { ifindex: 7, is_own: false }, "10.0.0.1/32".parse().unwrap());
        let (errands, answered): (Vec<_>, Vec<_>) = [2, 0, 2, 1]
            .map(|count| {
                let (answer, answered) = oneshot::channel();
                (Errand { orders: vec![order(); count], standing: None, answer }, answered)
            })
            .into_iter()
            .unzip();
        share(errands, &[refused(0, Errno::EEXIST), refused(4, Errno::EPERM)]);
        let outcomes: Vec<_> = answered.into_iter().map(|mut answered| answered.try_recv().unwrap().unwrap()).collect();
        assert_eq!(outcomes, [vec![refused(0, Errno::EEXIST)], vec![], vec![], vec![refused(0, Errno::EPERM)]]);
    }
}
