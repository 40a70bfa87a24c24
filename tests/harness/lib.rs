//! Networks of namespaces on one machine: hosts on a bridge, agents, keepalived and FRR on the hosts, a client that probes,
//! and whoever forges.
//!
//! Everything vanishes with the process that made it: namespaces have no name, mounts are private to the test's thread,
//! child processes die with that thread. Two runs at once cannot collide.
//!
//! A test begins with [`lab!`] and returns `anyhow::Result<()>`.

mod agent;
pub mod bare;
mod capture;
mod certificate;
mod cluster;
pub mod decode;
pub mod frame;
mod frr;
mod hooks;
mod host;
mod inject;
mod keepalived;
mod lab;
mod lan;
mod machine;
mod namespace;
pub mod neighbor;
mod nginx;
mod packet_socket;
mod probe;
mod process;
mod prometheus;
mod python;
mod realtime;
mod scrape;
mod siege;
pub mod signed;
mod status;
mod terminal;
mod tls_server;
mod wait;

pub use agent::{Agent, vipd};
pub use capture::{Capture, Captured};
pub use certificate::Certificate;
pub use cluster::{Cluster, ClusterConfig};
pub use frame::ip;
pub use frr::{Frr, FrrRouter, frr_daemon};
pub use hooks::misbehaving;
pub use host::{Host, HostOptions};
pub use inject::{Injector, inject};
pub use keepalived::{Keepalived, KeepalivedRouter, Unicast};
pub use lab::{Lab, report_unavailable, write as write_file};
pub use lan::Lan;
pub use machine::Machine;
pub use namespace::Namespace;
pub use nginx::{Nginx, NginxOptions};
pub use packet_socket::listen_here;
pub use probe::{Answer, Probe, longest_gap};
pub use process::{Process, print_transcripts};
pub use prometheus::{Alertmanager, Prometheus};
pub use python::{run_python, toml, yaml};
pub use realtime::prefer_this_thread;
pub use scrape::{Answer as HttpAnswer, Scrape, get};
pub use siege::Siege;
pub use status::Status;
pub use terminal::Terminal;
pub use tls_server::TlsServer;
pub use wait::{GENEROUS, until};
