//! Memory of label tables that frames keep alive while they wait.

use std::sync::Arc;

use crate::frame::{Frame, LabelMap};

/// Weighs the label names of one camera's frames. Most frames share one table; a camera that changes its names with every
/// frame makes one for each.
#[derive(Debug, Default)]
pub(super) struct LabelWeight {
    last: Option<Arc<LabelMap>>,
    dropped: u64,
}

impl LabelWeight {
    /// Returns the bytes that this frame adds: the names that it does not share with the frame before it. That frame does
    /// not wait if it was dropped.
    pub(super) fn of(&mut self, frame: &Frame, dropped: u64) -> usize {
        let Some(labels) = &frame.labels else { return 0 };
        let last = self.last.replace(Arc::clone(labels)).filter(|_| self.dropped == dropped);
        self.dropped = dropped;
        match last {
            Some(last) if Arc::ptr_eq(&last, labels) => 0,
            last => labels.memory_bytes_beside(last.as_deref()),
        }
    }
}
