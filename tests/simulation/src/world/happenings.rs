//! What happens to the LAN and to its hosts, and what becomes of it.

use vrrp::Priority;

use super::{Due, World};
use crate::{
    host::{Effect, Host, Life},
    oracle::Violation,
    scenario::Happening,
};

impl World<'_> {
    pub(super) fn happen(&mut self, happening: &Happening) -> Result<(), Violation> {
        self.say(|| format!("{happening:?}"));
        let now = self.now;
        self.oracle.disturbed(happening, now);
        match *happening {
            Happening::Impair { from, to, lost, twice } => {
                self.network.change(from, to, now, |way| (way.lost, way.twice) = (lost, twice));
            }
            Happening::Jitter { most } => self.network.set_jitter(most),
            Happening::Noise { once_in } => self.network.set_noise(once_in),
            Happening::Partition { ref side } => self.network.part(side, now),
            Happening::Freeze { host } => self.freeze(host),
            Happening::Thaw { host } => self.thaw(host),
            Happening::Kill { host } => self.hosts[host].life = Life::Gone,
            Happening::Stop { host } => self.act(host, |host| host.stop(now))?,
            Happening::Start { host } => self.start(host)?,
            Happening::Reload { host, priority } => self.reload(host, priority)?,
            Happening::PowerLoss { host } => self.lose_power(host),
            Happening::PortDown { host } => self.link(host, false),
            Happening::PortUp { host } => self.link(host, true),
            Happening::AddressFailure { host } => self.hosts[host].failures = 1,
            Happening::WallClock { host, ahead } => self.hosts[host].clock.wall_ahead = ahead,
            Happening::Keys { host, step } => self.change_keys(host, step)?,
            Happening::Forge { times, every } => self.plan(now, Due::Forgery { left: times, every }),
            Happening::Assail { times, every, leaving } => {
                self.plan(now, Due::Assault { left: times, every, leaving });
            }
            Happening::Calm => self.calm()?,
            Happening::Settled => self.oracle.settled(now, &self.hosts)?,
            Happening::LoseActive { in_order } => self.lose_active(in_order)?,
            Happening::Replaced => self.oracle.replaced(now, &self.hosts)?,
        }
        Ok(())
    }

    /// Lets the daemon act on news, after it has taken in what was heard before.
    fn act(&mut self, host: usize, action: impl FnOnce(&mut Host) -> Vec<Effect>) -> Result<(), Violation> {
        let heard = self.hosts[host].turn(self.now);
        self.perform(host, heard)?;
        let effects = action(&mut self.hosts[host]);
        self.oracle.met(host, self.now);
        self.perform(host, effects)
    }

    fn freeze(&mut self, host: usize) {
        if self.hosts[host].is_running() {
            self.hosts[host].kernel.beat_at = self.hosts[host].now(self.now);
            self.hosts[host].life = Life::Frozen;
            self.oracle.met(host, self.now);
        }
    }

    fn thaw(&mut self, host: usize) {
        if self.hosts[host].life == Life::Frozen {
            self.hosts[host].life = Life::Running;
            self.oracle.attended(host);
            self.oracle.met(host, self.now);
            for (term, holds) in std::mem::take(&mut self.wishes[host]) {
                self.change_address(host, term, holds);
            }
            self.plan(self.now + self.oracle.address_lag(), Due::FollowUp(host));
            self.wake(host, self.now);
        }
    }

    fn link(&mut self, host: usize, is_up: bool) {
        if std::mem::replace(&mut self.hosts[host].is_linked, is_up) != is_up {
            self.oracle.met(host, self.now);
            self.wake(host, self.now);
        }
    }

    fn start(&mut self, host: usize) -> Result<(), Violation> {
        self.hosts[host].has_power = true;
        if self.hosts[host].life != Life::Gone {
            return Ok(());
        }
        self.oracle.started(host, self.now);
        self.oracle.attended(host);
        let now = self.now;
        self.act(host, |host| host.start(now))
    }

    /// A daemon that does not run takes it in when it starts.
    fn reload(&mut self, host: usize, priority: Priority) -> Result<(), Violation> {
        let (now, was_running) = (self.now, self.hosts[host].is_running());
        self.act(host, |host| host.stop(now))?;
        self.hosts[host].priority = priority;
        if was_running { self.start(host) } else { Ok(()) }
    }

    fn lose_power(&mut self, host: usize) {
        let host_there = &mut self.hosts[host];
        (host_there.has_power, host_there.life) = (false, Life::Gone);
        host_there.kernel.holds_address = false;
        host_there.wish.term += 1;
        self.oracle.met(host, self.now);
    }

    /// The keys of a daemon that is not there are those that it starts with.
    fn set_keys(&mut self, host: usize, keys: (Vec<u8>, u8)) -> Result<(), Violation> {
        if self.hosts[host].life == Life::Frozen {
            return Ok(());
        }
        self.act(host, |host| {
            host.set_keys(keys);
            Vec::new()
        })
    }

    /// The new key is accepted beside the old one, then it signs, then the old one goes.
    fn change_keys(&mut self, host: usize, step: u8) -> Result<(), Violation> {
        let (known, active) = self.hosts[host].keys.clone();
        let old = known.first().copied().unwrap_or(1);
        self.set_keys(
            host,
            match step {
                0 => (vec![old, old + 1], active),
                1 => (known.clone(), known.last().copied().unwrap_or(old)),
                _ => (vec![active], active),
            },
        )
    }

    fn calm(&mut self) -> Result<(), Violation> {
        self.network.mend(self.now);
        self.due.retain(|_, due| !matches!(due, Due::Forgery { .. } | Due::Assault { .. }));
        for host in 0..self.hosts.len() {
            if std::mem::take(&mut self.hosts[host].clock.wall_ahead) != 0 {
                self.oracle.clock_changed(host, self.now);
            }
            self.hosts[host].failures = 0;
            self.thaw(host);
            self.set_keys(host, (vec![1], 1))?;
            self.link(host, true);
            self.start(host)?;
            let own = self.hosts[host].router.parameters.priority;
            if self.hosts[host].election.parameters().priority != own {
                self.reload(host, own)?;
            }
        }
        Ok(())
    }

    /// Sends the Active Router what it must answer, as long as nothing else goes on: a Backup would believe it as well.
    pub(super) fn assail(&mut self, leaving: bool) {
        let Some(active) = (0..self.hosts.len()).find(|&host| self.hosts[host].is_active()) else { return };
        if self.oracle.is_settled() {
            let delivery = self.attacker.assail(active, u8::from(!leaving));
            self.plan(self.now + 1, Due::Arrival(delivery));
        }
    }

    fn lose_active(&mut self, in_order: bool) -> Result<(), Violation> {
        let Some(active) = (0..self.hosts.len()).find(|&host| self.hosts[host].is_active()) else { return Ok(()) };
        self.oracle.losing(active, in_order, self.now, &self.hosts);
        let now = self.now;
        if in_order {
            return self.act(active, |host| host.stop(now));
        }
        self.lose_power(active);
        Ok(())
    }
}
