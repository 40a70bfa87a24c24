//! Looks what is amiss on the host, once for all who ask together: hundreds of virtual routers would otherwise each have the
//! kernel list the addresses of all.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    io, mem,
    net::IpAddr,
};

use rtnetlink::packet_route::{address::AddressMessage, route::RouteMessage, rule::RuleMessage};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

use super::{
    address,
    holdings::{Ground, Item},
    netlink::Order,
    route, rule,
};

/// What is amiss on the host.
#[derive(Debug, Default)]
pub struct Amiss {
    /// What should be there and is not.
    pub missing: Vec<Item>,
    /// IPv6 addresses that are there, for which nobody is answered, each as it is there.
    pub unfit: Vec<(Item, AddressMessage)>,
}

impl Amiss {
    /// What must go before it can be mended: addresses as they are, and what is left of routes.
    #[must_use]
    pub fn room(&self, ground: Ground) -> Vec<Order> {
        let unfit = self.unfit.iter().map(|(_, message)| address::take_off_message(message.clone()));
        let routes = self.missing.iter().filter(|item| matches!(item, Item::Route(_)));
        unfit.chain(routes.map(|item| item.take_off(ground))).collect()
    }
}

/// Where questions wait.
#[derive(Clone, Debug)]
pub struct Surveyor(mpsc::UnboundedSender<Question>);

/// What one virtual router asks.
#[derive(Debug)]
struct Question {
    ground: Option<Ground>,
    items: Vec<Item>,
    answer: oneshot::Sender<io::Result<Amiss>>,
}

impl Surveyor {
    /// With the task that answers, on the runtime of `tasks`. It ends with the last copy of this.
    #[must_use]
    pub fn begin(tasks: &Handle) -> Self {
        let (sender, questions) = mpsc::unbounded_channel();
        tasks.spawn(serve(questions));
        Self(sender)
    }

    /// What of `items` is amiss on `ground`, or everywhere where there is none, at a moment after this was called.
    pub async fn survey(&self, ground: Option<Ground>, items: Vec<Item>) -> io::Result<Amiss> {
        let (answer, answered) = oneshot::channel();
        let failed = || io::Error::other("the task that asks the kernel has failed");
        self.0.send(Question { ground, items, answer }).map_err(|_| failed())?;
        answered.await.map_err(|_| failed())?
    }
}

async fn serve(mut questions: mpsc::UnboundedReceiver<Question>) {
    let mut all = Vec::new();
    while questions.recv_many(&mut all, usize::MAX).await > 0 {
        let all = mem::take(&mut all);
        // A panic costs those their answer that asked together.
        let _ = spawn_blocking(move || answer(all)).await;
    }
}

/// Blocks for as long as the kernel takes.
fn answer(all: Vec<Question>) {
    let mut lists = Lists::default();
    for Question { ground, items, answer } in all {
        // One that does not wait any more has no use for it.
        let _ = answer.send(lists.survey(ground, &items));
    }
}

/// What the kernel has listed so far: of each interface the addresses and the routes through it, and the rules.
#[derive(Default)]
struct Lists {
    addresses: HashMap<u32, BTreeMap<IpAddr, AddressMessage>>,
    routes: HashMap<u32, Vec<RouteMessage>>,
    rules: Option<Vec<RuleMessage>>,
}

impl Lists {
    fn survey(&mut self, ground: Option<Ground>, items: &[Item]) -> io::Result<Amiss> {
        let mut amiss = Amiss::default();
        for item in items {
            let is_there = match (item, ground) {
                (Item::Address(net), Some(ground)) => match self.addresses(ground.ifindex)?.get(&net.addr()) {
                    Some(message) if address::is_unfit(message) => {
                        amiss.unfit.push((*item, message.clone()));
                        true
                    }
                    found => found.is_some(),
                },
                (Item::Route(route), Some(ground)) => {
                    self.routes(ground.ifindex)?.iter().any(|message| route.is(message))
                }
                (Item::Rule(rule), _) => self.rules()?.iter().any(|message| rule.is(message)),
                (Item::Address(_) | Item::Route(_), None) => false,
            };
            if !is_there {
                amiss.missing.push(*item);
            }
        }
        Ok(amiss)
    }

    fn addresses(&mut self, ifindex: u32) -> io::Result<&BTreeMap<IpAddr, AddressMessage>> {
        Ok(match self.addresses.entry(ifindex) {
            Entry::Occupied(listed) => listed.into_mut(),
            Entry::Vacant(place) => place.insert(address::list(ifindex)?.into_iter().collect()),
        })
    }

    fn routes(&mut self, ifindex: u32) -> io::Result<&[RouteMessage]> {
        Ok(match self.routes.entry(ifindex) {
            Entry::Occupied(listed) => listed.into_mut(),
            Entry::Vacant(place) => place.insert(route::list(ifindex)?),
        })
    }

    fn rules(&mut self) -> io::Result<&[RuleMessage]> {
        if self.rules.is_none() {
            self.rules = Some(rule::list()?);
        }
        Ok(self.rules.as_deref().unwrap_or_default())
    }
}
