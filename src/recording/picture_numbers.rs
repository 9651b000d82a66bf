//! Numbers the pictures of other programs, which have no numbers of their own, by their place in the file. A seek then does not
//! change the number of a picture.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use super::channels::{Channels, Role};
use super::survey::ChunkRange;
use super::walk::{RecordWalk, WalkItem};

/// Bytes of the entry of one message in a message index.
const INDEX_ENTRY_BYTES: u32 = 16;

/// Number of messages of each channel in each chunk. Takes at most 16 bytes for each message or message index of the file.
#[derive(Debug, Default)]
pub(super) struct PictureNumbers {
    counts: Vec<Count>,
    /// The last chunk, as long as no message index of it was found.
    open: Option<u64>,
    /// Position of the last chunk.
    chunk_at: u64,
    /// The messages of some chunks have to be read to count them.
    is_incomplete: bool,
}

#[derive(Debug)]
struct Count {
    chunk_at: u64,
    messages: u32,
    channel: u16,
}

impl PictureNumbers {
    /// Takes the next chunk.
    pub(super) fn chunk(&mut self, at: u64) {
        self.is_incomplete |= self.open.replace(at).is_some();
        self.chunk_at = at;
    }

    /// Takes a message index of the last chunk, of which the first 6 bytes are enough.
    pub(super) fn message_index(&mut self, data: &[u8]) {
        let Some(([a, b, bytes @ ..], _)) = data.split_first_chunk::<6>() else { return };
        self.open = None;
        let channel = u16::from_le_bytes([*a, *b]);
        self.add(self.chunk_at, channel, u32::from_le_bytes(*bytes) / INDEX_ENTRY_BYTES);
    }

    /// Adds messages. `chunk_at` is the position of their chunk, or of their range outside of chunks.
    pub(super) fn add(&mut self, chunk_at: u64, channel: u16, messages: u32) {
        match self.counts.last_mut() {
            Some(last) if (last.chunk_at, last.channel) == (chunk_at, channel) => {
                last.messages = last.messages.saturating_add(messages);
            }
            _ => self.counts.push(Count { chunk_at, messages, channel }),
        }
    }

    /// Reads the messages of a file with chunks that have no message index, if it has pictures of other programs.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn complete(&mut self, file: File, channels: &Channels, chunks: &[ChunkRange]) -> io::Result<()> {
        let has_pictures = (0..channels.cameras().len()).any(|camera| !channels.has_wire(camera));
        if !(self.is_incomplete || self.open.is_some()) || !has_pictures || chunks.len() < 2 {
            return Ok(());
        }
        *self = Self::default();
        let mut walk = RecordWalk::new(file, false)?;
        channels.numbers().into_iter().for_each(|id| walk.expect_channel(id));
        while let Some(item) = walk.next()? {
            let WalkItem::Message(message) = item else { continue };
            let chunk = chunks.partition_point(|chunk| chunk.at <= message.at).checked_sub(1);
            if let Some(chunk) = chunk {
                self.add(chunks[chunk].at, message.header.channel_id, 1);
            }
        }
        Ok(())
    }

    /// Returns the number of pictures before a position, by camera. Only cameras whose frames are made from image messages.
    pub(super) fn before(&self, at: u64, channels: &Channels) -> BTreeMap<usize, u32> {
        let mut pictures: BTreeMap<usize, u32> = BTreeMap::new();
        for count in self.counts.iter().take_while(|count| count.chunk_at < at) {
            if let Some((camera, Role::Image(_))) = channels.role(count.channel)
                && !channels.has_wire(camera)
            {
                let sum = pictures.entry(camera).or_default();
                *sum = sum.wrapping_add(count.messages);
            }
        }
        pictures
    }
}
