//! Calls that may hang for ever, on a file system that is gone for instance: made on a thread of their own, one at a time.

use tokio::task::{JoinHandle, spawn_blocking};

/// Makes calls, and never another one while the last still hangs: it costs one thread at most.
#[derive(Debug)]
pub(super) struct Patience<T> {
    pending: Option<JoinHandle<T>>,
}

impl<T> Default for Patience<T> {
    fn default() -> Self {
        Self { pending: None }
    }
}

impl<T: Send + 'static> Patience<T> {
    /// What `call` returns. Whoever stops waiting for it may ask again.
    pub(super) async fn wait_for(&mut self, call: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        if self.pending.as_ref().is_some_and(|pending| !pending.is_finished()) {
            return Err("the last look still hangs in the kernel".to_owned());
        }
        let outcome = self.pending.insert(spawn_blocking(call)).await;
        self.pending = None;
        outcome.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_call_that_hangs_is_not_made_again() {
        let mut patience = Patience::default();
        assert_eq!(patience.wait_for(|| 1).await, Ok(1));
        let (go_on, goes_on) = mpsc::channel::<()>();
        assert_eq!(patience.wait_for(move || goes_on.recv().map_or(2, |()| 3)).now_or_never(), None);
        assert_eq!(patience.wait_for(|| 4).await, Err("the last look still hangs in the kernel".to_owned()));
        drop(go_on);
        while patience.pending.as_ref().is_some_and(|pending| !pending.is_finished()) {
            tokio::task::yield_now().await;
        }
        assert_eq!(patience.wait_for(|| 5).await, Ok(5));
    }
}
