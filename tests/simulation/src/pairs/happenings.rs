//! What happens to the nodes and to their LAN.

use rand::RngExt;
use vrrp::{Priority, election::StateName};

use super::{Due, Pairs, movable};
use crate::{
    clock::nanoseconds,
    host::{Host, Life},
    oracle::{Violation, takeover},
    scenario::{Happening, Loss},
};

impl Pairs<'_> {
    pub(super) fn happen(&mut self, happening: &Happening) -> Result<(), Violation> {
        self.say(|| format!("{happening:?}"));
        let is_harmless = matches!(
            happening,
            Happening::Settled | Happening::Replaced | Happening::Forge { .. } | Happening::Assail { .. }
        );
        self.is_settled &= is_harmless;
        let now = self.now;
        match *happening {
            Happening::Impair { from, to, lost, twice } => {
                for half in self.some_halves() {
                    self.networks[half].change(from, to, now, |way| (way.lost, way.twice) = (lost, twice));
                }
            }
            Happening::Jitter { most } => self.networks.iter_mut().for_each(|network| network.set_jitter(most)),
            Happening::Noise { once_in } => self.networks.iter_mut().for_each(|network| network.set_noise(once_in)),
            Happening::Partition { ref side } => {
                for half in self.some_halves() {
                    self.networks[half].part(side, now);
                }
            }
            Happening::Freeze { host } => self.freeze(host),
            Happening::Thaw { host } => self.thaw(host),
            Happening::Suspend { host } => {
                let halves = self.nodes[host].halves.iter_mut().filter(|half| half.is_running());
                halves.for_each(|half| half.suspend(now));
            }
            Happening::Resume { host } => self.resume(host),
            Happening::Kill { host } => {
                let halves = self.nodes[host].halves.iter_mut().filter(|half| half.life != Life::Suspended);
                halves.for_each(|half| half.life = Life::Gone);
            }
            Happening::Stop { host } => self.act(host, Host::stop)?,
            Happening::Start { host } => self.start(host)?,
            Happening::Reload { host, priority } => self.reload(host, movable(priority))?,
            Happening::Reconfigure { host, priority, interval } => {
                for half in &mut self.nodes[host].halves {
                    (half.configured.priority, half.configured.advertisement_interval) = (movable(priority), interval);
                }
                self.act(host, Host::reconfigure)?;
            }
            Happening::HandOver { host } => self.hand_over(host)?,
            Happening::Reclaim { host } => self.act(host, Host::reclaim)?,
            Happening::PowerLoss { host } => self.lose_power(host),
            Happening::PortDown { host } => self.link(host, false),
            Happening::PortUp { host } => self.link(host, true),
            Happening::AddressFailure { host } => {
                let half = self.dice.random_range(0..2);
                self.nodes[host].halves[half].failures = 1;
            }
            // Those who forge, and the clocks and keys that keep them out, are the same for both halves.
            Happening::WallClock { .. }
            | Happening::Keys { .. }
            | Happening::Forge { .. }
            | Happening::Assail { .. } => {}
            Happening::Calm => self.calm()?,
            Happening::Settled => self.settled()?,
            Happening::LoseActive { how } => self.lose_active(how)?,
            Happening::Replaced => self.check_one_active()?,
        }
        Ok(())
    }

    /// One of the two, or both.
    fn some_halves(&mut self) -> Vec<usize> {
        match self.dice.random_range(0..3) {
            2 => vec![0, 1],
            half => vec![half],
        }
    }

    fn freeze(&mut self, node: usize) {
        if self.nodes[node].life() != Life::Running || !self.nodes[node].halves[0].has_power {
            return;
        }
        for half in &mut self.nodes[node].halves {
            half.kernel.beat_at = half.now(self.now);
            half.life = Life::Frozen;
        }
        if self.scenario.is_supervised {
            let hung_after = nanoseconds(self.nodes[node].halves[0].parameters().hung_after());
            let late = hung_after / 1_000 + self.dice.random_range(0..=self.scenario.latency);
            self.plan(self.now + hung_after + late, Due::Relief(node));
        }
    }

    /// A supervisor finds a daemon that hangs, and leaves in its name.
    pub(super) fn relieve(&mut self, node: usize) -> Result<(), Violation> {
        for half in 0..2 {
            let host = &mut self.nodes[node].halves[half];
            let hung_for = host.now(self.now).since(host.kernel.beat_at);
            let hangs = host.life == Life::Frozen && hung_for > host.parameters().hung_after();
            if hangs && host.state() == StateName::Active {
                let effects = host.relieve(self.now);
                self.perform(node, half, effects)?;
            }
        }
        Ok(())
    }

    fn thaw(&mut self, node: usize) {
        if self.nodes[node].life() == Life::Frozen {
            self.nodes[node].halves.iter_mut().for_each(|half| half.life = Life::Running);
            self.go_on(node);
        }
    }

    fn resume(&mut self, node: usize) {
        if self.nodes[node].life() == Life::Suspended {
            let now = self.now;
            self.nodes[node].halves.iter_mut().for_each(|half| _ = half.resume(now));
            self.go_on(node);
        }
    }

    fn go_on(&mut self, node: usize) {
        for (half, term, holds) in std::mem::take(&mut self.nodes[node].wishes) {
            self.change_address(node, half, term, holds);
        }
        let soon = self.soon();
        self.wake(node, soon);
    }

    fn start(&mut self, node: usize) -> Result<(), Violation> {
        self.nodes[node].halves.iter_mut().for_each(|half| half.has_power = true);
        if self.nodes[node].life() != Life::Gone {
            return Ok(());
        }
        for half in 0..2 {
            let effects = self.nodes[node].halves[half].start(self.now);
            self.perform(node, half, effects)?;
        }
        self.settle(node)?;
        self.turn(node)
    }

    fn reload(&mut self, node: usize, priority: Priority) -> Result<(), Violation> {
        let was_running = self.nodes[node].halves[0].is_running();
        self.act(node, Host::stop)?;
        self.nodes[node].halves.iter_mut().for_each(|half| half.configured.priority = priority);
        if was_running { self.start(node) } else { Ok(()) }
    }

    fn hand_over(&mut self, node: usize) -> Result<(), Violation> {
        // It may wait in vain, and preempts nobody meanwhile.
        let patience = takeover::handover_patience(self.nodes[node].halves[0].parameters());
        self.nodes[node].returned_at = Some(self.now + patience);
        self.act(node, Host::hand_over)
    }

    fn lose_power(&mut self, node: usize) {
        for half in &mut self.nodes[node].halves {
            half.clock.go_on(self.now);
            (half.has_power, half.life) = (false, Life::Gone);
            half.kernel.holds_address = false;
            half.wish.term += 1;
        }
        self.nodes[node].wishes.clear();
    }

    fn link(&mut self, node: usize, is_up: bool) {
        self.nodes[node].halves.iter_mut().for_each(|half| half.is_linked = is_up);
        self.wake(node, self.now);
    }

    fn calm(&mut self) -> Result<(), Violation> {
        for network in &mut self.networks {
            network.mend(self.now);
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].halves.iter_mut().for_each(|half| half.failures = 0);
            self.thaw(node);
            self.resume(node);
            self.link(node, true);
            self.start(node)?;
            for half in &mut self.nodes[node].halves {
                half.configured = half.router.parameters;
            }
            self.act(node, Host::reconfigure)?;
            self.act(node, Host::reclaim)?;
        }
        Ok(())
    }

    fn lose_active(&mut self, how: Loss) -> Result<(), Violation> {
        let Some(active) = self.nodes.iter().position(|node| node.is_all(StateName::Active)) else { return Ok(()) };
        match how {
            Loss::Dies => self.lose_power(active),
            Loss::Stops => self.act(active, Host::stop)?,
            Loss::HandsOver => self.hand_over(active)?,
            Loss::IsRelieved => self.freeze(active),
        }
        Ok(())
    }
}
