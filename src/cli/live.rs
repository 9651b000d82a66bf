//! Sessions for the commands that receive: started together, watched, and summed up at the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use oaktap::frame::{Frame, Geometry, Interpreter, Overrides};
use oaktap::source::{Outlets, Session, SessionState, SourceError, SourceSpec};
use tokio::sync::watch;

use super::recorded::Recorded;
use super::source_args::SourceArgs;
use super::{Ctx, Outcome, Until, present};

/// Threads that receive. Two carry a hundred cameras; the rest of the machine converts.
const RECEIVERS: usize = 2;

/// Why a camera was lost last.
type Reason = Arc<Mutex<Option<Arc<SourceError>>>>;

/// The sessions of one command.
#[derive(Debug)]
pub(crate) struct Live {
    // Before the runtime that they run on, so that they are told to stop first.
    sessions: Vec<(Session, Reason)>,
    stop: super::signals::Stop,
    deadline: Option<Instant>,
    _runtime: tokio::runtime::Runtime,
}

impl Live {
    /// Starts a session for each source, with the lanes that it is to fill. From here on Ctrl-C asks to stop.
    pub(crate) fn start(
        ctx: &Ctx,
        sources: Vec<(SourceSpec, Outlets)>,
        args: &SourceArgs,
        until: &Until,
    ) -> anyhow::Result<Self> {
        ctx.stop.on_signals()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RECEIVERS)
            .thread_name("receive")
            .enable_all()
            .build()
            .context("cannot start the receiving threads")?;
        let options = args.session_options();
        let names = names(sources.iter().map(|(spec, _)| spec), SourceSpec::to_string);
        let start = |((spec, outlets), name): ((SourceSpec, Outlets), String)| {
            let session = Session::start(name, spec, options.clone(), outlets, runtime.handle());
            let reason = Reason::default();
            runtime.spawn(tell(session.name().to_owned(), session.changes(), Arc::clone(&reason)));
            (session, reason)
        };
        let sessions = sources.into_iter().zip(names).map(start).collect();
        let deadline = until.duration.and_then(|duration| Instant::now().checked_add(duration));
        Ok(Self { sessions, stop: ctx.stop.clone(), deadline, _runtime: runtime })
    }

    /// The sessions, in the order of their sources.
    pub(crate) fn sessions(&self) -> impl ExactSizeIterator<Item = &Session> {
        self.sessions.iter().map(|(session, _)| session)
    }

    /// Whether the user asked to stop, or the time that was given is over.
    pub(crate) fn over(&self) -> bool {
        self.stop.asked() || self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// How long to wait for something before asking again whether it is [`Self::over`].
    pub(crate) fn patience(&self) -> Duration {
        let often = Duration::from_millis(50);
        self.deadline.map_or(often, |deadline| deadline.saturating_duration_since(Instant::now()).min(often))
    }

    /// Ends the sessions: no frame comes any more.
    pub(crate) fn stop(&self) -> Vec<Result<(), Arc<SourceError>>> {
        self.sessions.iter().for_each(|(session, _)| session.stop());
        self.sessions.iter().map(|(session, _)| session.wait()).collect()
    }

    /// Ends the sessions and prints what became of every frame.
    pub(crate) fn finish(self, ctx: &Ctx, command: &'static str) -> anyhow::Result<Outcome> {
        self.finish_with(ctx, command, &[])
    }

    /// The same, and what was recorded of the frames.
    pub(crate) fn finish_with(
        self,
        ctx: &Ctx,
        command: &'static str,
        recordings: &[Recorded],
    ) -> anyhow::Result<Outcome> {
        let ends = self.stop();
        let stats: Vec<_> = self.sessions.iter().map(|(session, _)| session.stats()).collect();
        let summaries: Vec<_> =
            self.sessions.iter().zip(&stats).map(|((session, _), stats)| stats.summary(session.name())).collect();
        present::table(&summaries);
        recordings.iter().for_each(|recorded| present::say(&recorded.text()));
        if ctx.json {
            present::document(&present::Document { command, cameras: &summaries, recordings })?;
        }
        for ((session, reason), (end, stats)) in self.sessions.iter().zip(ends.into_iter().zip(&stats)) {
            let what = || format!("cannot receive the stream of {}", session.name());
            end.with_context(what)?;
            if stats.frames.received == 0 {
                let reason = reason.lock().unwrap_or_else(PoisonError::into_inner).take();
                let error = match reason {
                    Some(reason) => anyhow::Error::new(reason),
                    None => present::advised(
                        anyhow::anyhow!("no frame received"),
                        "another client may be connected: most cameras serve one client at a time",
                    ),
                };
                return Err(error).with_context(what);
            }
        }
        Ok(if stats.iter().all(oaktap::stats::Stats::lossless) { Outcome::Done } else { Outcome::Lossy })
    }
}

/// What people call these cameras: each by a name of its own. `tcp` names those on the network.
pub(crate) fn names<'a>(
    specs: impl Iterator<Item = &'a SourceSpec>,
    tcp: impl Fn(&SourceSpec) -> String,
) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut simulated = 0;
    for spec in specs {
        let name = match spec {
            SourceSpec::Tcp { .. } | SourceSpec::Listen { .. } => tcp(spec),
            SourceSpec::Sim(_) => {
                simulated += 1;
                format!("sim-{simulated}")
            }
            SourceSpec::File(file) => file.name(),
        };
        let others = (2..).map(|number| format!("{name}-{number}"));
        let free = std::iter::once(name.clone()).chain(others).find(|name| !names.contains(name));
        names.extend(free);
    }
    names
}

/// Says what happens to a session, each thing once.
async fn tell(name: String, mut changes: watch::Receiver<SessionState>, last: Reason) {
    let mut said = String::new();
    loop {
        let state = changes.borrow_and_update().clone();
        let (line, help) = match &state {
            SessionState::Ended { .. } => return,
            SessionState::Connecting { .. } if !said.is_empty() => (said.clone(), None),
            SessionState::Lost { reason, .. } => {
                *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(reason));
                (format!("connection lost: {}; reconnecting", reason.kind), reason.help())
            }
            SessionState::Connecting { .. }
            | SessionState::Waiting
            | SessionState::Silent
            | SessionState::Streaming
            | SessionState::Stalled => (state.to_string(), None),
        };
        if line != said {
            present::say(&format!("{name}: {line}"));
            help.inspect(|help| present::say(&format!("help: {help}")));
            said = line;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Says what the pictures of a stream were taken for and why, whenever that changes.
#[derive(Debug)]
pub(crate) struct Explained {
    overrides: Overrides,
    last: Option<Option<Geometry>>,
}

impl Explained {
    /// For a stream of which the user says this.
    pub(crate) fn new(overrides: Overrides) -> Self {
        Self { overrides, last: None }
    }

    /// Looks at one more frame.
    pub(crate) fn frame(&mut self, frame: &Frame) {
        if self.last == Some(frame.geometry) {
            return;
        }
        self.last = Some(frame.geometry);
        let (interpreter, same) = Interpreter::of(self.overrides, frame);
        // A recording may know it better.
        if same && !interpreter.because().is_empty() {
            present::say(interpreter.because());
        }
    }
}
