//! The sessions of a command that receives: started together, watched, and summarized at the end.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use oaktap::frame::Received;
use oaktap::live::{Camera, Live, Sink as _};
use oaktap::net::clock::received_now;
use oaktap::sink::record::{Recorders, RecordersMonitor};
use oaktap::source::{
    ConnContext, Outside, Session, SessionOptions, SessionState, SourceError, SourceErrorKind, SourceSpec, Timeouts,
};
use oaktap::stats::{Stats, Summary};
use oaktap::sync::locked;
use serde::Serialize;

use super::only_labels::Only;
use super::present::{self, ExitReason};
use super::recording_summary::{self, RecordingSummary};
use super::session_log::print_states;
use super::source_args::SourceArgs;
use super::status_lines::{LastStatus, Since, StatusLines};
pub(crate) use super::stream_failure::Unpictured;
use super::stream_failure::{Failure, LastTrouble, Trouble};
use super::waiting::{Advised, Waiting};
use super::{Ctx, Outcome, Until};

/// Default of the limit for a camera that sends nothing after the others have sent the frames of `--frames`.
const ABSENCE_MAX: Duration = Duration::from_secs(10);

/// Time between two attempts to receive from one of several cameras that answers wrongly, such as with HTTP 404.
const RETRY_REFUSED: Duration = Duration::from_secs(10);

/// The running sessions of one command, and its stop conditions.
#[derive(Debug)]
pub(crate) struct Receiving {
    live: Live,
    options: SessionOptions,
    /// One for each session.
    cameras: Vec<ReceivingCamera>,
    advised: Advised,
    /// Time at which the sessions were stopped, and which of them play a recording whose beginning was not reached.
    stopped: OnceLock<(Received, Vec<bool>)>,
    stop: super::signals::Stop,
    status: Option<StatusLines>,
    deadline: Option<Instant>,
    /// The time of `--duration`.
    duration: Option<Duration>,
    /// Doubts decide the exit code, too.
    strict: bool,
    /// Frames of `--frames`. A camera that has sent as many may leave.
    frames_max: Option<u64>,
    /// The limit for a camera that sends nothing after the others have sent their frames.
    absence_max: Duration,
    alone: Mutex<Alone>,
    only: Arc<Only>,
    /// The cameras whose frames all failed to become pictures, if the command shows pictures.
    unpictured: Vec<Option<Unpictured>>,
}

/// A camera of [`Receiving`], beside its session.
#[derive(Debug)]
struct ReceivingCamera {
    trouble: LastTrouble,
    started: Received,
    /// The user has removed it.
    is_removed: bool,
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

impl Receiving {
    /// Starts a session for each camera; sinks are connected before. From here on Ctrl-C asks to stop.
    /// `recording`: what `--status` reports of recordings of these cameras.
    pub(crate) fn start(
        ctx: &Ctx,
        cameras: Vec<Camera>,
        args: &SourceArgs,
        until: &Until,
        recording: &RecordersMonitor,
    ) -> anyhow::Result<Self> {
        ctx.stop.on_signals()?;
        let style = args.style()?;
        let options = SessionOptions { names: style.names.clone().map(Arc::new), ..args.session_options() };
        let mut receiving = Self {
            live: Live::start(Vec::new(), &options).context("cannot start the receiving threads")?,
            options,
            cameras: Vec::new(),
            advised: Advised::new(until.duration.is_some()),
            stopped: OnceLock::new(),
            stop: ctx.stop.clone(),
            status: args.status.map(StatusLines::start).transpose()?,
            deadline: until.deadline(),
            duration: until.duration,
            strict: args.strict,
            frames_max: until.frames,
            absence_max: args.idle_timeout.unwrap_or(ABSENCE_MAX),
            alone: Mutex::default(),
            only: Arc::new(Only::new(args.only.clone(), style)),
            unpictured: Vec::new(),
        };
        receiving.add(cameras, recording);
        Ok(receiving)
    }

    /// Starts a session for each of further cameras. `recording`: what `--status` reports of recordings of these.
    pub(crate) fn add(&mut self, cameras: Vec<Camera>, recording: &RecordersMonitor) {
        let (first, started) = (self.sessions().len(), received_now());
        // With one camera, the error ends the command. So it does after `--frames`.
        let is_one_of_several = first + cameras.len() > 1;
        self.options.retry_refused = Some(RETRY_REFUSED).filter(|_| is_one_of_several && self.frames_max.is_none());
        self.live.add(cameras, &self.options);
        for (number, session) in self.live.sessions()[first..].iter().enumerate() {
            let (trouble, since) = (LastTrouble::default(), Arc::new(Since::default()));
            let printing = (Arc::clone(&trouble), Arc::clone(&since));
            // The names in a recording of another program are known at its end only.
            let live_names =
                session.spec().recording().is_none().then(|| (Arc::clone(&self.only), session.ledger().clone()));
            let waiting = Waiting::new(self.advised.clone());
            let states = session.changes();
            self.live.runtime().spawn(print_states(
                session.name().to_owned(),
                states,
                printing,
                live_names,
                (waiting, is_one_of_several && session.spec().recording().is_none()),
            ));
            if let Some(status) = &self.status {
                status.add(session, since, (recording.clone(), number));
            }
            self.cameras.push(ReceivingCamera { trouble, started, is_removed: false });
        }
    }

    /// Returns the number of cameras that send frames.
    pub(crate) fn streaming(&self) -> usize {
        let streams = |session: &&Session| matches!(session.state(), SessionState::Streaming);
        self.sessions().iter().filter(streams).count()
    }

    /// Returns the runtime of the sessions.
    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        self.live.runtime()
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
        self.stop.asked()
            || self.deadline.is_some_and(|deadline| deadline <= now)
            || self.waits_in_vain(now)
            || self.all_refused()
    }

    /// Returns whether every camera that has not ended answers wrongly: then the command ends, as it does with one camera.
    fn all_refused(&self) -> bool {
        let mut refused = false;
        let mut sessions = self.sessions().iter().zip(&self.cameras).filter(|(_, camera)| !camera.is_removed);
        sessions.all(|(session, _)| match session.state() {
            SessionState::Ended { .. } => true,
            SessionState::Lost { reason, .. } if reason.is_refusal() => {
                refused = true;
                true
            }
            _ => false,
        }) && refused
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
        let present = self.sessions().iter().zip(&self.cameras).filter(|(_, camera)| !camera.is_removed);
        let (done, rest): (Vec<_>, Vec<_>) =
            present.map(|(session, _)| session).partition(|session| has_enough(session));
        let sends = |session: &&&Session| {
            use SessionState::{Outside, Paused, Stalled, Streaming};
            matches!(session.state(), Streaming | Stalled | Paused | Outside(_))
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
        self.stopped.get_or_init(|| (received_now(), self.sessions().iter().map(is_before_recording).collect()));
        self.live.stop()
    }

    /// Ends the sessions, then the recordings of their frames.
    pub(crate) fn end_recordings(&self, recorders: Option<Recorders>) -> Vec<RecordingSummary> {
        // `finish` reports how the sessions ended.
        drop(self.stop());
        recorders.map(Recorders::finish).unwrap_or_default().into_iter().map(RecordingSummary::of).collect()
    }

    /// Ends the session of a camera that the user has removed. Its frames are counted at the end, but it cannot fail any more.
    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(status) = &self.status {
            status.remove(name);
        }
        for (session, camera) in self.live.sessions().iter().zip(&mut self.cameras) {
            if session.name() == name && !camera.is_removed {
                session.stop();
                // The user does not want it any more.
                drop(session.wait());
                camera.is_removed = true;
            }
        }
    }

    /// Reports the cameras whose frames all failed to become pictures, in the order of the cameras.
    pub(crate) fn without_pictures(self, unpictured: Vec<Option<Unpictured>>) -> Self {
        Self { unpictured, ..self }
    }

    /// Returns why no frame of a camera arrived until it was stopped.
    fn without_frame(&self, number: usize, stats: &Stats, stopped_ns: u64) -> Trouble {
        let (session, camera) = (&self.sessions()[number], &self.cameras[number]);
        match locked(&camera.trouble).take() {
            Some(Trouble::Unconnected(error)) if stats.connections == 0 => return Trouble::Error(error),
            // Connected meanwhile.
            Some(Trouble::Unconnected(_)) | None => {}
            Some(trouble) => return trouble,
        }
        let waited = Duration::from_nanos(stopped_ns.saturating_sub(camera.started.mono_ns));
        // Closing the window ends a view without a signal.
        let is_left = || {
            let in_time = self.deadline.is_none_or(|deadline| Instant::now() < deadline);
            in_time && locked(&self.alone).since.is_none() && session.spec().recording().is_none()
        };
        if waited < Timeouts::default().first_byte && (self.stop.asked() || is_left()) {
            return Trouble::Stopped;
        }
        if stats.connections > 0 || !session.spec().opens_connection() {
            return Trouble::NoFrame;
        }
        let conn = ConnContext { number: stats.attempts, source: session.spec().to_string(), ..ConnContext::default() };
        let limit = self.duration.unwrap_or(waited).min(waited);
        Trouble::Error(Arc::new(SourceError { conn, kind: SourceErrorKind::ConnectTimeout(limit) }))
    }

    /// Marks the cameras that the user has removed: others may have their names.
    fn named_for_people(&self, summaries: &[Summary]) -> Vec<Summary> {
        let mut named = summaries.to_vec();
        for (summary, _) in named.iter_mut().zip(&self.cameras).filter(|(_, camera)| camera.is_removed) {
            summary.name.push_str(" (removed)");
        }
        named
    }

    /// Ends the sessions, and prints their frame counts and the recordings of their frames.
    pub(crate) fn finish(mut self, ctx: &Ctx, recordings: &[RecordingSummary]) -> anyhow::Result<Outcome> {
        let ends = self.stop();
        let (stopped_ns, not_reached) = self.stopped.get().map_or((0, &[][..]), |(at, before)| (at.mono_ns, before));
        let mut stats: Vec<_> = self.sessions().iter().map(Session::stats).collect();
        let is_not_reached = |number: usize, stats: &Stats| not_reached[number] && stats.frames.received == 0;
        for (number, stats) in stats.iter_mut().enumerate() {
            if is_not_reached(number, stats) || self.cameras[number].is_removed {
                stats.dismiss_outage();
            }
            // Also of a session that ended before, because of an error.
            if stats.down_at_end() {
                stats.advance(stopped_ns);
            }
            if self.frames_max.is_some_and(|frames| stats.frames.confirmed >= frames) {
                stats.dismiss_outage();
            }
        }
        let summaries: Vec<_> =
            self.sessions().iter().zip(&stats).map(|(session, stats)| stats.summary(session.name())).collect();
        present::table(&self.named_for_people(&summaries), tracing::enabled!(tracing::Level::INFO), self.strict);
        recording_summary::texts(recordings).iter().for_each(|text| present::say(text));
        let unpictured = |number: usize| self.unpictured.get(number).cloned().flatten();
        // A camera that sent nothing, or nothing that can be shown, is a failure of its own only if another camera works.
        let works = |(number, stats): (usize, &Stats)| {
            stats.frames.received + stats.measurements > 0 && unpictured(number).is_none()
        };
        let any_works = stats.iter().enumerate().any(works);
        let gave_up = locked(&self.alone).since.is_some();
        let mut damaged = false;
        let mut failures: Vec<Option<Failure>> = Vec::new();
        let mut helped = HashSet::new();
        for (number, end) in ends.into_iter().enumerate() {
            let received = stats[number].frames.received + stats[number].measurements;
            let session = &self.sessions()[number];
            failures.push(match end {
                _ if self.cameras[number].is_removed => None,
                // The frames before the damage have been delivered.
                Err(error) if error.is_torn() && received > 0 && is_being_recorded(session, &error) => {
                    present::say(&format!(
                        "{}: still being recorded, played up to the frames written so far",
                        session.name()
                    ));
                    None
                }
                Err(error) if error.is_damage() && received > 0 => {
                    present::always_say(&format!("{}: exit code 3: {}", session.name(), error.kind));
                    if let Some(help) = error.help() {
                        let file = error.recording().or_else(|| Some(&*session.spec().recording()?.path));
                        let help = file.map_or_else(|| help.to_string(), |file| present::naming(&help, file));
                        // The cameras of one file have one help.
                        if helped.insert(help.clone()) {
                            present::always_say(&format!("help: {help}"));
                        }
                    }
                    damaged = true;
                    None
                }
                Err(error) => Some(Failure::new(session, Trouble::Error(error), true)),
                Ok(()) if received == 0 && stats[number].frames.no_memory > 0 => {
                    Some(Failure::new(session, Trouble::NoMemory, true))
                }
                Ok(()) if is_not_reached(number, &stats[number]) => {
                    present::say(&format!("{}: the playback was stopped before its recording began", session.name()));
                    None
                }
                Ok(()) if received == 0 => {
                    let datagrams = stats[number].datagrams.filter(|datagrams| datagrams.received > 0);
                    let has_trouble = locked(&self.cameras[number].trouble).is_some();
                    let trouble = match datagrams.filter(|_| !has_trouble) {
                        Some(datagrams) => Trouble::NoFrameIn { datagrams },
                        None => self.without_frame(number, &stats[number], stopped_ns),
                    };
                    // A camera that answers wrongly is a failure, also if another one works and it was tried again.
                    let is_refused = matches!(&trouble, Trouble::Error(error) if error.is_refusal());
                    Some(Failure::new(session, trouble, is_refused || !any_works))
                }
                Ok(()) => unpictured(number).map(|reason| {
                    // A recording keeps the frames.
                    let is_fatal = !any_works && recordings.is_empty();
                    Failure::new(session, Trouble::NoPicture { frames: received, reason }, is_fatal)
                }),
            });
        }
        let recorded = recording_summary::check(recordings);
        if let Some(lines) = self.status.take() {
            let present = summaries.iter().zip(&failures).zip(&self.cameras).filter(|(_, camera)| !camera.is_removed);
            let last = present.map(|((counts, failure), _)| LastStatus {
                counts,
                reason: failure.as_ref().map(|failure| failure.text.clone()),
                recording: recording_summary::finished(recordings, &counts.name),
            });
            lines.finish(last.collect())?;
        }
        if ctx.json {
            let each = summaries.iter().zip(&failures).zip(&self.cameras);
            let cameras = each.map(|((counts, failure), camera)| ReceivedCamera {
                counts,
                removed: camera.is_removed,
                error: failure.as_ref().map(|failure| failure.text.clone()),
            });
            let cameras: Vec<_> = cameras.collect();
            present::document(&StreamSummary { command: ctx.command, cameras: &cameras, recordings })?;
        }
        let mut reasons: Vec<_> = Vec::new();
        for (number, summary) in summaries.iter().enumerate().filter(|(number, _)| failures[*number].is_none()) {
            let source = self.sessions()[number].spec();
            reasons.extend(present::exit_reason(summary, source, self.strict));
            reasons.extend(self.only.exit_reason(&summary.name, &stats[number]));
            let found = summary.frames.confirmed;
            if let Some(wanted) = self.frames_max.filter(|wanted| gave_up && found < *wanted) {
                let text = format!("{}: exit code 3: sent {found} of {wanted} frames", summary.name);
                let help = match source {
                    SourceSpec::Sim(_) => source.help_without_frames().into(),
                    _ => "`oaktap doctor CAMERA` checks the network and the camera".into(),
                };
                reasons.push(ExitReason { text, help, camera: Some(summary.name.clone()) });
            }
        }
        reasons.extend(recordings.iter().filter_map(RecordingSummary::exit_reason));
        present::exit_reasons(&reasons);
        let (all, mut failures) = (failures.len(), failures.into_iter().flatten().collect::<Vec<_>>());
        let is_fatal = failures.iter().any(|failure| failure.is_fatal);
        if is_fatal && failures.len() == 1 {
            let Failure { what, cause, .. } = failures.remove(0);
            return Err(cause.context(what));
        }
        for Failure { camera, what, cause, .. } in &failures {
            let code = if is_fatal { String::new() } else { format!("{camera}: exit code 3: ") };
            present::failure_of(&format!("{code}{what}"), cause, ctx.command, Some(camera));
        }
        if is_fatal {
            let names: Vec<_> = failures.iter().map(|failure| failure.camera.as_str()).collect();
            anyhow::bail!("{} of {all} cameras failed: {}", failures.len(), names.join(", "));
        }
        recorded?;
        damaged |= !failures.is_empty();
        Ok(if damaged || !reasons.is_empty() { Outcome::Lossy } else { Outcome::Done })
    }
}

/// Returns whether a recorder is writing the file that ended without its end.
fn is_being_recorded(session: &Session, error: &SourceError) -> bool {
    let path = error.recording().or_else(|| Some(&*session.spec().recording()?.path));
    path.is_some_and(oaktap::file::is_locked)
}

/// Returns whether a session plays a recording, and has not reached its first frame.
fn is_before_recording(session: &Session) -> bool {
    let state = session.state();
    let is_before = matches!(state, SessionState::Connecting { .. } | SessionState::Outside(Outside::Before { .. }));
    is_before && session.spec().recording().is_some()
}

/// A camera in the `--json` document of a command that receives.
#[derive(Debug, Serialize)]
struct ReceivedCamera<'a> {
    #[serde(flatten)]
    counts: &'a Summary,
    /// The user removed the camera before the end. Another one may have its name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    removed: bool,
    /// Why no frame arrived, or why the session ended; `None` if neither happened.
    error: Option<String>,
}

/// The `--json` document of a command that receives or sends streams.
#[derive(Debug, Serialize)]
pub(crate) struct StreamSummary<'a, T> {
    pub(crate) command: &'static str,
    pub(crate) cameras: &'a [T],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) recordings: &'a [RecordingSummary],
}
