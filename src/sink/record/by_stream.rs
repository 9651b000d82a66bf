//! Missing frames by stream of a camera, so that each gap is marked for the stream that it belongs to.

use std::sync::{Arc, Mutex};

use crate::sync::locked;

/// Streams that are counted one by one. A peer may send any number of names; frames of further ones count for the first stream.
const STREAMS_MAX: usize = 64;

/// Frames by stream. The first stream of a camera has no name here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ByStream(Vec<(Option<Arc<str>>, u64)>);

impl ByStream {
    pub(super) fn add(&mut self, stream: Option<&Arc<str>>, frames: u64) {
        if frames == 0 {
            return;
        }
        let at = |wanted: Option<&Arc<str>>| self.0.iter().position(|(known, _)| known.as_ref() == wanted);
        let stream = stream.filter(|stream| self.0.len() < STREAMS_MAX || at(Some(stream)).is_some());
        match at(stream) {
            Some(at) => self.0[at].1 += frames,
            None => self.0.push((stream.cloned(), frames)),
        }
    }

    pub(super) fn append(&mut self, other: &Self) {
        other.0.iter().for_each(|(stream, frames)| self.add(stream.as_ref(), *frames));
    }

    /// Returns the frames that are not in `before`, an earlier state of these counts.
    pub(super) fn since(&self, before: &Self) -> Self {
        let known = |stream| before.0.iter().find(|(known, _)| known == stream).map_or(0, |(_, frames)| *frames);
        let new = self.0.iter().map(|(stream, frames)| (stream.clone(), frames.saturating_sub(known(stream))));
        Self(new.filter(|(_, frames)| *frames > 0).collect())
    }

    /// Returns the streams with their frames.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Option<&Arc<str>>, u64)> {
        self.0.iter().map(|(stream, frames)| (stream.as_ref(), *frames))
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|(_, frames)| frames).sum()
    }
}

/// Frames of one camera that its lane dropped, by stream. The lane drops the frame that is offered, and counts all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct DroppedFrames(Arc<Mutex<Offered>>);

#[derive(Debug, Default)]
struct Offered {
    dropped: Arc<ByStream>,
    /// Stream of the last frame that was offered.
    last: Option<Arc<str>>,
}

impl DroppedFrames {
    /// Returns the frames that were dropped before one of this stream, which is offered next. `total`: their number.
    pub(super) fn before(&self, stream: Option<&Arc<str>>, total: u64) -> Arc<ByStream> {
        let dropped = self.all(total);
        locked(&self.0).last = stream.cloned();
        dropped
    }

    /// Returns the frames that were dropped until now. `total`: their number.
    pub(super) fn all(&self, total: u64) -> Arc<ByStream> {
        let Offered { dropped, last } = &mut *locked(&self.0);
        let new = total.saturating_sub(dropped.total());
        if new > 0 {
            Arc::make_mut(dropped).add(last.as_ref(), new);
        }
        Arc::clone(dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_stream(counts: &[(Option<&str>, u64)]) -> ByStream {
        ByStream(counts.iter().map(|(stream, frames)| (stream.map(Arc::from), *frames)).collect())
    }

    #[test]
    fn a_dropped_frame_counts_for_its_stream() {
        let (drops, depth) = (DroppedFrames::default(), Arc::from("depth"));
        let mut total = 0;
        // Of color, depth, color, depth the second, the third and the last frame are dropped.
        for (stream, is_dropped) in [(None, false), (Some(&depth), true), (None, true), (Some(&depth), true)] {
            drops.before(stream, total);
            total += u64::from(is_dropped);
        }
        let before = drops.before(None, total);
        assert_eq!(*before, by_stream(&[(Some("depth"), 2), (None, 1)]));
        assert_eq!(*drops.all(total + 1), by_stream(&[(Some("depth"), 2), (None, 2)]), "the one that was offered last");
        assert_eq!(drops.all(total + 1).since(&before), by_stream(&[(None, 1)]));
    }

    #[test]
    fn any_number_of_names_takes_bounded_memory() {
        let mut counts = ByStream::default();
        (0..1000).for_each(|number| counts.add(Some(&number.to_string().into()), 1));
        assert!(counts.0.len() <= STREAMS_MAX + 1 && counts.total() == 1000, "{}", counts.0.len());
    }
}
