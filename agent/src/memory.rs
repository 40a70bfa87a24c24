//! The memory of this process.

/// Has the threads share two heaps. Each would otherwise keep pages of its own, for a speed that nobody here needs. To be called before there are any.
pub fn share_heaps() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number that threads read when they first allocate.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 2);
    }
}

/// Gives the kernel back what the start has needed and nobody does any more: the guard's object, most of all, leaves holes behind.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: any thread may call it at any time.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
