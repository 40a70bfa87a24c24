//! Takes orders of all virtual routers to the kernel, on a thread that may wait for it: those that come while it is busy go
//! together with its next write. So a node that takes hundreds of virtual routers over has their addresses after a few.

use std::{io, sync::mpsc, thread};

use tokio::sync::oneshot;

use super::netlink::{self, Order, Refused};

/// Where orders wait.
#[derive(Clone, Debug)]
pub struct OrderQueue(mpsc::Sender<Errand>);

/// Orders of one virtual router, in their order.
#[derive(Debug)]
struct Errand {
    orders: Vec<Order>,
    answer: oneshot::Sender<io::Result<Vec<Refused>>>,
}

impl OrderQueue {
    /// An empty one, and the thread that serves it, which ends with the last copy of this.
    pub fn begin() -> io::Result<Self> {
        let (sender, errands) = mpsc::channel();
        thread::Builder::new().name("orders".to_owned()).spawn(move || serve(&errands))?;
        Ok(Self(sender))
    }

    /// Has the kernel carry out `orders` one after the other, and returns those that it refused, as [`netlink::carry_out`] does.
    pub async fn carry_out(&self, orders: Vec<Order>) -> io::Result<Vec<Refused>> {
        let (answer, answered) = oneshot::channel();
        let ended = || io::Error::other("the thread that changes the host has ended");
        self.0.send(Errand { orders, answer }).map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

fn serve(errands: &mpsc::Receiver<Errand>) {
    while let Ok(first) = errands.recv() {
        let mut orders = first.orders;
        let mut askers = vec![(orders.len(), first.answer)];
        for errand in errands.try_iter() {
            askers.push((errand.orders.len(), errand.answer));
            orders.extend(errand.orders);
        }
        let outcome = netlink::carry_out(&orders);
        let mut first = 0;
        for (count, answer) in askers {
            // One that does not wait any more has no use for it.
            let _ = answer.send(share(&outcome, first, count));
            first += count;
        }
    }
}

/// What became of `count` orders from `first` on.
fn share(outcome: &io::Result<Vec<Refused>>, first: usize, count: usize) -> io::Result<Vec<Refused>> {
    match outcome {
        Ok(refused) => {
            let own = refused.iter().filter(|refused| (first..first + count).contains(&refused.at));
            Ok(own.map(|refused| Refused { at: refused.at - first, error: refused.error }).collect())
        }
        Err(error) => Err(error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)),
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn everybody_learns_what_became_of_his_own() {
        let refused = |at, error| Refused { at, error };
        let outcome = Ok(vec![refused(0, Errno::EEXIST), refused(4, Errno::EPERM)]);
        assert_eq!(share(&outcome, 0, 2).unwrap(), [refused(0, Errno::EEXIST)]);
        assert_eq!(share(&outcome, 2, 2).unwrap(), []);
        assert_eq!(share(&outcome, 4, 1).unwrap(), [refused(0, Errno::EPERM)]);
        let failed = Err(io::Error::from_raw_os_error(Errno::ENOBUFS as i32));
        assert_eq!(share(&failed, 2, 2).unwrap_err().raw_os_error(), Some(Errno::ENOBUFS as i32));
    }
}
