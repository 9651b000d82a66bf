//! The handle of a supervised source.

use std::sync::Arc;

use tokio::sync::watch;

use super::delivery::Delivery;
use super::supervise;
use super::{FileSpec, Outlets, SessionOptions, SessionState, SourceError, SourceSpec};
use crate::net::clock::received_now;
use crate::recording::playback::Playback;
use crate::stats::{Ledger, Stats};

/// A supervised source. Clones are the same session, which ends when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct Session {
    name: String,
    spec: SourceSpec,
    ledger: Ledger,
    state: watch::Receiver<SessionState>,
    stop: watch::Sender<bool>,
    playback: Option<Playback>,
    runtime: tokio::runtime::Handle,
}

impl Session {
    /// Starts to connect on the threads of `runtime`.
    #[must_use]
    pub fn start(
        name: impl Into<String>,
        spec: SourceSpec,
        options: SessionOptions,
        outlets: Outlets,
        runtime: &tokio::runtime::Handle,
    ) -> Self {
        let (name, ledger) = (name.into(), outlets.ledger.clone());
        let (state_sender, state) = watch::channel(SessionState::Connecting { attempt: 1 });
        let (stop, stop_receiver) = watch::channel(false);
        let playback =
            |file: &FileSpec| options.playback.clone().unwrap_or_else(|| Playback::new(file.speed, file.looped));
        let playback = spec.recording().map(playback);
        // Join here, not in the task: all cameras of a recording must have joined before the first can reach its end.
        let camera_playback = playback.as_ref().map(Playback::join);
        ledger.update(|stats| stats.begin(received_now().mono_ns));
        let delivery =
            Delivery::new(name.clone(), &spec, outlets, options.expect.clone()).with_names(options.names.clone());
        runtime.spawn(supervise::run(spec.clone(), options, delivery, camera_playback, state_sender, stop_receiver));
        Self { name, spec, ledger, state, stop, playback, runtime: runtime.clone() }
    }

    /// Returns the name of the camera.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the source of the frames.
    #[must_use]
    pub fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    /// Returns the control of the playback; `None` unless the source is a recording.
    #[must_use]
    pub fn playback(&self) -> Option<&Playback> {
        self.playback.as_ref()
    }

    /// Returns the current state.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.state.borrow().clone()
    }

    /// Returns a receiver of the state, to wait for changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    /// Returns a copy of the ledger.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.ledger.snapshot()
    }

    /// Returns the ledger, for counts of sinks.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Asks the session to close the connection and end. [`Self::wait`] waits until it has.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns whether the session has ended. Only sinks that still hold its frames change the ledger afterwards.
    #[must_use]
    pub fn ended(&self) -> bool {
        matches!(*self.state.borrow(), SessionState::Ended { .. })
    }

    /// Waits until the session has ended.
    ///
    /// # Errors
    /// The error that ended the session, unless it was stopped.
    ///
    /// # Panics
    /// On a thread that drives asynchronous tasks: use [`Self::changes`] there.
    pub fn wait(&self) -> Result<(), Arc<SourceError>> {
        let mut state = self.state.clone();
        // An error means that the runtime was shut down, and the session with it.
        let _ = self.runtime.block_on(state.wait_for(|state| matches!(state, SessionState::Ended { .. })));
        match self.state() {
            SessionState::Ended { error: Some(error) } => Err(error),
            _ => Ok(()),
        }
    }
}
