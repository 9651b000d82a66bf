//! Handle of a supervised source: its state, its ledger, and a way to end it.

use std::sync::Arc;

use tokio::sync::watch;

use super::delivery::Delivery;
use super::supervise;
use super::{Outlets, SessionOptions, SessionState, SourceError, SourceSpec};
use crate::recording::playback::Playback;
use crate::stats::{Ledger, Stats};

/// A supervised source. Dropping it ends it.
#[derive(Debug)]
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
    /// Starts to connect.
    #[must_use]
    pub fn start(
        name: impl Into<String>,
        spec: SourceSpec,
        options: SessionOptions,
        outlets: Outlets,
        runtime: &tokio::runtime::Handle,
    ) -> Self {
        let (name, ledger) = (name.into(), outlets.ledger.clone());
        let (tell, state) = watch::channel(SessionState::Connecting { attempt: 1 });
        let (stop, stopped) = watch::channel(false);
        let playback = match &spec {
            SourceSpec::Tcp { .. } | SourceSpec::Listen { .. } | SourceSpec::Sim(_) => None,
            SourceSpec::File(file) => {
                Some(options.playback.clone().unwrap_or_else(|| Playback::new(file.speed, file.looped)))
            }
        };
        // Here and not later: all cameras of a recording have joined before the first of them can be at its end.
        let part = playback.as_ref().map(Playback::join);
        let delivery = Delivery::new(name.clone(), spec.to_string(), outlets, options.expect.clone());
        runtime.spawn(supervise::run(spec.clone(), options, delivery, part, tell, stopped));
        Self { name, spec, ledger, state, stop, playback, runtime: runtime.clone() }
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its frames come from.
    #[must_use]
    pub fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    /// What plays it, if it is a recording.
    #[must_use]
    pub fn playback(&self) -> Option<&Playback> {
        self.playback.as_ref()
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.state.borrow().clone()
    }

    /// Its state, for those who wait for a change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    /// A copy of its ledger as it stands.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.ledger.snapshot()
    }

    /// Its ledger, to add to.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Asks it to end; the connection is closed in order. [`Self::wait`] waits for that.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether it is over. Its ledger does not change any more then, but for those who still show its frames.
    #[must_use]
    pub fn ended(&self) -> bool {
        matches!(*self.state.borrow(), SessionState::Ended { .. })
    }

    /// Waits until it is over.
    ///
    /// # Errors
    /// Why it ended, if nobody asked it to.
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
