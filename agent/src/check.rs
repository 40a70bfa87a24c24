//! Health checks: what a virtual router's service depends on, looked at again and again outside of the election thread.
//!
//! Each check is a task of its own, on a thread that does nothing else: one that hangs holds up no takeover. What it has come to lies on the [`board`], for people to see; the election thread hears
//! only what has changed, in one piece of [mail](crate::mailbox) at a time, however many checks there are.

mod address;
pub mod board;
mod command;
mod file;
mod grpc;
mod http;
mod hysteresis;
mod interface;
mod kubernetes;
mod patience;
mod process;
mod task;
mod tcp;

use std::{net::IpAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use vrrp::{
    Family,
    track::{Effect, Reading},
};

pub use self::{kubernetes::api_problem, task::Checks};
use crate::{
    client::{Endpoint, Server},
    program::Program,
};

/// A check, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name in the configuration.
    pub name: String,
    /// What is looked at.
    pub subject: Subject,
    /// Time between two looks, 10 ms to an hour.
    pub interval: Duration,
    /// How long one may take; no longer than `interval`.
    pub timeout: Duration,
    /// Looks in a row that must go well until it passes.
    pub rise: u32,
    /// Looks in a row that must go wrong until it fails.
    pub fall: u32,
    /// What it counts for before its first result; `None`: nothing, and that result counts at once.
    pub start: Option<Reading>,
}

/// What a check looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Whether a request is answered as it should be.
    Http(HttpRequest),
    /// Whether a connection is accepted.
    Tcp(Endpoint),
    /// Whether a server says that it serves, by the health protocol of gRPC.
    Grpc(GrpcRequest),
    /// Whether a program ends with status 0.
    Command(Program),
    /// Whether processes run.
    Process(Processes),
    /// The number that a file holds.
    File(PathBuf),
    /// Whether an interface is up and has carrier.
    Interface(String),
    /// Whether an address on the link answers for itself.
    Address(Neighbor),
    /// What Kubernetes says of this node.
    Kubernetes(Kubernetes),
}

/// A request over HTTP/1.1, and which answer is a good one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Who is asked.
    pub server: Server,
    /// The header field Host.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// Codes of status that are good.
    pub status: Vec<RangeInclusive<u16>>,
    /// What the body must contain, in its first 64 KiB.
    pub body: Option<String>,
}

/// A call of `grpc.health.v1.Health/Check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcRequest {
    /// Who is asked, over HTTP/2.
    pub server: Server,
    /// The service that is asked for; empty: the server as a whole.
    pub service: String,
}

/// Processes of one program, and how many there must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processes {
    /// The absolute path of the program, or its name as the kernel has it: its first 15 bytes.
    pub program: String,
    /// The least number.
    pub min: usize,
    /// The greatest number; `None`: any.
    pub max: Option<usize>,
}

/// Somebody on the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Who.
    pub who: Who,
    /// The interface; `None`: that of the default route.
    pub interface: Option<String>,
}

/// Who on the link is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever has the address.
    Address(IpAddr),
    /// The next hop of the default route of this family.
    Gateway(Family),
}

/// What is asked of the API of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// Says how the API is reached; `None`: the service account of the pod that the agent runs in.
    pub kubeconfig: Option<PathBuf>,
    /// What Kubernetes calls this node.
    pub node: String,
    /// The question.
    pub question: Question,
}

/// A question to the API of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether pods on the node are ready.
    Pods {
        /// Where they are.
        namespace: String,
        /// Which they are, by their labels.
        selector: String,
        /// How many of them must be ready.
        min: usize,
    },
    /// Whether the node takes pods: whether it is not cordoned.
    Schedulable,
}

/// That a virtual router goes by a check, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// The name of the check.
    pub check: String,
    /// What it does.
    pub effect: Effect,
}

impl std::fmt::Display for Tracked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.check)?;
        if let Some(weight) = self.effect.weight {
            write!(f, " (weight {weight})")?;
        }
        if self.effect.reverse { f.write_str(" reversed") } else { Ok(()) }
    }
}
