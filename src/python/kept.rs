//! The memory of the frames that Python keeps.

use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::PyResourceWarning;
use pyo3::prelude::*;

use crate::frame::Frame;
use crate::units::Bytes;

/// Bytes of kept frames that cause the first warning. Each further one needs twice as many.
const WARN_BYTES: usize = 1 << 30;

/// Counts the bytes of the frames of one stream that Python keeps.
#[derive(Debug)]
pub(super) struct Counter {
    bytes: AtomicUsize,
    warn_at: AtomicUsize,
}

impl Default for Counter {
    fn default() -> Self {
        Self { bytes: AtomicUsize::new(0), warn_at: AtomicUsize::new(WARN_BYTES) }
    }
}

impl Counter {
    /// Returns the bytes that Python keeps now.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Warns if Python keeps much more than before.
    pub(super) fn warn(&self, py: Python<'_>) -> PyResult<()> {
        let (bytes, limit) = (self.bytes(), self.warn_at.load(Ordering::Relaxed));
        if bytes < limit {
            return Ok(());
        }
        self.warn_at.store(limit.saturating_mul(2), Ordering::Relaxed);
        let text = format!(
            "{} of frames are kept: each Frame, and each array of its planes, keeps the whole received frame; copy what is needed \
             and drop the rest",
            Bytes(bytes as u64)
        );
        let text = CString::new(text).unwrap_or_default();
        PyErr::warn(py, &py.get_type::<PyResourceWarning>(), &text, 1)
    }
}

/// A received frame, counted as long as Python has it or a view of its bytes.
#[derive(Debug)]
pub(super) struct KeptFrame {
    frame: Arc<Frame>,
    bytes: usize,
    counter: Arc<Counter>,
}

impl KeptFrame {
    pub(super) fn new(frame: Arc<Frame>, counter: &Arc<Counter>) -> Arc<Self> {
        let bytes = frame.memory_bytes();
        counter.bytes.fetch_add(bytes, Ordering::Relaxed);
        Arc::new(Self { frame, bytes, counter: Arc::clone(counter) })
    }
}

impl std::ops::Deref for KeptFrame {
    type Target = Frame;

    fn deref(&self) -> &Frame {
        &self.frame
    }
}

impl Drop for KeptFrame {
    fn drop(&mut self) {
        self.counter.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
