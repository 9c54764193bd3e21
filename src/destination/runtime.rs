//! The runtime of the clients that need one. Calls block the destination's own thread on it.
//!
//! It is made with the first destination that asks, so after any fork, and ends with the last.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::runtime::{Builder, Runtime};

/// One thread serves every connection: each destination has one call under way at a time, and what
/// a call waits for is the network.
const WORKERS: usize = 1;
/// File access and name resolution, of which there is little.
const BLOCKING_THREADS: usize = 2;

static SHARED: Mutex<Weak<Runtime>> = Mutex::new(Weak::new());

/// The runtime that all destinations share. Whoever holds it calls `block_on` from a plain thread.
pub fn shared() -> std::io::Result<Arc<Runtime>> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = shared.upgrade() {
        return Ok(runtime);
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("destinations")
        .enable_io()
        .enable_time()
        .build()
        .map(Arc::new)?;
    *shared = Arc::downgrade(&runtime);
    Ok(runtime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_share_one_runtime() {
        let (first, second) = (shared().expect("made"), shared().expect("there"));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(first.block_on(async { 7 }), 7);
    }
}
