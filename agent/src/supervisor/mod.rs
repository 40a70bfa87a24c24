//! The supervisor: a small process of the same program that outlives the agent, and leaves its virtual routers in its name
//! when it was killed or hangs. A crash costs milliseconds then, not Active_Down_Interval.
//!
//! ```text
//!   agent ──── will (a file), notices (line) ────▶ supervisor        the agent dies: the line ends
//!     │  └──── heartbeat, roles (vitals, a file) ───▶   │            the agent hangs: the heartbeat is old
//!     ◀────────────── reliefs (line) ───────────────────┘
//! ```
//!
//! With `restart_grace` it does not hand over at once when the agent dies: until that has passed it advertises in its place, and a run
//! that a service manager starts meanwhile goes on. With systemd that needs `KillMode=process` and no `ExecStopPost`, since systemd
//! otherwise starts nothing before this process has ended.
//!
//! The agent is its parent and starts another one when it dies. It acts for nobody but virtual routers that are Active, and
//! never while the agent beats. It does what the agent does when it leaves in good order: the shortest interval, Priority 0,
//! addresses off. An agent that wakes reads that it was relieved before it does anything else.
//!
//! It has a session of its own and ignores SIGTERM, SIGINT and SIGHUP, because a service manager sends them to every process
//! of the service (systemd: `KillMode=control-group`, and `mixed` when the stop takes too long), and a terminal to every
//! process of its group: it ends when the agent has. When the main process of a service dies, systemd gives the others
//! until `TimeoutStopSec` before it kills them, in either mode; where that also hits the supervisor, `vipd release` in
//! `ExecStopPost` does its work. In a PID namespace whose first process is the agent, the kernel kills the supervisor with
//! it: a container needs an init, or shares the namespace of its pod.

mod bridge;
pub mod handover;
pub mod keeper;
pub mod line;
mod pulse;
pub mod release;
pub mod supervised;
pub mod vitals;
pub mod watch;
pub mod will;
