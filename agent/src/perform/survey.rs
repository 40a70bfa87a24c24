//! Looks what is amiss on the host, once for all who ask together: hundreds of virtual routers would otherwise each have the
//! kernel list the addresses of all.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt, io, mem,
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
#[derive(Clone)]
pub struct Surveyor(mpsc::UnboundedSender<Question>);

/// What one virtual router asks: looks at the lists, and answers.
type Question = Box<dyn FnOnce(&mut Lists) + Send>;

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
        self.ask(move |lists| lists.survey(ground, &items)).await
    }

    /// What is on the interface of the addresses among `items`, each as it is there, whatever its prefix length.
    pub async fn addresses(&self, ifindex: u32, items: Vec<Item>) -> io::Result<Vec<AddressMessage>> {
        self.ask(move |lists| {
            let listed = lists.addresses(ifindex)?;
            let wanted = items.iter().filter_map(|item| listed.get(&item.address()?.addr()));
            Ok(wanted.flatten().cloned().collect())
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Lists) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (answer, answered) = oneshot::channel();
        let failed = || io::Error::other("the task that asks the kernel has failed");
        // One that does not wait any more has no use for it.
        let question = move |lists: &mut Lists| drop(answer.send(look(lists)));
        self.0.send(Box::new(question)).map_err(|_| failed())?;
        answered.await.map_err(|_| failed())?
    }
}

impl fmt::Debug for Surveyor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surveyor").finish_non_exhaustive()
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
    for look in all {
        look(&mut lists);
    }
}

/// What the kernel has listed so far: of each interface the addresses and the routes through it, and the rules.
#[derive(Default)]
struct Lists {
    addresses: HashMap<u32, BTreeMap<IpAddr, Vec<AddressMessage>>>,
    routes: HashMap<u32, Vec<RouteMessage>>,
    rules: Option<Vec<RuleMessage>>,
}

impl Lists {
    fn survey(&mut self, ground: Option<Ground>, items: &[Item]) -> io::Result<Amiss> {
        let mut amiss = Amiss::default();
        for item in items {
            let is_there = match (item, ground) {
                (Item::Address(net), Some(ground)) => match self.addresses(ground.ifindex)?.get(&net.addr()) {
                    Some(messages) => {
                        let unfit = messages.iter().find(|message| address::is_unfit(message));
                        amiss.unfit.extend(unfit.map(|message| (*item, message.clone())));
                        true
                    }
                    None => false,
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

    fn addresses(&mut self, ifindex: u32) -> io::Result<&BTreeMap<IpAddr, Vec<AddressMessage>>> {
        Ok(match self.addresses.entry(ifindex) {
            Entry::Occupied(listed) => listed.into_mut(),
            Entry::Vacant(place) => {
                let mut listed: BTreeMap<_, Vec<_>> = BTreeMap::new();
                for (address, message) in address::list(ifindex)? {
                    listed.entry(address).or_default().push(message);
                }
                place.insert(listed)
            }
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
