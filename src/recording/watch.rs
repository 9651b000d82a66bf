//! Progress of work on a whole file, which can be stopped.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::sync::locked;

/// Time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);

/// Receives the progress of work on a file. Clones share one receiver. The default receives nothing.
#[derive(Clone, Default)]
pub struct Watch {
    watcher: Option<Arc<Mutex<Watcher>>>,
    /// The part that is done is not reported: the file is read again after this.
    before: bool,
}

struct Watcher {
    report: Box<dyn FnMut(f64) -> ControlFlow<()> + Send>,
    reported: Option<Instant>,
}

/// The work was stopped.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("stopped at byte {at}")]
pub(super) struct Stopped {
    /// Position in the file.
    pub(super) at: u64,
}

impl Watch {
    /// Calls `report` at most 20 times per second with the part of the file that was read, 0 to 1. `Break` stops the work,
    /// which then fails with [`RecordingError::Stopped`](super::RecordingError::Stopped).
    #[must_use]
    pub fn new(report: impl FnMut(f64) -> ControlFlow<()> + Send + 'static) -> Self {
        let watcher = Watcher { report: Box::new(report), reported: None };
        Self { watcher: Some(Arc::new(Mutex::new(watcher))), before: false }
    }

    /// Returns a watch for a first pass over the file, which reports 0.
    pub(super) fn before(&self) -> Self {
        Self { before: true, ..self.clone() }
    }

    /// Reports the position. Fails with [`Stopped`] if the work is to stop.
    pub(super) fn position(&self, at: u64, len: u64) -> io::Result<()> {
        let Some(watcher) = &self.watcher else { return Ok(()) };
        let mut watcher = locked(watcher);
        if watcher.reported.is_some_and(|reported| reported.elapsed() < REPORT_INTERVAL) {
            return Ok(());
        }
        watcher.reported = Some(Instant::now());
        let part = if self.before || len == 0 { 0.0 } else { at as f64 / len as f64 };
        match (watcher.report)(part) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(io::Error::other(Stopped { at })),
        }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("before", &self.before).finish_non_exhaustive()
    }
}
