//! Priority for the threads that take time stamps.

use nix::libc;

/// Lets the calling thread run before ordinary ones, where the host permits it: a measurement that waits for a CPU
/// measures the machine.
pub fn prefer_this_thread() {
    let parameters = libc::sched_param { sched_priority: 10 };
    // SAFETY: 0 is the calling thread, and `parameters` outlives the call. A refusal changes nothing.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters) };
}
