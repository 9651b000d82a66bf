//! The lines of `--status`: the counts of each camera as JSON on standard output.

use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use oaktap::net::clock::received_now;
use oaktap::sink::record::RecordersMonitor;
use oaktap::source::{Session, SessionState, SourceErrorClass};
use oaktap::stats::{Ledger, Summary};
use oaktap::sync::locked;
use serde::Serialize;
use tokio::sync::watch;

use super::present;
use super::recording_summary::FinishedRecording;

/// Prints a line for each camera, again and again.
#[derive(Debug)]
pub(super) struct StatusLines {
    /// The cameras that are not removed.
    cameras: Arc<Mutex<Vec<Arc<Watched>>>>,
    /// Ends the thread when it is dropped.
    end: mpsc::Sender<()>,
    thread: thread::JoinHandle<()>,
}

/// The state of a camera at the end of a command.
#[derive(Debug)]
pub(super) struct LastStatus<'a> {
    pub(super) counts: &'a Summary,
    pub(super) reason: Option<String>,
    pub(super) recording: Option<FinishedRecording<'a>>,
}

#[derive(Serialize)]
struct StatusLine<'a, R> {
    status: &'a CameraStatus<'a, R>,
}

#[derive(Serialize)]
struct CameraStatus<'a, R> {
    unix_ns: i64,
    /// A word of a fixed list; see [`SessionState::word`].
    state: &'static str,
    /// Why the camera is not connected.
    reason: Option<String>,
    /// Start of the state.
    since_unix_ns: i64,
    /// `None` if nothing is recorded.
    recording: Option<R>,
    #[serde(flatten)]
    counts: &'a Summary,
}

/// A camera of which lines are printed.
#[derive(Debug)]
struct Watched {
    name: String,
    state: watch::Receiver<SessionState>,
    ledger: Ledger,
    since: Arc<Since>,
    /// Its recording, and its index there.
    recording: (RecordersMonitor, usize),
}

impl StatusLines {
    /// Prints the counts of each camera at this interval. On a thread of its own: a reader that does not read blocks it.
    pub(super) fn start(interval: Duration) -> io::Result<Self> {
        let cameras = Arc::<Mutex<Vec<Arc<Watched>>>>::default();
        let printed = Arc::clone(&cameras);
        let (end, ended) = mpsc::channel();
        let print = move || {
            while ended.recv_timeout(interval) == Err(mpsc::RecvTimeoutError::Timeout) {
                // A copy: cameras are added and removed while a reader blocks this thread.
                let cameras = locked(&printed).clone();
                for camera in cameras {
                    // A closed standard output ends the lines, not the reception.
                    if camera.print().is_err() {
                        return;
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("status".to_owned()).spawn(print)?;
        Ok(Self { cameras, end, thread })
    }

    /// Also prints lines of a camera. `recording`: its recording, and its index there.
    pub(super) fn add(&self, session: &Session, since: Arc<Since>, recording: (RecordersMonitor, usize)) {
        let (name, state, ledger) = (session.name().to_owned(), session.changes(), session.ledger().clone());
        locked(&self.cameras).push(Arc::new(Watched { name, state, ledger, since, recording }));
    }

    /// Prints no further line of the camera of this name.
    pub(super) fn remove(&self, name: &str) {
        locked(&self.cameras).retain(|camera| camera.name != name);
    }

    /// Ends the thread, and prints the last line of each camera, in the order in which they were added.
    pub(super) fn finish(self, cameras: Vec<LastStatus<'_>>) -> anyhow::Result<()> {
        drop(self.end);
        // A panic was printed when it happened.
        let _ = self.thread.join();
        let unix_ns = received_now().unix_ns;
        for (camera, watched) in cameras.into_iter().zip(&*locked(&self.cameras)) {
            let LastStatus { counts, reason, recording } = camera;
            let state = SessionState::Ended { error: None }.word();
            let since_unix_ns = watched.since.of(state, unix_ns);
            print(&CameraStatus { unix_ns, state, reason, since_unix_ns, recording, counts })?;
        }
        Ok(())
    }
}

impl Watched {
    fn print(&self) -> anyhow::Result<()> {
        let now = received_now();
        let state = self.state.borrow().clone();
        let mut counts = self.ledger.snapshot();
        counts.advance(now.mono_ns);
        // A recording that begins later in the playback is not down.
        if matches!(state, SessionState::Outside(_)) {
            counts.dismiss_outage();
        }
        let summary = counts.summary(&self.name);
        let mut recording = self.recording.0.status(self.recording.1);
        // A camera that was given up, or answers wrongly, has no first frame to wait for.
        if let Some(recording) = recording.as_mut().filter(|recording| recording.state == "waiting")
            && let Some(error) = state.reason().filter(|error| error.class() != SourceErrorClass::Retry)
        {
            recording.reason = Some(error.kind.to_string());
            if matches!(state, SessionState::Ended { .. }) {
                recording.state = "failed";
            }
        }
        print(&CameraStatus {
            unix_ns: now.unix_ns,
            state: state.word(),
            reason: state.reason().map(|error| error.kind.to_string()),
            since_unix_ns: self.since.of(state.word(), now.unix_ns),
            recording,
            counts: &Summary { recent: state.rates_now(summary.recent), ..summary },
        })
    }
}

fn print<R: Serialize>(status: &CameraStatus<'_, R>) -> anyhow::Result<()> {
    present::result(present::json(&StatusLine { status })?.as_bytes())
}

/// Remembers since when a state is the same.
#[derive(Debug, Default)]
pub(super) struct Since(Mutex<Option<(&'static str, i64)>>);

impl Since {
    pub(super) fn of(&self, state: &'static str, now_unix_ns: i64) -> i64 {
        let mut known = locked(&self.0);
        let (_, since) = known.filter(|(word, _)| *word == state).unwrap_or((state, now_unix_ns));
        *known = Some((state, since));
        since
    }
}
