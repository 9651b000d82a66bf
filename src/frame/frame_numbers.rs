//! Numbers of frames over several connections or files.

/// Numbers the frames of one camera over all connections, or over all files. Each of these counts from 0 again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrameNumbers {
    base: u64,
    last: Option<u64>,
}

impl FrameNumbers {
    /// Continues after this many frames.
    #[cfg(feature = "export")]
    pub(crate) const fn after(frames: u64) -> Self {
        Self { base: frames, last: None }
    }

    /// Numbers a frame that has this number on its connection, or in its file.
    pub(crate) fn number(&mut self, id: u64) -> u64 {
        if let Some(last) = self.last.filter(|last| id <= *last) {
            self.base += last + 1;
        }
        self.last = Some(id);
        self.base + id
    }

    /// Leaves out the numbers of frames that a recording marks as missing before the next one.
    pub(crate) fn skip(&mut self, frames: u64) {
        self.base = self.base.saturating_add(frames);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_over_connections_and_show_gaps() {
        let mut frames = FrameNumbers::default();
        let numbers: Vec<_> = [0, 1, 3, 0, 2, 0, 0].into_iter().map(|id| frames.number(id)).collect();
        assert_eq!(numbers, [0, 1, 3, 4, 6, 7, 8]);
        frames.skip(10);
        assert_eq!([1, 0].map(|id| frames.number(id)), [19, 20], "ten are missing");
    }
}
