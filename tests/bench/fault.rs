//! What happens to the Active, and how it is undone.

use std::{fmt, thread, time::Duration};

use anyhow::Result;
use clap::ValueEnum;

use crate::{stage::Stage, subject::Subject};

/// How long a daemon hangs.
pub(crate) const HANG: Duration = Duration::from_secs(5);
/// How long a silent partition lasts: until nobody announces anything any more.
const PARTITION: Duration = Duration::from_secs(8);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// Nothing: what the machine itself costs.
    Idle,
    /// Its port goes down.
    LinkDown,
    /// Its port goes down, and all that belongs to the daemon with it.
    PowerLoss,
    /// SIGTERM.
    CleanStop,
    /// Its start after a clean stop: the preferred node takes over.
    Start,
    /// `vipd restart`; SIGTERM and a start at once, of whoever has nothing like it.
    Restart,
    /// SIGHUP.
    Reload,
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT five seconds later.
    Hang,
    /// Its frames are lost, and it keeps its carrier.
    Partition,
    /// The end of that.
    Heal,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "nothing",
            Self::LinkDown => "link down",
            Self::PowerLoss => "power loss",
            Self::CleanStop => "clean stop",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Kill => "SIGKILL",
            Self::Hang => "SIGSTOP",
            Self::Partition => "silent partition",
            Self::Heal => "heal",
        })
    }
}

impl Fault {
    /// Whether the daemon can do that.
    pub(crate) const fn suits(self, subject: Subject) -> bool {
        match subject {
            Subject::Vipd | Subject::Keepalived => true,
            Subject::Frr => {
                matches!(self, Self::Idle | Self::LinkDown | Self::PowerLoss | Self::CleanStop | Self::Start)
            }
        }
    }

    /// Whether what a client sees of it says nothing: the bridge floods to FRR's Backups, which answer.
    pub(crate) const fn is_blurred(self, subject: Subject) -> bool {
        matches!((self, subject), (Self::LinkDown | Self::PowerLoss, Subject::Frr))
    }

    /// Whether the first node advertises before it, as the second hears.
    pub(crate) const fn wants_advert(self) -> bool {
        !matches!(self, Self::Start | Self::Heal)
    }

    /// How long it takes to bring about.
    pub(crate) const fn span(self) -> Duration {
        match self {
            Self::Hang => HANG,
            Self::Heal => PARTITION,
            Self::Idle
            | Self::LinkDown
            | Self::PowerLoss
            | Self::CleanStop
            | Self::Start
            | Self::Restart
            | Self::Reload
            | Self::Kill
            | Self::Partition => Duration::ZERO,
        }
    }

    /// What has to be before it.
    pub(crate) fn prepare(self, stage: &mut Stage) -> Result<()> {
        match self {
            Self::Start => {
                stage.take(0)?.stop()?;
                stage.wait_for_holders(&[1])
            }
            Self::Heal => {
                stage.lan.silence("n1")?;
                stage.wait_for_holders(&[0, 1])?;
                thread::sleep(PARTITION);
                Ok(())
            }
            Self::Idle
            | Self::LinkDown
            | Self::PowerLoss
            | Self::CleanStop
            | Self::Restart
            | Self::Reload
            | Self::Kill
            | Self::Hang
            | Self::Partition => Ok(()),
        }
    }

    /// Lets it happen.
    pub(crate) fn strike(self, stage: &mut Stage) -> Result<()> {
        match self {
            Self::Idle => Ok(()),
            Self::LinkDown => stage.lan.cut("n1"),
            Self::PowerLoss => {
                stage.lan.cut("n1")?;
                stage.take(0)?.lose_power()
            }
            Self::CleanStop => stage.take(0)?.stop(),
            Self::Start => stage.start(0),
            Self::Restart if stage.subject == Subject::Vipd => stage.daemon(0)?.replace(),
            Self::Restart => {
                stage.take(0)?.stop()?;
                stage.start(0)
            }
            Self::Reload => stage.daemon(0)?.reload(),
            Self::Kill => stage.take(0)?.kill(),
            Self::Hang => {
                stage.daemon(0)?.freeze()?;
                thread::sleep(HANG);
                stage.daemon(0)?.thaw()
            }
            Self::Partition => stage.lan.silence("n1"),
            Self::Heal => stage.lan.unsilence("n1"),
        }
    }

    /// Undoes it.
    pub(crate) fn mend(self, stage: &mut Stage) -> Result<()> {
        match self {
            Self::LinkDown => stage.lan.mend("n1"),
            Self::PowerLoss => {
                stage.lan.mend("n1")?;
                stage.start(0)
            }
            Self::CleanStop | Self::Kill => stage.start(0),
            Self::Partition => stage.lan.unsilence("n1"),
            Self::Idle | Self::Start | Self::Restart | Self::Reload | Self::Hang | Self::Heal => Ok(()),
        }
    }
}
