//! vipd: keeps virtual IP addresses on a live node.
//!
//! Bytes become facts in `vrrp_wire`, facts become decisions in `vrrp`, decisions become effects here. The
//! [`reactor`] thread runs the elections and waits for nobody; everything else runs on one asynchronous runtime and
//! reaches it through the [`mailbox`].

pub mod authentication;
pub mod chance;
pub mod check;
pub mod claims;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod datapath;
pub mod desk;
pub mod doctor;
pub mod hetzner;
pub mod import;
pub mod inspect;
pub mod instance;
pub mod keys;
pub mod killpoint;
pub mod link;
pub mod mailbox;
pub mod memory;
pub mod observe;
pub mod operator;
pub mod packet;
pub mod perform;
pub mod program;
pub mod reactor;
pub mod readiness;
pub mod realtime;
pub mod restart;
pub mod router;
pub mod secret;
pub mod sequence_file;
pub mod service;
pub mod supervisor;
pub mod watchman;
