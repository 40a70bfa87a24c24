//! `vipd doctor`: looks at this host, the configuration and the agent, and says what is amiss.
//!
//! Each file looks at one area and knows what is wrong there; nothing is changed. What cannot be known for certain is no error.

mod addresses;
mod agent;
mod clock;
mod configuration;
mod firewall;
mod guard;
mod host;
mod interface;
mod kernel;
mod kind;
mod managers;
mod multicast;
mod programs;
mod report;
mod rights;
mod settings;
mod written;

use std::path::Path;

use self::{agent::Agent, host::Host};
pub use self::{
    kind::{Kind, Severity},
    report::{Finding, Remark, Report},
};
use crate::{config::Identity, instance::Instance};

/// Looks at everything: at what the configuration at `path` says of the node that `identity` is, and at the agent `instance`.
#[must_use]
pub fn examine(path: &Path, identity: &Identity, instance: &Instance) -> Report {
    let mut report = Report::default();
    let agent = Agent::ask(instance);
    kernel::look(&mut report);
    let config = configuration::look(&mut report, path, identity);
    let config = config.as_ref();
    rights::look(&mut report, &agent, config);
    match Host::look() {
        Ok(host) => {
            programs::look(&mut report, &host, config);
            if let Some(config) = config {
                interface::look(&mut report, &host, config);
                settings::look(&mut report, &host, &agent, config);
                guard::look(&mut report, &host, &agent, config, instance);
                multicast::look(&mut report, &host, &agent, config, instance);
                addresses::look(&mut report, &host, &agent, config, instance);
                managers::look(&mut report, &host, config);
                clock::look(&mut report, &host, config);
            }
        }
        Err(error) => report.area("interfaces").miss(format!("the kernel does not list them: {error}")),
    }
    if let Some(config) = config {
        firewall::look(&mut report, config);
    }
    agent::look(&mut report, &agent, config, instance);
    report.sort();
    report
}
