//! Counts the frames of each stream of a camera.

use std::sync::Arc;

use super::Stats;
use crate::wire::Event;

/// Streams besides the first one that are counted one by one. A peer may send any number of names; the frames of the others are
/// counted together.
pub const FURTHER_STREAMS_MAX: usize = 16;

/// Name under which the frames of further streams are counted.
const FURTHER: &str = "further streams";

/// Name of a first stream without a name.
const UNNAMED: &str = "unnamed";

/// Frames of one stream.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StreamCounts {
    /// Name that the camera sent (`@S`).
    pub name: String,
    /// Frames received completely.
    pub received: u64,
    /// Received frames that were found to be damaged afterwards.
    pub withdrawn: u64,
    /// Frames received partly. Those of which nothing arrived belong to no stream.
    pub lost: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Frames {
    received: u64,
    withdrawn: u64,
    lost: u64,
}

/// Frames by stream.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamTally {
    first: Frames,
    others: Vec<(Arc<str>, Frames)>,
    first_name: Option<Arc<str>>,
    /// Stream of the last frame, unless it is the first one.
    last: Option<Arc<str>>,
    /// Stream of the next frame, unless it is the first one.
    next: Option<Arc<str>>,
}

impl StreamTally {
    /// The next frames are of this stream. The first one that is named is the first stream.
    pub(super) fn named(&mut self, name: &str) {
        let first = self.first_name.get_or_insert_with(|| name.into());
        self.next = (**first != *name).then(|| name.into());
    }

    /// Returns the stream of the next frame, or `None` for the first one.
    pub(super) fn next(&self) -> Option<&Arc<str>> {
        self.next.as_ref()
    }

    /// Returns the stream of the last frame, or `None` for the first one.
    fn last(&self) -> Option<&Arc<str>> {
        self.last.as_ref()
    }

    /// Counts a frame of this stream, or with `None` of the first one.
    pub(super) fn frame(&mut self, stream: Option<&Arc<str>>) {
        self.of(stream).received += 1;
        (self.last, self.next) = (stream.cloned(), stream.cloned());
    }

    /// The last frame is damaged.
    pub(super) fn withdrawn(&mut self) {
        let stream = self.last.clone();
        self.of(stream.as_ref()).withdrawn += 1;
    }

    /// The next frame was received partly.
    pub(super) fn lost(&mut self) {
        let stream = self.next.clone();
        self.of(stream.as_ref()).lost += 1;
    }

    fn of(&mut self, stream: Option<&Arc<str>>) -> &mut Frames {
        let Some(name) = stream else { return &mut self.first };
        let known = self.others.iter().position(|(known, _)| known == name);
        let at = known.unwrap_or_else(|| {
            if self.others.len() <= FURTHER_STREAMS_MAX {
                let is_further = self.others.len() == FURTHER_STREAMS_MAX;
                let name = if is_further { FURTHER.into() } else { Arc::clone(name) };
                self.others.push((name, Frames::default()));
            }
            self.others.len() - 1
        });
        &mut self.others[at].1
    }

    /// Returns the frames of all streams.
    pub(super) fn received(&self) -> u64 {
        self.first.received + self.others.iter().map(|(_, frames)| frames.received).sum::<u64>()
    }

    /// Returns the frames by stream; empty if there is only one. `first`: name of the first one on this connection. It may have
    /// been cut before the camera sent it.
    pub(super) fn counts(&self, first: Option<&str>) -> Vec<StreamCounts> {
        if self.others.is_empty() {
            return Vec::new();
        }
        let of = |name: &str, Frames { received, withdrawn, lost }: Frames| StreamCounts {
            name: name.to_owned(),
            received,
            withdrawn,
            lost,
        };
        let others = self.others.iter().map(|(name, frames)| of(name, *frames));
        let first = first.or(self.first_name.as_deref()).unwrap_or(UNNAMED);
        std::iter::once(of(first, self.first)).chain(others).collect()
    }
}

impl Stats {
    /// Returns the frames by stream; empty if the camera sends only one.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamCounts> {
        self.streams.counts(self.introduction.stream.as_deref())
    }

    /// Returns the stream that the last counted event concerns, or `None` for the first one.
    #[must_use]
    pub fn stream_of(&self, event: &Event) -> Option<Arc<str>> {
        match event {
            Event::Frame(_) | Event::Withdrawn(..) => self.streams.last().cloned(),
            _ => self.streams.next().cloned(),
        }
    }

    /// Returns whether the camera names its streams. One with a single stream does not.
    #[must_use]
    pub fn names_streams(&self) -> bool {
        self.introduction.stream.is_some()
    }

    /// Returns the names of the streams of which frames arrived, without the first one: those that are counted one by one, at most
    /// [`FURTHER_STREAMS_MAX`]. New ones are appended.
    #[must_use]
    pub fn further_streams(&self) -> Vec<Arc<str>> {
        self.streams.others.iter().take(FURTHER_STREAMS_MAX).map(|(name, _)| Arc::clone(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_by_stream() {
        let mut tally = StreamTally::default();
        tally.frame(None);
        assert_eq!(tally.counts(Some("color")), [], "one stream");
        let depth = Arc::from("depth");
        tally.frame(Some(&depth));
        tally.frame(Some(&depth));
        let counts = tally.counts(Some("color"));
        let counts: Vec<_> = counts.iter().map(|of| (of.name.as_str(), of.received)).collect();
        assert_eq!((counts, tally.received()), (vec![("color", 1), ("depth", 2)], 3));
    }

    #[test]
    fn damage_counts_for_its_stream() {
        let (mut tally, depth) = (StreamTally::default(), Arc::from("depth"));
        tally.named("color");
        tally.frame(None);
        tally.named("depth");
        // Its header did not come: the frame before is damaged, and the next one was cut.
        tally.withdrawn();
        tally.lost();
        tally.frame(Some(&depth));
        tally.withdrawn();
        tally.named("color");
        tally.lost();
        tally.lost();
        let counts = tally.counts(Some("color"));
        let counts: Vec<_> = counts.iter().map(|of| (of.name.as_str(), of.received, of.withdrawn, of.lost)).collect();
        assert_eq!(counts, [("color", 1, 1, 2), ("depth", 1, 1, 1)]);
    }

    /// A connection can end before the camera describes itself.
    #[test]
    fn the_first_stream_keeps_its_name_on_later_connections() {
        let (mut tally, depth) = (StreamTally::default(), Arc::from("depth"));
        tally.frame(Some(&depth));
        assert_eq!(tally.counts(None)[0].name, "unnamed");
        tally.named("color");
        assert_eq!(tally.counts(None)[0].name, "color");
    }

    #[test]
    fn any_number_of_names_takes_bounded_memory_and_no_frame_is_forgotten() {
        let mut tally = StreamTally::default();
        for number in 0..1000 {
            tally.frame(Some(&number.to_string().into()));
        }
        let counts = tally.counts(None);
        assert_eq!((counts.len(), tally.received()), (2 + FURTHER_STREAMS_MAX, 1000));
        assert_eq!(
            counts.last().map(|of| (of.name.as_str(), of.received)),
            Some((FURTHER, 1000 - FURTHER_STREAMS_MAX as u64))
        );
    }
}
