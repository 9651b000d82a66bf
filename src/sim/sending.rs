//! The thread of a simulated camera that sends to a host by itself.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::server::Sent;
use crate::net::serving::StopSignal;
use crate::sync::locked;

/// State that the thread shares with its owner. Clones are the same state.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    /// Totals so far.
    pub(super) sent: Arc<Mutex<Sent>>,
    /// The camera is to end after the frame that is being sent.
    pub(super) finishing: Arc<AtomicBool>,
    /// The camera is to end now.
    pub(super) stopping: Arc<StopSignal>,
}

impl Shared {
    /// Returns whether no further frame is to be sent.
    pub(super) fn is_over(&self) -> bool {
        self.finishing.load(Ordering::Relaxed) || self.stopping.stopped()
    }
}

/// A thread that sends the stream of a camera. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct SendingThread {
    shared: Shared,
    thread: Option<JoinHandle<()>>,
}

impl SendingThread {
    /// Starts a thread, which must end when the shared state asks for it.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn start(name: String, shared: Shared, run: impl FnOnce(&Shared) + Send + 'static) -> io::Result<Self> {
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new().name(name).spawn(move || run(&of_thread))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Returns the totals so far.
    pub(super) fn sent(&self) -> Sent {
        *locked(&self.shared.sent)
    }

    /// Ends after the frame that is being sent, without waiting for that.
    pub(super) fn finish(&self) {
        self.shared.finishing.store(true, Ordering::Relaxed);
    }

    /// Ends the thread and its connection, and returns the final totals.
    pub(super) fn stop(mut self) -> Sent {
        self.end();
        self.sent()
    }

    fn end(&mut self) {
        self.shared.stopping.stop();
        if let Some(thread) = self.thread.take() {
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for SendingThread {
    fn drop(&mut self) {
        self.end();
    }
}
