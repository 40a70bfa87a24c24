//! The command line: what may be typed, and nothing else.

mod commands;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::instance::Instance;

pub use commands::execute;

/// Keeps virtual IP addresses on a live node (VRRPv3, RFC 9568), with adverts judged in the kernel by XDP.
#[derive(Debug, Parser)]
#[command(version, after_help = "Exit status: 0 done, 1 failed, 2 wrong usage or configuration.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `vipd` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run in the foreground until SIGTERM, then hand over.
    Run {
        /// The configuration.
        #[command(flatten)]
        config: ConfigArgs,
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Read the configuration, report every mistake, and exit.
    Check {
        /// The configuration.
        #[command(flatten)]
        config: ConfigArgs,
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Show the state of each virtual router.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
    /// Remove the pinned maps that a killed agent has left.
    Detach {
        /// Which agent.
        #[command(flatten)]
        instance: InstanceArg,
    },
}

/// Where the configuration is, and which node of it this machine is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The cluster's configuration file.
    #[arg(long, short, value_name = "FILE", default_value = "/etc/vipd/vipd.toml")]
    pub config: PathBuf,
    /// Which node of the configuration this is; else the host name decides, else whose address is ours.
    #[arg(long, value_name = "NAME", env = "VIPD_NODE")]
    pub node: Option<String>,
}

/// Which of several agents on one machine.
#[derive(Debug, Args)]
pub struct InstanceArg {
    /// Name of this agent where several run on one machine, each with interfaces of its own.
    #[arg(long, value_name = "NAME")]
    instance: Option<Instance>,
}

impl InstanceArg {
    fn get(self) -> Instance {
        self.instance.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
