//! Takes orders of all virtual routers to the kernel, on the thread of their tasks: those that come together, or while the kernel
//! is busy, go together with its next write. So a node that takes hundreds of virtual routers over has their addresses after a few.

use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use tokio::{
    runtime::{Builder, Handle},
    sync::{mpsc, oneshot},
};

use super::netlink::{self, Order, Refused};
use crate::supervisor::vitals::Standing;

/// Where orders wait.
#[derive(Clone, Debug)]
pub struct OrderQueue(mpsc::UnboundedSender<Errand>);

/// Orders of one virtual router, in their order.
#[derive(Debug)]
struct Errand {
    orders: Vec<Order>,
    standing: Option<Standing>,
    answer: oneshot::Sender<io::Result<Vec<Refused>>>,
}

impl OrderQueue {
    /// An empty one, and where tasks run that put orders into it: on the thread that serves it, since to wake another one takes
    /// longer than most orders. It ends with the last copy of this.
    pub fn begin() -> io::Result<(Self, Handle)> {
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let tasks = runtime.handle().clone();
        let (sender, errands) = mpsc::unbounded_channel();
        thread::Builder::new()
            .name("performers".to_owned())
            .spawn(move || runtime.block_on(serve(errands, carry_out)))?;
        Ok((Self(sender), tasks))
    }

    /// Has the kernel carry out `orders` one after the other, and returns those that it refused, as [`netlink::carry_out`] does.
    /// With a `standing` only while the virtual router is Active by it.
    pub async fn carry_out(&self, orders: Vec<Order>, standing: Option<Standing>) -> io::Result<Vec<Refused>> {
        if orders.is_empty() {
            return Ok(Vec::new());
        }
        let (answer, answered) = oneshot::channel();
        let failed = || io::Error::other("the thread that changes the host has failed");
        self.0.send(Errand { orders, standing, answer }).map_err(|_| failed())?;
        answered.await.map_err(|_| failed())?
    }
}

/// Has `work` done for those that are there, again and again. A panic costs these their answer, and nobody else: the tasks of all
/// virtual routers are on this thread.
async fn serve(mut errands: mpsc::UnboundedReceiver<Errand>, work: impl Fn(Vec<Errand>)) {
    let mut all = Vec::new();
    while errands.recv_many(&mut all, usize::MAX).await > 0 {
        let all = mem::take(&mut all);
        let _ = catch_unwind(AssertUnwindSafe(|| work(all)));
    }
}

/// Blocks for as long as the kernel takes.
fn carry_out(all: Vec<Errand>) {
    // The supervisor may have handed over while they waited.
    let (wanted, others): (Vec<_>, Vec<_>) = all.into_iter().partition(Errand::is_wanted);
    for errand in others {
        errand.answer(Err(io::Error::other("the supervisor has handed over for it")));
    }
    let outcome = netlink::carry_out(&wanted.iter().flat_map(|errand| &errand.orders).collect::<Vec<_>>());
    match outcome {
        Ok(refused) => share(wanted, &refused),
        // Nobody knows how far it came. An order that has been carried out may come again.
        Err(_) => wanted.into_iter().for_each(|errand| {
            let outcome = netlink::carry_out(&errand.orders);
            errand.answer(outcome);
        }),
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

    #[tokio::test]
    async fn a_panic_costs_those_their_answer_whose_orders_it_met() {
        let (sender, errands) = mpsc::unbounded_channel();
        let work = |all: Vec<Errand>| {
            assert!(all.iter().all(|errand| !errand.orders.is_empty()), "meant to panic");
            share(all, &[]);
        };
        let served = tokio::spawn(serve(errands, work));
        let order = address::put(Ground { ifindex: 7, is_own: false }, "10.0.0.1/32".parse().unwrap());
        let mut outcomes = Vec::new();
        for orders in [vec![], vec![order]] {
            let (answer, answered) = oneshot::channel();
            sender.send(Errand { orders, standing: None, answer }).unwrap();
            outcomes.push(answered.await.map(Result::unwrap).ok());
        }
        drop(sender);
        served.await.unwrap();
        assert_eq!(outcomes, [None, Some(vec![])]);
    }
}
