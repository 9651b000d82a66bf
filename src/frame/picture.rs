//! A converted picture.

use super::pool::Recycled;
use super::{DeviceTime, Received, Size};

/// The part of a frame that a picture shows, in pixels of the frame. Has fractions while a user zooms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Part {
    /// Width and height of the whole frame.
    pub of: (usize, usize),
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

impl Part {
    /// Returns all of a frame.
    #[must_use]
    pub const fn whole(width: usize, height: usize) -> Self {
        Self { of: (width, height), x: 0.0, y: 0.0, width: width as f64, height: height as f64 }
    }

    /// Returns whether this is all of the frame.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self == Self::whole(self.of.0, self.of.1)
    }
}

/// A picture in 0RGB words, row by row without padding, as windows take it.
#[derive(Debug, Default)]
pub struct Picture {
    /// Pixels per row.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
    /// The part of the frame that the picture shows, in any size.
    pub part: Part,
    /// [`Frame::id`](super::Frame::id) of the converted frame.
    pub frame_id: u64,
    /// Capture time of the frame, by the camera's clock.
    pub device_time: DeviceTime,
    /// Arrival of the frame's last byte.
    pub received: Received,
    words: Vec<u32>,
}

impl Picture {
    /// Returns `width * height` words `0x00RRGGBB`.
    #[must_use]
    pub fn words(&self) -> &[u32] {
        &self.words[..self.width * self.height]
    }

    /// Returns the words for drawing.
    pub fn words_mut(&mut self) -> &mut [u32] {
        &mut self.words[..self.width * self.height]
    }

    /// Returns red, green and blue of every pixel as bytes, as image files store them.
    pub fn rgb(&self) -> impl Iterator<Item = u8> + '_ {
        rgb(self.words())
    }

    /// Returns width and height.
    #[must_use]
    pub fn size(&self) -> Size {
        Size::saturating(self.width, self.height)
    }

    /// Sets width and height, for all of a frame of this size. The words are not cleared.
    pub fn resize(&mut self, width: usize, height: usize) {
        if self.words.len() < width * height {
            self.words = vec![0; width * height];
        }
        self.width = width;
        self.height = height;
        self.part = Part::whole(width, height);
    }
}

/// Returns red, green and blue of words `0x00RRGGBB` as bytes: [`Picture::rgb`] for words that are not in a
/// [`Picture`].
pub fn rgb(words: &[u32]) -> impl Iterator<Item = u8> + '_ {
    words.iter().flat_map(|word| {
        let [_, red, green, blue] = word.to_be_bytes();
        [red, green, blue]
    })
}

impl Recycled for Picture {
    fn capacity(&self) -> usize {
        self.words.len() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rgb_bytes_are_in_file_order() {
        let mut picture = Picture::default();
        picture.resize(2, 1);
        picture.words_mut().copy_from_slice(&[0x01_02_03, 0xff_fe_fd]);
        assert_eq!(picture.rgb().collect::<Vec<_>>(), [1, 2, 3, 0xff, 0xfe, 0xfd]);
        assert_eq!(picture.size(), Size::new(2, 1));
    }
}
