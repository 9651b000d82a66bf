//! Frame numbers (`@F`) of a camera that sends several streams: each stream counts on its own, or all share one counter.

use std::sync::Arc;

use super::Stats;
use super::sequence::{SequenceCounts, SequenceTracker};

/// Streams beside the first one whose numbers are counted. A peer may send any number of names.
const NUMBERED_MAX: usize = 16;

/// The first number of a further stream that is greater than the last one of the first stream by at most this comes from the
/// same counter.
const SHARED_STEP_MAX: u64 = 16;

/// Relation between the numbers of the first stream and those of further ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Numbering {
    /// No further stream has sent a number.
    #[default]
    Undecided,
    /// All streams use one counter.
    Shared,
    /// Each stream has a counter.
    Own,
}

/// The numbers of all streams of a camera.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamNumbers {
    /// Of the first stream, or of all if they share a counter.
    first: SequenceTracker,
    /// Of further streams with counters of their own.
    further: Vec<(Arc<str>, SequenceTracker)>,
    numbering: Numbering,
}

impl StreamNumbers {
    /// The camera announced the number of the next frame of a stream, or with `None` of the first one. See
    /// [`SequenceTracker::announced`].
    pub(super) fn announced(&mut self, stream: Option<&Arc<str>>, number: u64, follows: bool) {
        self.decide(stream.is_some(), number);
        if let Some(numbers) = self.of(stream) {
            numbers.announced(number, follows);
        }
    }

    /// A frame of a stream arrived. See [`SequenceTracker::frame`].
    pub(super) fn frame(&mut self, stream: Option<&Arc<str>>, number: Option<u64>, steady: bool) {
        if let Some(number) = number
            && !self.of(stream).is_some_and(|numbers| numbers.awaits(number))
        {
            self.decide(stream.is_some(), number);
        }
        // Streams without numbers are not part of a shared counter.
        let is_counted = number.is_some() || stream.is_none() || self.numbering == Numbering::Own;
        if let Some(numbers) = self.of(stream).filter(|_| is_counted) {
            numbers.frame(number, steady);
        }
    }

    /// A frame arrived that was counted before. See [`SequenceTracker::repeated`].
    pub(super) fn repeated(&mut self, stream: Option<&Arc<str>>, number: Option<u64>, steady: bool) {
        let is_counted = number.is_some() || stream.is_none();
        if let Some(numbers) = self.of(stream).filter(|_| is_counted) {
            numbers.repeated(number, steady);
        }
    }

    /// A frame of another stream that is not counted here has this number. If the streams share a counter, the number is not
    /// one that the first stream left out.
    pub(super) fn beside(&mut self, number: u64) {
        if self.first.last().is_none() {
            return;
        }
        self.decide(true, number);
        if self.numbering == Numbering::Shared {
            self.first.beside(number);
        }
    }

    /// A frame of a stream arrived partly.
    pub(super) fn lost(&mut self, stream: Option<&Arc<str>>) {
        if let Some(numbers) = self.of(stream) {
            numbers.lost();
        }
    }

    /// Bytes arrived that belong to no intact frame.
    pub(super) fn torn(&mut self) {
        self.each().for_each(SequenceTracker::torn);
    }

    /// A recording reports that this many frames were sent but not recorded.
    pub(super) fn missing_in_recording(&mut self, frames: u64) {
        self.each().for_each(|numbers| numbers.missing_in_recording(frames));
    }

    /// Ends the runs of numbers. See [`SequenceTracker::close`].
    pub(super) fn close(&mut self, by_us: bool) {
        self.each().for_each(|numbers| numbers.close(by_us));
    }

    /// Returns the number of frames that the camera never sent.
    pub(super) fn not_sent(&self) -> u64 {
        self.all().map(SequenceTracker::not_sent).sum()
    }

    /// Returns the number of frames that the camera left out before we connected.
    pub(super) fn away(&self) -> u64 {
        self.all().map(SequenceTracker::away).sum()
    }

    /// Returns the counts of all streams so far; `None` if no frame had a number.
    pub(super) fn counts(&self) -> Option<SequenceCounts> {
        self.all().filter_map(SequenceTracker::counts).reduce(|sum, counts| SequenceCounts {
            numbers: sum.numbers + counts.numbers,
            came: sum.came + counts.came,
            damaged: sum.damaged + counts.damaged,
            not_sent: sum.not_sent + counts.not_sent,
            away: sum.away + counts.away,
            pending: sum.pending + counts.pending,
            restarts: sum.restarts + counts.restarts,
        })
    }

    /// Decides with a new number, which may be that of a further stream, whether the streams share a counter.
    fn decide(&mut self, is_further: bool, number: u64) {
        let last = self.first.last();
        match self.numbering {
            Numbering::Undecided if is_further => {
                let step = last.and_then(|last| number.checked_sub(last));
                let is_shared = step.is_some_and(|step| (1..=SHARED_STEP_MAX).contains(&step));
                self.numbering = if is_shared { Numbering::Shared } else { Numbering::Own };
            }
            // The counter of another stream was near by chance.
            Numbering::Shared if last.is_some_and(|last| number <= last) => {
                self.numbering = Numbering::Own;
                self.first.close(false);
            }
            Numbering::Undecided | Numbering::Shared | Numbering::Own => {}
        }
    }

    /// Returns the tracker of a stream; `None` of streams that are not counted.
    fn of(&mut self, stream: Option<&Arc<str>>) -> Option<&mut SequenceTracker> {
        let Some(name) = stream else { return Some(&mut self.first) };
        match self.numbering {
            Numbering::Undecided => None,
            Numbering::Shared => Some(&mut self.first),
            Numbering::Own => {
                let known = self.further.iter().position(|(known, _)| known == name);
                let at = known.unwrap_or(self.further.len());
                if at == self.further.len() && at < NUMBERED_MAX {
                    self.further.push((Arc::clone(name), SequenceTracker::default()));
                }
                self.further.get_mut(at).map(|(_, numbers)| numbers)
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &SequenceTracker> {
        std::iter::once(&self.first).chain(self.further.iter().map(|(_, numbers)| numbers))
    }

    fn each(&mut self) -> impl Iterator<Item = &mut SequenceTracker> {
        std::iter::once(&mut self.first).chain(self.further.iter_mut().map(|(_, numbers)| numbers))
    }
}

impl Stats {
    /// Another stream of the connection, which a recording plays as a camera of its own, has a frame with this number. Both may
    /// share a counter: then the number is not missing here.
    pub fn numbered_beside(&mut self, number: u64) {
        self.sequence.beside(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts frames of color (`c`) and depth (`d`) with these numbers.
    fn counted(frames: impl IntoIterator<Item = (char, u64)>) -> SequenceCounts {
        let (mut numbers, depth) = (StreamNumbers::default(), Arc::from("depth"));
        for (stream, number) in frames {
            let stream = (stream == 'd').then_some(&depth);
            numbers.announced(stream, number, true);
            numbers.frame(stream, Some(number), true);
        }
        let counts = numbers.counts().expect("numbers");
        assert!(counts.balance(), "{counts:?}");
        counts
    }

    fn expected(numbers: u64, came: u64, not_sent: u64) -> SequenceCounts {
        SequenceCounts { numbers, came, not_sent, ..SequenceCounts::default() }
    }

    #[test]
    fn streams_that_count_on_their_own_have_no_losses() {
        assert_eq!(counted((0..9).flat_map(|number| [('c', number), ('d', number)])), expected(18, 18, 0));
        assert_eq!(counted((0..9).flat_map(|number| [('c', number + 50), ('d', number)])), expected(18, 18, 0));
        // The first number of depth is near by chance.
        assert_eq!(counted((0..9).flat_map(|number| [('c', number), ('d', number + 3)])).not_sent, 2);
        let missing = (0..9).flat_map(|number| [('c', number), ('d', number)]).filter(|of| *of != ('d', 5));
        assert_eq!(counted(missing), expected(18, 17, 1), "a frame of depth is missing");
    }

    #[test]
    fn streams_that_share_a_counter_have_no_losses() {
        let shared = || (0..9).flat_map(|number| [('c', 2 * number), ('d', 2 * number + 1)]);
        assert_eq!(counted(shared()), expected(18, 18, 0));
        assert_eq!(counted(shared().filter(|of| *of != ('d', 7))), expected(18, 17, 1));
    }

    /// Counts the frames of color (`c`), which a recording plays alone beside those of depth (`d`).
    fn counted_alone(frames: impl IntoIterator<Item = (char, u64)>) -> SequenceCounts {
        let mut numbers = StreamNumbers::default();
        for (stream, number) in frames {
            if stream == 'd' {
                numbers.beside(number);
            } else {
                numbers.announced(None, number, true);
                numbers.frame(None, Some(number), true);
            }
        }
        let counts = numbers.counts().expect("numbers");
        assert!(counts.balance(), "{counts:?}");
        counts
    }

    #[test]
    fn a_stream_that_is_played_alone_misses_no_numbers_of_the_others() {
        let shared = || (0..9).flat_map(|number| [('c', 2 * number), ('d', 2 * number + 1)]);
        assert_eq!(counted_alone(shared()), expected(9, 9, 0));
        assert_eq!(counted_alone(shared().filter(|of| *of != ('c', 8))), expected(9, 8, 1));
        let depth_first = (0..9).flat_map(|number| [('d', 2 * number), ('c', 2 * number + 1)]);
        assert_eq!(counted_alone(depth_first), expected(9, 9, 0));
    }

    #[test]
    fn numbers_beside_a_stream_that_counts_on_its_own_do_not_hide_a_loss() {
        for is_first in [true, false] {
            let both =
                (0..9).flat_map(
                    |number| {
                        if is_first { [('c', number), ('d', number)] } else { [('d', number), ('c', number)] }
                    },
                );
            assert_eq!(counted_alone(both.filter(|of| *of != ('c', 5))), expected(9, 8, 1), "{is_first}");
        }
        let far = (0..9).flat_map(|number| [('c', number + 50), ('d', number)]);
        assert_eq!(counted_alone(far.filter(|of| *of != ('c', 55))), expected(9, 8, 1));
    }

    #[test]
    fn numbers_that_repeat_or_fall_are_counted() {
        let restarts = |numbers: &[u64]| counted(numbers.iter().map(|number| ('c', *number))).restarts;
        assert_eq!(restarts(&[1, 2, 3]), 0);
        assert_eq!(restarts(&[5, 5, 5]), 2);
        assert_eq!(restarts(&[9, 8, 7, 10]), 2);
    }

    #[test]
    fn any_number_of_streams_takes_bounded_memory() {
        let mut numbers = StreamNumbers::default();
        for number in 0..1000_u64 {
            numbers.announced(Some(&number.to_string().into()), number, true);
        }
        assert_eq!(numbers.further.len(), NUMBERED_MAX);
    }
}
