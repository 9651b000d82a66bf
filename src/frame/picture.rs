//! A picture ready to show.

use super::pool::Recycled;
use super::{DeviceTime, Received};

/// Owned 0RGB words, row after row without gaps: what a window takes.
#[derive(Debug, Default)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The number of the [`Frame`](super::Frame) that this was made from.
    pub frame_id: u64,
    /// When the camera took it.
    pub device_time: DeviceTime,
    /// When its last byte was read here.
    pub received: Received,
    words: Vec<u32>,
}

impl Picture {
    /// `width * height` words, `0x00RRGGBB` each.
    #[must_use]
    pub fn words(&self) -> &[u32] {
        &self.words[..self.width * self.height]
    }

    /// The words, to be drawn on.
    pub fn words_mut(&mut self) -> &mut [u32] {
        &mut self.words[..self.width * self.height]
    }

    /// Sets the size; the words are what they were before, whatever that was.
    pub fn resize(&mut self, width: usize, height: usize) {
        if self.words.len() < width * height {
            self.words = vec![0; width * height];
        }
        self.width = width;
        self.height = height;
    }
}

impl Recycled for Picture {
    fn capacity(&self) -> usize {
        self.words.len() * size_of::<u32>()
    }
}
