//! What happens to the LAN and to its hosts, and what becomes of it.

use rand::RngExt;
use vrrp::{Parameters, Priority, election::StateName};

use super::{Due, World};
use crate::{
    clock::nanoseconds,
    host::{Effect, Host, Life},
    oracle::Violation,
    scenario::{Happening, Loss},
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
            Happening::Suspend { host } => self.suspend(host),
            Happening::Resume { host } => self.resume(host),
            Happening::Kill { host } => self.kill(host),
            Happening::Stop { host } => self.act(host, |host| host.stop(now))?,
            Happening::Start { host } => self.start(host)?,
            Happening::Reload { host, priority } => self.reload(host, priority)?,
            Happening::Reconfigure { host, priority, interval } => {
                let own = self.hosts[host].router.parameters;
                self.reconfigure(host, Parameters { priority, advertisement_interval: interval, ..own })?;
            }
            Happening::HandOver { host } => self.hand_over(host)?,
            Happening::Reclaim { host } => self.reclaim(host)?,
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
            Happening::LoseActive { how } => self.lose_active(how)?,
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
            if self.scenario.is_supervised {
                let hung_after = nanoseconds(self.hosts[host].parameters().hung_after());
                // Clocks differ by 500 ppm from the true time.
                let late = hung_after / 1_000 + self.turn_dice.random_range(0..=self.scenario.latency);
                self.plan(self.now + hung_after + late, Due::Relief(host));
            }
        }
    }

    /// A supervisor finds a daemon that hangs, and leaves in its name.
    pub(super) fn relieve(&mut self, host: usize) -> Result<(), Violation> {
        let there = &mut self.hosts[host];
        let hung_for = there.now(self.now).since(there.kernel.beat_at);
        let hangs = there.life == Life::Frozen && hung_for > there.parameters().hung_after();
        if !hangs || there.state() != StateName::Active {
            return Ok(());
        }
        let effects = there.relieve(self.now);
        self.say(|| format!("host {} is relieved", host + 1));
        self.perform(host, effects)?;
        self.oracle.relieved(host);
        Ok(())
    }

    fn thaw(&mut self, host: usize) {
        if self.hosts[host].life == Life::Frozen {
            self.hosts[host].life = Life::Running;
            self.go_on(host);
            self.wake(host, self.now);
        }
    }

    fn suspend(&mut self, host: usize) {
        if self.hosts[host].is_running() {
            self.hosts[host].suspend(self.now);
            self.oracle.met(host, self.now);
        }
    }

    fn resume(&mut self, host: usize) {
        if self.hosts[host].life == Life::Suspended {
            let span = self.hosts[host].resume(self.now);
            self.oracle.resumed(host, span, &self.hosts[host], self.now);
            self.go_on(host);
            let soon = self.now + self.turn_dice.random_range(0..=self.scenario.latency);
            self.wake(host, soon);
        }
    }

    /// A daemon runs again that has neither ended nor begun.
    fn go_on(&mut self, host: usize) {
        self.oracle.attended(host);
        self.oracle.met(host, self.now);
        for (term, holds) in std::mem::take(&mut self.wishes[host]) {
            self.change_address(host, term, holds);
        }
        self.plan(self.now + self.oracle.address_lag(), Due::FollowUp(host));
    }

    fn kill(&mut self, host: usize) {
        if self.hosts[host].life != Life::Suspended {
            self.hosts[host].life = Life::Gone;
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
        self.hosts[host].configured.priority = priority;
        if was_running { self.start(host) } else { Ok(()) }
    }

    /// A daemon that does not run takes it in when it starts.
    fn reconfigure(&mut self, host: usize, parameters: Parameters) -> Result<(), Violation> {
        let (now, old) = (self.now, *self.hosts[host].parameters());
        self.oracle.reconfiguring(host, &old, &parameters, &self.hosts[host], now);
        self.hosts[host].configured = parameters;
        self.act(host, |host| host.reconfigure(now))?;
        self.oracle.reconfigured(host, &old, &self.hosts[host], now)
    }

    fn hand_over(&mut self, host: usize) -> Result<(), Violation> {
        let now = self.now;
        self.oracle.asked(host, now);
        self.act(host, |host| host.hand_over(now))
    }

    fn reclaim(&mut self, host: usize) -> Result<(), Violation> {
        let now = self.now;
        if self.hosts[host].is_running() {
            self.act(host, |host| host.reclaim(now))?;
            self.oracle.reclaimed(host);
        }
        Ok(())
    }

    fn lose_power(&mut self, host: usize) {
        let host_there = &mut self.hosts[host];
        host_there.clock.go_on(self.now);
        (host_there.has_power, host_there.life) = (false, Life::Gone);
        host_there.kernel.holds_address = false;
        host_there.wish.term += 1;
        self.oracle.met(host, self.now);
    }

    /// The keys of a daemon that is not there are those that it starts with.
    fn set_keys(&mut self, host: usize, keys: (Vec<u8>, u8)) -> Result<(), Violation> {
        if matches!(self.hosts[host].life, Life::Frozen | Life::Suspended) {
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
            self.resume(host);
            self.set_keys(host, (vec![1], 1))?;
            self.link(host, true);
            self.start(host)?;
            let (there, own) = (&self.hosts[host], self.hosts[host].router.parameters);
            if [there.configured, *there.parameters()] != [own; 2] {
                self.reconfigure(host, own)?;
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

    fn lose_active(&mut self, how: Loss) -> Result<(), Violation> {
        let Some(active) = (0..self.hosts.len()).find(|&host| self.hosts[host].is_active()) else { return Ok(()) };
        // An owner hands over to nobody.
        let is_owner = self.hosts[active].parameters().is_owner();
        let how = if is_owner && how == Loss::HandsOver { Loss::Stops } else { how };
        self.oracle.losing(active, how, self.now, &self.hosts);
        let now = self.now;
        match how {
            Loss::Dies => self.lose_power(active),
            Loss::Stops => self.act(active, |host| host.stop(now))?,
            Loss::HandsOver => self.hand_over(active)?,
            Loss::IsRelieved => self.freeze(active),
        }
        Ok(())
    }
}
