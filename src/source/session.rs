//! What others see of a supervised source: its state, its ledger, and a way to end it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::delivery::Delivery;
use super::supervise;
use super::{Incident, SourceError, SourceSpec, Timeouts};
use crate::device::contract::Contract;
use crate::frame::{Frame, Interpreter, Pool};
use crate::hub::Hub;
use crate::recording::playback::Playback;
use crate::stats::{Ledger, Stats};
use crate::wire::Limits;

/// Where a session stands.
#[derive(Clone, Debug)]
pub enum SessionState {
    /// No frame yet on this attempt.
    Connecting {
        /// Counts from 1 since frames last flowed.
        attempt: u32,
    },
    /// The camera is waited for: it comes by itself.
    Waiting,
    /// Connected, and not a byte has come for too long: the sign of a camera that serves somebody else (wire.md 4.11).
    Silent,
    /// Frames flow.
    Streaming,
    /// Frames flowed, and nothing has come for some frame times.
    Stalled,
    /// No connection.
    Lost {
        /// Why.
        reason: Arc<SourceError>,
        /// Time from then to the next attempt.
        retry_in: Duration,
    },
    /// It is over.
    Ended {
        /// Why, unless it was asked to end or the camera ended a session that does not reconnect.
        error: Option<Arc<SourceError>>,
    },
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting { attempt: 0 | 1 } => f.write_str("connecting"),
            Self::Connecting { attempt } => write!(f, "connecting (attempt {attempt})"),
            Self::Waiting => f.write_str("waiting for the camera to connect"),
            Self::Silent => f.write_str("connected but silent: another client may hold the camera"),
            Self::Streaming => f.write_str("streaming"),
            Self::Stalled => f.write_str("stalled: connected, and no frame comes"),
            Self::Lost { reason, retry_in } => {
                write!(f, "lost: {}; trying again in {:.1} s", reason.kind, retry_in.as_secs_f32())
            }
            Self::Ended { error: None } => f.write_str("ended"),
            Self::Ended { error: Some(error) } => write!(f, "ended: {}", error.kind),
        }
    }
}

/// How a session goes about it.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// What the camera may ask for.
    pub limits: Limits,
    /// What payloads are taken for.
    pub interpreter: Interpreter,
    /// Where the memory of frames comes from: one for all cameras.
    pub frames: Pool<Frame>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// Whose stream it should be. With another one the session ends, and no frame of it is shown or kept.
    pub expect: Option<Contract>,
    /// Whether to connect again when the connection ends.
    pub reconnect: bool,
    /// What cameras of a recording take part in to keep together; `None`: each has its own, as its source says.
    pub playback: Option<Playback>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            interpreter: Interpreter::default(),
            frames: Pool::default(),
            timeouts: Timeouts::default(),
            expect: None,
            reconnect: true,
            playback: None,
        }
    }
}

/// Where a session's frames go. Its lanes end when the session does.
#[derive(Debug, Default)]
pub struct Outlets {
    /// Every frame at once, provisional as it is: for those who show it.
    pub live: Hub<Arc<Frame>>,
    /// Confirmed frames only: for those who keep something of it.
    pub kept: Hub<Arc<Frame>>,
    /// What happens beside that, in one order with the confirmed frames: a tap of both hears all of it as it was.
    pub incidents: Hub<Incident>,
}

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
    /// Starts to connect. Lanes that are in `outlets` now are counted in the ledger.
    #[must_use]
    pub fn start(
        name: impl Into<String>,
        spec: SourceSpec,
        options: SessionOptions,
        outlets: Outlets,
        runtime: &tokio::runtime::Handle,
    ) -> Self {
        let (name, ledger) = (name.into(), Ledger::default());
        for lane in
            [outlets.live.counters(), outlets.kept.counters(), outlets.incidents.counters()].into_iter().flatten()
        {
            ledger.watch(lane.clone());
        }
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
        let delivery = Delivery::new(name.clone(), spec.to_string(), outlets, ledger.clone(), options.expect.clone());
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
