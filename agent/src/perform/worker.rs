//! Threads that serve a queue, and outlive a panic.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

/// Has a thread of that name run `serve`, again after each panic, until it returns.
///
/// A panic costs those their answer whose work it met, and nobody after them. `serve` must keep nothing between two pieces of work,
/// and must have taken one off its queue before it can panic over it.
pub fn start(name: &str, serve: impl Fn() + Send + 'static) -> io::Result<()> {
    let serve = move || while catch_unwind(AssertUnwindSafe(&serve)).is_err() {};
    thread::Builder::new().name(name.to_owned()).spawn(serve).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_panic_costs_one_piece_of_work() {
        let (work, queue) = mpsc::channel();
        let (done, results) = mpsc::channel();
        let serve = move || {
            while let Ok(number) = queue.recv() {
                assert_ne!(number, 13, "meant to panic");
                let _ = done.send(number);
            }
        };
        start("worker", serve).unwrap();
        for number in [1, 13, 2] {
            work.send(number).unwrap();
        }
        drop(work);
        assert_eq!(results.iter().collect::<Vec<_>>(), [1, 2]);
    }
}
