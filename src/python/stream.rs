//! Running cameras, and the frames of them one by one.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};
use std::{io, thread};

use pyo3::exceptions::{PyRuntimeWarning, PyTimeoutError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use super::camera::Camera;
use super::error::{self, OaktapError};
use super::frame::Frame;
use super::input::{Inputs, Waited, Wanted};
use super::recorder::{RecordArguments, Recorder};
use crate::live::{self, Live};
use crate::overlay::Style;
use crate::source::{Session, SessionOptions, SessionState};
use crate::sync::locked;

/// Interval at which a waiting call looks for Ctrl-C and for the end of the sessions.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// Longer timeouts are the same as none.
const TIMEOUT_MAX_S: f64 = 1e9;

/// The sessions of some cameras, and the lanes to Python.
#[derive(Debug)]
pub(super) struct Core {
    live: Mutex<Option<Live>>,
    pub(super) sessions: Vec<Session>,
    pub(super) cameras: Vec<live::Camera>,
    /// `None` if the cameras are recorded only.
    inputs: Option<Inputs>,
    pub(super) style: Style,
    closed: AtomicBool,
    /// Errors of single cameras that were reported.
    warned: Mutex<Vec<bool>>,
    /// The process whose threads receive. A process that was forked from it has none.
    process: u32,
}

impl Core {
    /// Starts the sessions. `takes`: Python takes frames.
    pub(super) fn start(
        cameras: Vec<live::Camera>,
        options: &SessionOptions,
        style: Style,
        takes: bool,
    ) -> io::Result<Arc<Self>> {
        let inputs = takes.then(|| Inputs::connect(&cameras, &style)).transpose()?;
        let live = Live::start(cameras.clone(), options)?;
        let sessions = live.sessions().to_vec();
        let warned = Mutex::new(vec![false; cameras.len()]);
        let (closed, process) = (AtomicBool::new(false), std::process::id());
        Ok(Arc::new(Self { live: Mutex::new(Some(live)), sessions, cameras, inputs, style, closed, warned, process }))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Returns whether this is a fork of the process, without the threads of the sessions.
    pub(super) fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }

    /// Ends the sessions and waits until they have ended.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let live = locked(&self.live).take();
        if self.is_forked() {
            // Their threads are those of the other process.
            std::mem::forget(live);
        } else if let Some(live) = live {
            // Their errors are in their states.
            drop(live.stop());
        }
    }

    fn inputs(&self) -> PyResult<&Inputs> {
        if self.is_forked() {
            let text =
                error::text("a stream receives nothing in a forked process", Some("open the source in that process"));
            return Err(OaktapError::new_err(text));
        }
        self.inputs
            .as_ref()
            .ok_or_else(|| OaktapError::new_err("these cameras are recorded only: oaktap.open() gives frames"))
    }

    /// Waits for a frame. `None`: all cameras have ended without an error, or were closed.
    fn next(&self, py: Python<'_>, wanted: Wanted, timeout: Option<Duration>) -> PyResult<Option<Frame>> {
        let inputs = self.inputs()?;
        if self.is_closed() {
            return Ok(None);
        }
        let mut waited = inputs.try_take(wanted);
        let started = Instant::now();
        loop {
            match waited {
                Waited::Frame(taken) => {
                    inputs.kept.warn(py)?;
                    return Ok(Some(Frame::new(taken.frame, taken.origin, &inputs.kept, taken.seq, taken.skipped)));
                }
                Waited::End => return self.end(py),
                Waited::Timeout => {}
            }
            py.check_signals()?;
            self.warn(py)?;
            if self.is_closed() {
                return Ok(None);
            }
            let left = match timeout {
                Some(timeout) => timeout.saturating_sub(started.elapsed()),
                None => SIGNAL_INTERVAL,
            };
            if left.is_zero() {
                return Err(self.timeout(timeout.unwrap_or_default()));
            }
            waited = py.detach(|| inputs.wait(wanted, left.min(SIGNAL_INTERVAL)));
        }
    }

    /// Returns the error of the first session that has failed.
    fn end(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        if self.is_closed() {
            return Ok(None);
        }
        // The lanes end just before the state does.
        let failed = py.detach(|| self.sessions.iter().find_map(|session| session.wait().err()));
        failed.map_or(Ok(None), |error| Err(error::of_source(&error)))
    }

    /// Warns of each camera of several that has failed for good: the others continue.
    fn warn(&self, py: Python<'_>) -> PyResult<()> {
        if self.sessions.len() < 2 {
            return Ok(());
        }
        for (number, session) in self.sessions.iter().enumerate() {
            let SessionState::Ended { error: Some(error) } = session.state() else { continue };
            let is_new = locked(&self.warned).get_mut(number).is_some_and(|warned| !std::mem::replace(warned, true));
            if is_new {
                let text = CString::new(format!("{}: {error}", session.name())).unwrap_or_default();
                PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1)?;
            }
        }
        Ok(())
    }

    fn timeout(&self, timeout: Duration) -> PyErr {
        let one = |session: &Session| match &*self.sessions {
            [_] => session.state().to_string(),
            _ => format!("{}: {}", session.name(), session.state()),
        };
        let states: Vec<_> = self.sessions.iter().map(one).collect();
        let help = self.sessions.iter().find_map(|session| session.state().reason().and_then(|reason| reason.help()));
        let text = format!("no frame within {} s: {}", timeout.as_secs_f64(), states.join("; "));
        PyTimeoutError::new_err(error::text(&text, help.as_deref()))
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if self.is_forked() {
            self.close();
            std::mem::forget((
                self.inputs.take(),
                std::mem::take(&mut self.sessions),
                std::mem::take(&mut self.cameras),
            ));
            return;
        }
        // Ending takes milliseconds, in which other threads of Python may run.
        Python::try_attach(|py| py.detach(|| self.close())).unwrap_or_else(|| self.close());
    }
}

/// Converts a timeout in seconds; `None` waits for ever.
pub(super) fn timeout(seconds: Option<f64>) -> PyResult<Option<Duration>> {
    match seconds {
        Some(seconds) if seconds.is_nan() || seconds < 0.0 => {
            Err(PyValueError::new_err(format!("invalid timeout {seconds}: expected seconds, 0 or more, or None")))
        }
        Some(seconds) if seconds <= TIMEOUT_MAX_S => Ok(Some(Duration::from_secs_f64(seconds))),
        _ => Ok(None),
    }
}

/// What an event loop waits for, and the function that wakes it.
type Wake = (Wanted, Py<PyAny>);

/// The frames of one or several cameras: iterate over it, also with `async for`, or ask for the `latest()` frame. Reconnects by
/// itself. Ends the sessions when it is closed or no longer used.
#[pyclass(frozen, module = "oaktap", weakref)]
pub(super) struct Stream {
    core: Arc<Core>,
    timeout: Option<Duration>,
    /// Requests to the thread that wakes event loops. `None` until the first one.
    waking: Mutex<Option<Sender<Wake>>>,
}

impl Stream {
    pub(super) fn new(core: Arc<Core>, timeout: Option<Duration>) -> Self {
        Self { core, timeout, waking: Mutex::new(None) }
    }

    /// Returns the only camera.
    fn only(&self, what: &str) -> PyResult<Camera> {
        match &*self.core.sessions {
            [_] => Ok(Camera::new(&self.core, 0)),
            sessions => Err(OaktapError::new_err(error::text(
                &format!("{} cameras have no common {what}", sessions.len()),
                Some(&format!("stream.cameras[0].{what}")),
            ))),
        }
    }
}

#[pymethods]
impl Stream {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        self.core.next(py, Wanted::Next, self.timeout)
    }

    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let timeout = slf.get().timeout.map(|timeout| timeout.as_secs_f64());
        py.import("oaktap._asyncio")?.call_method1("next_frame", (slf, timeout))
    }

    /// Returns the next frame without waiting. `None` if none waits; raises StopAsyncIteration at the end.
    fn _poll(&self, py: Python<'_>) -> PyResult<Option<Frame>> {
        let inputs = self.core.inputs()?;
        match if self.core.is_closed() { Waited::End } else { inputs.try_take(Wanted::Next) } {
            Waited::Frame(taken) => {
                inputs.kept.warn(py)?;
                Ok(Some(Frame::new(taken.frame, taken.origin, &inputs.kept, taken.seq, taken.skipped)))
            }
            Waited::Timeout => self.core.warn(py).map(|()| None),
            Waited::End => {
                self.core.end(py)?;
                Err(pyo3::exceptions::PyStopAsyncIteration::new_err(()))
            }
        }
    }

    /// Calls `wake` once, on another thread, when a frame waits, and after 100 ms at the latest.
    fn _wake(&self, wake: Py<PyAny>) -> PyResult<()> {
        let mut waking = locked(&self.waking);
        let requests = match waking.take() {
            Some(requests) => requests,
            None => {
                let (requests, received) = channel();
                let core = Arc::downgrade(&self.core);
                thread::Builder::new().name("python wake".to_owned()).spawn(move || wake_loops(&core, &received))?;
                requests
            }
        };
        let sent = requests.send((Wanted::Next, wake));
        *waking = Some(requests);
        sent.map_err(|_| OaktapError::new_err("the thread that wakes event loops has ended"))
    }

    /// Error of a timeout of the stream in this state.
    fn _timeout_error(&self, seconds: f64) -> PyErr {
        self.core.timeout(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }

    /// Returns the newest frame that was not returned before; waits for one if there is none. For programs that want low latency
    /// instead of every frame: it may be shown to be damaged by the bytes after it, which the ledger counts. `None` at the end.
    #[pyo3(signature = (timeout = None))]
    fn latest(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Frame>> {
        let timeout = self::timeout(timeout)?.or(self.timeout);
        self.core.next(py, Wanted::Newest, timeout)
    }

    /// Ends the sessions. Frames stay usable.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.core.close());
    }

    /// Whether `close` was called.
    #[getter]
    fn closed(&self) -> bool {
        self.core.is_closed()
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __exit__(&self, py: Python<'_>, _type: &Bound<'_, PyAny>, _value: &Bound<'_, PyAny>, _trace: &Bound<'_, PyAny>) {
        self.close(py);
    }

    /// The cameras, in the order of the sources.
    #[getter]
    fn cameras(&self) -> Vec<Camera> {
        (0..self.core.sessions.len()).map(|number| Camera::new(&self.core, number)).collect()
    }

    /// State of the only camera: see `Camera.state`.
    #[getter]
    fn state(&self) -> PyResult<&'static str> {
        self.only("state").map(|camera| camera.state())
    }

    /// Counts of the only camera: see `Camera.ledger`.
    #[getter]
    fn ledger<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.only("ledger")?.ledger(py)
    }

    /// Bytes of the frames that Python keeps.
    #[getter]
    fn kept_bytes(&self) -> PyResult<usize> {
        Ok(self.core.inputs()?.kept.bytes())
    }

    /// Records the cameras to a file `.mcap` or a folder until the returned recorder is stopped: see `oaktap.record`.
    #[pyo3(signature = (path, *, split = None, keep = None, compression = "none", trigger = None, pre = "5s", post = "10s", sync = false))]
    #[allow(clippy::too_many_arguments)] // Python has names for them.
    fn record(
        &self,
        py: Python<'_>,
        path: std::path::PathBuf,
        split: Option<&str>,
        keep: Option<&str>,
        compression: &str,
        trigger: Option<&str>,
        pre: &str,
        post: &str,
        sync: bool,
    ) -> PyResult<Recorder> {
        if self.core.is_closed() {
            return Err(OaktapError::new_err("the stream is closed"));
        }
        let arguments = RecordArguments { path, split, keep, compression, trigger, pre, post, sync };
        Recorder::start(py, &self.core, &arguments, false)
    }

    fn __repr__(&self) -> String {
        let names: Vec<_> =
            self.core.sessions.iter().map(|session| format!("{} {}", session.name(), session.state().word())).collect();
        format!("<oaktap.Stream {}>", names.join(", "))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("a stream cannot be pickled: open the source in the other process"))
    }
}

/// Calls each wake function once a frame waits, so that threads that receive never wait for the interpreter.
fn wake_loops(core: &Weak<Core>, requests: &Receiver<Wake>) {
    while let Ok((wanted, wake)) = requests.recv() {
        let core = core.upgrade();
        if let Some(inputs) = core.as_deref().and_then(|core| core.inputs.as_ref()) {
            inputs.wait_ready(wanted, SIGNAL_INTERVAL);
        }
        drop(core);
        // An event loop that was closed meanwhile does not need it.
        let woken = Python::try_attach(|py| drop(wake.call0(py)));
        if woken.is_none() {
            // The interpreter has ended; its objects must not be touched.
            std::mem::forget(wake);
            return;
        }
    }
}
