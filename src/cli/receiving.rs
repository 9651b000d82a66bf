//! The sessions of a command that receives: started together, watched, and summarized at the end.

use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use oaktap::frame::{Frame, Geometry, LabelMap};
use oaktap::live::{Camera, Live, Sink as _};
use oaktap::net::clock::received_now;
use oaktap::overlay::Style;
use oaktap::sink::record::{Recorders, RecordersMonitor, RecordingStatus};
use oaktap::source::{Session, SessionState, SourceError};
use oaktap::stats::{Ledger, Stats, Summary};
use oaktap::sync::locked;
use serde::Serialize;
use tokio::sync::watch;

use super::present::{self, ExitReason};
use super::recording_summary::{self, RecordingSummary};
use super::source_args::SourceArgs;
use super::{Ctx, Outcome, Until};

/// Default of the limit for a camera that sends nothing after the others have sent the frames of `--frames`.
const ABSENCE_MAX: Duration = Duration::from_secs(10);

/// Why the connection to a camera was lost last.
type Reason = Arc<Mutex<Option<Arc<SourceError>>>>;

/// The running sessions of one command, and its stop conditions.
#[derive(Debug)]
pub(crate) struct Receiving {
    live: Live,
    reasons: Vec<Reason>,
    stop: super::signals::Stop,
    /// Ends the thread of `--status` when it is dropped.
    _status: Option<mpsc::Sender<()>>,
    deadline: Option<Instant>,
    /// Doubts decide the exit code, too.
    strict: bool,
    /// Frames of `--frames`. A camera that has sent as many may leave.
    frames_max: Option<u64>,
    /// The limit for a camera that sends nothing after the others have sent their frames.
    absence_max: Duration,
    alone: Mutex<Alone>,
    only: Arc<Only>,
}

const ALONE_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Whether only cameras that send nothing are left.
#[derive(Clone, Copy, Debug, Default)]
struct Alone {
    /// Last check.
    checked: Option<Instant>,
    /// Since when that is so.
    since: Option<Instant>,
}

impl Alone {
    fn for_longer_than(self, limit: Duration, now: Instant) -> bool {
        self.since.is_some_and(|since| now.saturating_duration_since(since) >= limit)
    }
}

/// The labels of `--only`, and where their names come from.
#[derive(Debug)]
struct Only {
    labels: Vec<String>,
    style: Style,
    /// Cameras for which the problem has been printed.
    warned: Mutex<Vec<String>>,
}

impl Only {
    /// Returns what is wrong with the labels for a stream with these names: detections with them cannot exist.
    fn unknown(&self, stream_names: Option<&LabelMap>) -> Vec<String> {
        let names = self.style.names(stream_names);
        let unknown = self.labels.iter().filter(|label| !names.knows(label));
        let text = |label: &String| {
            let nearest = names.nearest(label).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            format!("no label is named `{label}`, so `--only {label}` selects nothing{nearest}")
        };
        unknown.map(text).collect()
    }

    /// Prints what is wrong with the labels while the stream runs.
    fn warn(&self, camera: &str, stats: &Stats) {
        for problem in self.unknown(stats.labels.as_deref()) {
            present::say(&format!("{camera}: {problem}"));
            locked(&self.warned).push(camera.to_owned());
        }
    }

    /// Returns the reason for exit code 3 at the end, if a label is wrong.
    fn exit_reason(&self, camera: &str, stats: &Stats) -> Option<ExitReason> {
        let problems = self.unknown(stats.labels.as_deref());
        let text = match locked(&self.warned).iter().any(|warned| warned == camera) {
            true => "a label of `--only` does not exist".to_owned(),
            false => problems.join(", "),
        };
        let help = "`oaktap detections CAMERA -n 1` prints a frame with the names that the camera sends";
        (!problems.is_empty()).then(|| ExitReason { text: format!("{camera}: exit code 3: {text}"), help })
    }
}

impl Receiving {
    /// Starts a session for each camera; sinks are connected before. From here on Ctrl-C asks to stop.
    /// `recording`: what `--status` reports of recordings of these cameras.
    pub(crate) fn start(
        ctx: &Ctx,
        cameras: Vec<Camera>,
        args: &SourceArgs,
        until: &Until,
        recording: RecordersMonitor,
    ) -> anyhow::Result<Self> {
        ctx.stop.on_signals()?;
        let style = args.style()?;
        let live = Live::start(cameras, &args.session_options()).context("cannot start the receiving threads")?;
        let only = Arc::new(Only { labels: args.only.clone(), style, warned: Mutex::default() });
        let watch = |session: &Session| {
            let (reason, since) = (Reason::default(), Arc::new(Since::default()));
            let printing = (Arc::clone(&reason), Arc::clone(&since));
            // The names in a recording of another program are known at its end only.
            let live_names =
                session.spec().recording().is_none().then(|| (Arc::clone(&only), session.ledger().clone()));
            live.runtime().spawn(print_states(session.name().to_owned(), session.changes(), printing, live_names));
            (reason, since)
        };
        let (reasons, since): (Vec<_>, Vec<_>) = live.sessions().iter().map(watch).unzip();
        let status =
            args.status.map(|interval| print_status(live.sessions(), since, recording, interval)).transpose()?;
        let strict = args.strict;
        Ok(Self {
            live,
            reasons,
            stop: ctx.stop.clone(),
            _status: status,
            deadline: until.deadline(),
            strict,
            frames_max: until.frames,
            absence_max: args.idle_timeout.unwrap_or(ABSENCE_MAX),
            alone: Mutex::default(),
            only,
        })
    }

    /// Returns the sessions, in the order of the cameras.
    pub(crate) fn sessions(&self) -> &[Session] {
        self.live.sessions()
    }

    /// Runs `consume` for each session and its sink, on a thread each. Returns their results, in the order of the cameras.
    pub(crate) fn consume<S: Send, T: Send>(
        &self,
        sinks: Vec<S>,
        consume: impl Fn(&Session, S) -> anyhow::Result<T> + Sync,
    ) -> Vec<anyhow::Result<T>> {
        let consume = &consume;
        thread::scope(|scope| {
            let consumers: Vec<_> = self
                .sessions()
                .iter()
                .zip(sinks)
                .map(|(session, sink)| scope.spawn(move || consume(session, sink)))
                .collect();
            let join = |consumer: thread::ScopedJoinHandle<'_, _>| {
                consumer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            consumers.into_iter().map(join).collect()
        })
    }

    /// Returns whether all sessions have ended.
    pub(crate) fn ended(&self) -> bool {
        self.live.ended()
    }

    /// Returns whether the user asked to stop, the time of --duration has passed, or only absent cameras are left.
    pub(crate) fn over(&self) -> bool {
        let now = Instant::now();
        self.stop.asked() || self.deadline.is_some_and(|deadline| deadline <= now) || self.waits_in_vain(now)
    }

    /// Returns whether the other cameras have sent the frames of `--frames`, and the rest has sent nothing since then.
    fn waits_in_vain(&self, now: Instant) -> bool {
        let Some(frames_max) = self.frames_max else { return false };
        let mut alone = locked(&self.alone);
        // Each camera's thread asks after each frame.
        if alone.checked.is_some_and(|checked| now.saturating_duration_since(checked) < ALONE_CHECK_INTERVAL) {
            return alone.for_longer_than(self.absence_max, now);
        }
        let has_enough = |session: &Session| {
            let decided = session.ledger().update(|stats| stats.frames.confirmed + stats.frames.withdrawn);
            session.ended() || decided >= frames_max
        };
        let (done, rest): (Vec<_>, Vec<_>) = self.sessions().iter().partition(|session| has_enough(session));
        let sends = |session: &&&Session| {
            matches!(session.state(), SessionState::Streaming | SessionState::Stalled | SessionState::Outside(_))
        };
        let is_alone = !done.is_empty() && !rest.is_empty() && !rest.iter().any(|session| sends(&session));
        *alone = Alone { checked: Some(now), since: if is_alone { alone.since.or(Some(now)) } else { None } };
        alone.for_longer_than(self.absence_max, now)
    }

    /// Returns how long to wait for an event before checking [`Self::over`] again.
    pub(crate) fn stop_check_interval(&self) -> Duration {
        let often = Duration::from_millis(50);
        self.deadline.map_or(often, |deadline| deadline.saturating_duration_since(Instant::now()).min(often))
    }

    /// Ends the sessions: no frame is delivered after this returns.
    pub(crate) fn stop(&self) -> Vec<Result<(), Arc<SourceError>>> {
        self.live.stop()
    }

    /// Ends the sessions, then the recordings of their frames.
    pub(crate) fn end_recordings(&self, recorders: Option<Recorders>) -> Vec<RecordingSummary> {
        // `finish` reports how the sessions ended.
        drop(self.stop());
        recorders.map(Recorders::finish).unwrap_or_default().into_iter().map(Into::into).collect()
    }

    /// Ends the sessions, and prints their frame counts and the recordings of their frames.
    pub(crate) fn finish(self, ctx: &Ctx, recordings: &[RecordingSummary]) -> anyhow::Result<Outcome> {
        let ends = self.stop();
        let mut stats: Vec<_> = self.sessions().iter().map(Session::stats).collect();
        let has_enough = |stats: &&mut Stats| self.frames_max.is_some_and(|frames| stats.frames.confirmed >= frames);
        stats.iter_mut().filter(has_enough).for_each(Stats::dismiss_outage);
        let summaries: Vec<_> =
            self.sessions().iter().zip(&stats).map(|(session, stats)| stats.summary(session.name())).collect();
        present::table(&summaries, tracing::enabled!(tracing::Level::INFO), self.strict);
        recording_summary::texts(recordings).iter().for_each(|text| present::say(text));
        if ctx.json {
            let cameras = &summaries;
            present::document(&StreamSummary { command: ctx.command, cameras, recordings })?;
        }
        // A camera that sent nothing is a failure of its own only if no other camera sent a frame.
        let any_frames = stats.iter().any(|stats| stats.frames.received > 0);
        let gave_up = locked(&self.alone).since.is_some();
        let mut damaged = false;
        let mut unknown_labels = Vec::new();
        let sessions = self.sessions().iter().zip(&self.reasons);
        for ((session, reason), (end, stats)) in sessions.zip(ends.into_iter().zip(&stats)) {
            let what = || match (session.name(), session.spec().to_string()) {
                (name, spec) if name == spec => format!("cannot receive the stream of {name}"),
                (name, spec) => format!("cannot receive the stream of {name} ({spec})"),
            };
            match end {
                // The frames before the damage have been delivered.
                Err(error) if error.is_damage() && stats.frames.received > 0 => {
                    present::always_say(&format!("{}: exit code 3: {}", session.name(), error.kind));
                    error.help().inspect(|help| present::always_say(&format!("help: {help}")));
                    damaged = true;
                }
                end => end.with_context(what)?,
            }
            unknown_labels.extend(self.only.exit_reason(session.name(), stats).filter(|_| stats.frames.received > 0));
            if stats.frames.received == 0 && stats.frames.no_memory > 0 {
                let error = anyhow::anyhow!("--buffer is too small for one of its frames");
                let help = "give --buffer several times the size of a frame for each camera";
                return Err(present::advised(error, help)).with_context(what);
            }
            if stats.frames.received == 0 {
                let reason = locked(reason).take();
                let error = match reason {
                    Some(reason) => anyhow::Error::new(reason),
                    None => {
                        present::advised(anyhow::anyhow!("no frame received"), session.spec().help_without_frames())
                    }
                };
                if !any_frames {
                    return Err(error).with_context(what);
                }
                let what = format!("{}: exit code 3: {}", session.name(), what());
                present::failure_of(&what, &error, ctx.command);
                damaged = true;
            } else if let Some(wanted) = self.frames_max.filter(|wanted| gave_up && stats.frames.confirmed < *wanted) {
                let (name, found) = (session.name(), stats.frames.confirmed);
                present::always_say(&format!("{name}: exit code 3: sent {found} of {wanted} frames"));
                damaged = true;
            }
        }
        recording_summary::check(recordings)?;
        let cameras = summaries.iter().filter_map(|summary| present::exit_reason(summary, self.strict));
        let reasons: Vec<_> =
            cameras.chain(unknown_labels).chain(recordings.iter().filter_map(RecordingSummary::exit_reason)).collect();
        present::exit_reasons(&reasons);
        Ok(if damaged || !reasons.is_empty() { Outcome::Lossy } else { Outcome::Done })
    }
}

/// The `--json` document of a command that receives or sends streams.
#[derive(Debug, Serialize)]
pub(crate) struct StreamSummary<'a, T> {
    pub(crate) command: &'static str,
    pub(crate) cameras: &'a [T],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) recordings: &'a [RecordingSummary],
}

/// One line of `--status`.
#[derive(Serialize)]
struct StatusLine {
    status: CameraStatus,
}

#[derive(Serialize)]
struct CameraStatus {
    unix_ns: i64,
    /// A word of a fixed list; see [`SessionState::word`].
    state: &'static str,
    /// Why the camera is not connected.
    reason: Option<String>,
    /// Start of the state.
    since_unix_ns: i64,
    /// `None` if nothing is recorded.
    recording: Option<RecordingStatus>,
    #[serde(flatten)]
    counts: Summary,
}

/// Prints the counts of each session at this interval, until the sender is dropped. On a thread of its own: a reader that
/// does not read blocks it.
fn print_status(
    sessions: &[Session],
    since: Vec<Arc<Since>>,
    recording: RecordersMonitor,
    interval: Duration,
) -> io::Result<mpsc::Sender<()>> {
    let cameras: Vec<_> = sessions
        .iter()
        .zip(since)
        .map(|(session, since)| (session.name().to_owned(), session.changes(), session.ledger().clone(), since))
        .collect();
    let (sender, ended) = mpsc::channel();
    let print = move || {
        while ended.recv_timeout(interval) == Err(mpsc::RecvTimeoutError::Timeout) {
            let now = received_now();
            let unix_ns = now.unix_ns;
            for (camera, (name, state, ledger, since)) in cameras.iter().enumerate() {
                let state = state.borrow().clone();
                let mut counts = ledger.snapshot();
                counts.advance(now.mono_ns);
                let status = CameraStatus {
                    unix_ns,
                    state: state.word(),
                    reason: state.reason().map(|error| error.kind.to_string()),
                    since_unix_ns: since.of(state.word(), unix_ns),
                    recording: recording.status(camera),
                    counts: counts.summary(name),
                };
                // A closed standard output ends the lines, not the reception.
                let Ok(line) = present::json(&StatusLine { status }) else { return };
                if present::result(line.as_bytes()).is_err() {
                    return;
                }
            }
        }
    };
    thread::Builder::new().name("status".to_owned()).spawn(print)?;
    Ok(sender)
}

/// Remembers since when a state is the same.
#[derive(Debug, Default)]
struct Since(Mutex<Option<(&'static str, i64)>>);

impl Since {
    fn of(&self, state: &'static str, now_unix_ns: i64) -> i64 {
        let mut known = locked(&self.0);
        let (_, since) = known.filter(|(word, _)| *word == state).unwrap_or((state, now_unix_ns));
        *known = Some((state, since));
        since
    }
}

/// Prints the state of a session whenever it changes.
async fn print_states(
    name: String,
    mut changes: watch::Receiver<SessionState>,
    (last, since): (Reason, Arc<Since>),
    mut live_names: Option<(Arc<Only>, Ledger)>,
) {
    let mut printed = String::new();
    loop {
        let state = changes.borrow_and_update().clone();
        since.of(state.word(), received_now().unix_ns);
        let (line, help) = match &state {
            SessionState::Ended { .. } => return,
            SessionState::Connecting { .. } if !printed.is_empty() => (printed.clone(), None),
            // The window shows it, beside the position of the playback.
            SessionState::Outside(_) => (printed.clone(), None),
            SessionState::Lost { reason, .. } => {
                *locked(&last) = Some(Arc::clone(reason));
                (format!("connection lost: {}; reconnecting", reason.kind), reason.help())
            }
            SessionState::Connecting { .. }
            | SessionState::Waiting
            | SessionState::Silent
            | SessionState::Streaming
            | SessionState::Stalled => (state.to_string(), None),
        };
        if line != printed {
            present::say(&format!("{name}: {line}"));
            help.inspect(|help| present::say(&format!("help: {help}")));
            printed = line;
        }
        // The names have been received with the first frame.
        if let Some((only, ledger)) = live_names.take_if(|_| matches!(state, SessionState::Streaming)) {
            only.warn(&name, &ledger.snapshot());
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Prints how the payloads of a stream are interpreted when that changes, and logs why.
#[derive(Debug, Default)]
pub(crate) struct Explained {
    camera: String,
    last: Option<Option<Geometry>>,
}

impl Explained {
    /// Explains the frames of a session.
    pub(crate) fn of(session: &Session) -> Self {
        Self { camera: session.name().to_owned(), last: None }
    }

    /// Prints the interpretation of a frame if its layout differs from that of the last frame.
    pub(crate) fn frame(&mut self, frame: &Frame) {
        if self.last == Some(frame.geometry) {
            return;
        }
        self.last = Some(frame.geometry);
        tracing::info!("{}", frame.because);
        if let Some(note) = frame.layout_note() {
            present::say(&format!("{}: {note}", self.camera));
        }
    }
}
