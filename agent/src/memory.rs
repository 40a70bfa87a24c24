//! The memory of this process.

/// Gives the kernel back what the start has needed and nobody does any more: the guard's object, most of all, leaves holes behind.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: any thread may call it at any time.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
