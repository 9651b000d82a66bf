//! Counts missing frames by the camera's own frame numbers (`@F`, wire.md section 7), and on which side they were lost.
//!
//! For streams without numbers, [`GapEstimator`](super::gaps::GapEstimator) estimates instead.

/// A larger step starts a new numbering: at 1000 frames per second this is 50 days.
const SEQUENCE_STEP_MAX: u64 = 1 << 32;

/// Returns whether a number does not continue the numbering of the one before: the camera restarted, or numbers something else
/// now.
pub(crate) const fn is_restart(previous: u64, number: u64) -> bool {
    number <= previous || number - previous > SEQUENCE_STEP_MAX
}

/// Frame numbers by outcome. `numbers == came + damaged + not_sent + away + pending` at every moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default)]
pub struct SequenceCounts {
    /// Numbers from the first to the last of each connection, both included.
    pub numbers: u64,
    /// Frames received completely, as far as their headers show.
    pub came: u64,
    /// Frames sent by the camera but received partly, or lost in a damaged range of bytes.
    pub damaged: u64,
    /// Numbers that the camera skipped: frames that it never sent.
    pub not_sent: u64,
    /// Numbers skipped while the camera held old frames and no client was connected: before the second frame of a
    /// connection that did not wait in the camera.
    pub away: u64,
    /// The latest announced number, while its frame has not arrived.
    pub pending: u64,
    /// Times that a number was not greater than the one before on the connection, or greater by more than 2^32. Missing frames
    /// cannot be counted then.
    pub restarts: u64,
}

/// Assigns an outcome to every frame number.
#[derive(Clone, Debug, Default)]
pub(super) struct SequenceTracker {
    /// Excludes the numbers that [`Self::run`] still covers.
    counts: SequenceCounts,
    run: Option<Run>,
    /// Numbers in runs that frames of other streams have.
    beside: u64,
}

/// Increasing numbers on one connection.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    last: u64,
    /// The frame of the last number has not arrived.
    open: bool,
    /// The frame of the last number was not stale and had a predecessor, so that skipped numbers after it are losses.
    steady: bool,
    /// Bytes were skipped since the last number, so that frames of a step may be among them.
    torn: bool,
    /// Frames without a number since the last number.
    unnumbered: u64,
    /// Frames since the last number that, according to a recording, were lost before it was written.
    missing_in_recording: u64,
    /// Numbers since the last one that frames of other streams have, and the largest of these.
    beside: u64,
    beside_last: u64,
}

impl Run {
    /// A run that begins with the announcement of this number.
    const fn announced(number: u64) -> Self {
        Self {
            first: number,
            last: number,
            open: true,
            steady: false,
            torn: false,
            unnumbered: 0,
            missing_in_recording: 0,
            beside: 0,
            beside_last: 0,
        }
    }

    /// Returns the count of its numbers. A run after a frame that was counted before begins with the number after it.
    const fn numbers(&self) -> u64 {
        self.last.wrapping_sub(self.first).wrapping_add(1)
    }
}

impl SequenceTracker {
    /// The camera announced the number of the next frame. `follows`: unless the frame before shows otherwise, both were
    /// captured while we were connected.
    pub(super) fn announced(&mut self, number: u64, follows: bool) {
        let begins = Run::announced(number);
        let Some(run) = &mut self.run else {
            self.run = Some(begins);
            return;
        };
        if is_restart(run.last, number) {
            self.counts.restarts += 1;
            self.close(false);
            self.run = Some(begins);
            return;
        }
        let counts = &mut self.counts;
        let skipped = number - run.last - 1;
        let came = skipped.min(run.unnumbered);
        // An announced frame that did not follow although nothing was damaged was not sent; its boxes may have been.
        let beside = (skipped - came).min(run.beside);
        self.beside += beside;
        let left = skipped - came - beside + u64::from(run.open);
        let damaged = if run.torn { left } else { left.min(run.missing_in_recording) };
        let left = left - damaged;
        counts.came += came;
        counts.damaged += damaged;
        let side = if run.steady && follows { &mut counts.not_sent } else { &mut counts.away };
        *side += left;
        *run = Run { first: run.first, steady: run.steady, ..begins };
    }

    /// A frame arrived. `number` is the one announced for it, if any.
    pub(super) fn frame(&mut self, number: Option<u64>, steady: bool) {
        if let Some(number) = number
            && !self.awaits(number)
        {
            self.announced(number, steady);
        }
        let Some(run) = &mut self.run else { return };
        if std::mem::take(&mut run.open) {
            self.counts.came += 1;
        } else {
            run.unnumbered += 1;
        }
        run.steady = steady;
    }

    /// A frame arrived that was counted before. Only numbers that are missing between it and a frame that was not count.
    pub(super) fn repeated(&mut self, number: Option<u64>, steady: bool) {
        if let Some(number) = number
            && self.run.is_some_and(|run| run.numbers() > 0)
        {
            // The camera did not send these numbers again: the part is played again.
            let restarts = self.counts.restarts;
            self.announced(number, steady);
            self.counts.restarts = restarts;
            if let Some(run) = &mut self.run {
                (run.last, run.open) = (number.wrapping_sub(1), false);
            }
        }
        self.close(true);
        let begins = |number: u64| Run { first: number.wrapping_add(1), open: false, steady, ..Run::announced(number) };
        self.run = number.map(begins);
    }

    /// A frame of another stream that shares the counter has this number.
    pub(super) fn beside(&mut self, number: u64) {
        if let Some(run) = self.run.as_mut().filter(|run| number > run.last.max(run.beside_last)) {
            (run.beside, run.beside_last) = (run.beside + 1, number);
        }
    }

    /// Returns the last number of the counter in the current run.
    pub(super) fn last(&self) -> Option<u64> {
        self.run.map(|run| run.last.max(run.beside_last))
    }

    /// Returns whether this number was announced and its frame has not arrived.
    pub(super) fn awaits(&self, number: u64) -> bool {
        self.run.is_some_and(|run| run.open && run.last == number)
    }

    /// A frame arrived partly.
    pub(super) fn lost(&mut self) {
        let Some(run) = &mut self.run else { return };
        run.torn = true;
        self.counts.damaged += u64::from(std::mem::take(&mut run.open));
    }

    /// Bytes arrived that belong to no intact frame.
    pub(super) fn torn(&mut self) {
        if let Some(run) = &mut self.run {
            run.torn = true;
        }
    }

    /// A recording reports that this many frames were sent but not recorded, or a bus that they did not arrive.
    pub(super) fn missing_in_recording(&mut self, frames: u64) {
        if let Some(run) = &mut self.run {
            run.missing_in_recording = run.missing_in_recording.saturating_add(frames);
        }
    }

    /// Ends the run of numbers. `by_us`: we close the connection, so an announced frame that has not arrived is not
    /// lost.
    pub(super) fn close(&mut self, by_us: bool) {
        let Some(run) = self.run.take() else { return };
        let unfinished = u64::from(run.open && by_us);
        self.counts.damaged += u64::from(run.open) - unfinished;
        self.counts.numbers += run.numbers() - unfinished;
    }

    /// Returns the number of frames that the camera never sent.
    pub(super) const fn not_sent(&self) -> u64 {
        self.counts.not_sent
    }

    /// Returns the number of frames that the camera left out before we connected.
    pub(super) const fn away(&self) -> u64 {
        self.counts.away
    }

    /// Returns the counts so far; `None` if no frame had a number.
    pub(super) fn counts(&self) -> Option<SequenceCounts> {
        let open = self.run.map_or((0, 0), |run| (run.numbers(), u64::from(run.open)));
        let numbers = self.counts.numbers + open.0 - self.beside;
        let counts = SequenceCounts { numbers, pending: open.1, ..self.counts };
        (counts.numbers > 0).then_some(counts)
    }
}

impl SequenceCounts {
    /// Returns whether every number is accounted for.
    #[must_use]
    pub const fn balance(&self) -> bool {
        self.numbers == self.came + self.damaged + self.not_sent + self.away + self.pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(numbers: &SequenceTracker) -> [u64; 6] {
        let counts = numbers.counts().unwrap_or_default();
        assert!(counts.balance(), "{numbers:?}");
        let SequenceCounts { numbers, came, damaged, not_sent, away, pending, .. } = counts;
        [numbers, came, damaged, not_sent, away, pending]
    }

    fn receive(numbers: &mut SequenceTracker, these: impl IntoIterator<Item = u64>) {
        for number in these {
            numbers.announced(number, true);
            numbers.frame(Some(number), true);
        }
    }

    #[test]
    fn skipped_numbers_were_not_sent() {
        let mut numbers = SequenceTracker::default();
        assert_eq!(numbers.counts(), None);
        receive(&mut numbers, [7, 8, 9, 13, 14]);
        assert_eq!(counted(&numbers), [8, 5, 0, 3, 0, 0]);
        numbers.announced(16, true);
        assert_eq!(counted(&numbers), [10, 5, 0, 4, 0, 1], "announced, not yet received");
        numbers.close(true);
        assert_eq!(counted(&numbers), [9, 5, 0, 4, 0, 0], "we left before it arrived");
    }

    #[test]
    fn damaged_frames_were_sent() {
        let mut numbers = SequenceTracker::default();
        receive(&mut numbers, 0..3);
        // A frame received partly, after its number.
        numbers.announced(3, true);
        numbers.lost();
        receive(&mut numbers, [4]);
        assert_eq!(counted(&numbers), [5, 4, 1, 0, 0, 0]);
        // The number record is in a skipped range as well.
        numbers.torn();
        receive(&mut numbers, [7]);
        assert_eq!(counted(&numbers), [8, 5, 3, 0, 0, 0]);
        // Only the number record is in a skipped range.
        numbers.frame(None, true);
        receive(&mut numbers, [9]);
        assert_eq!(counted(&numbers), [10, 7, 3, 0, 0, 0]);
        // The number arrived, the header is damaged.
        numbers.announced(10, true);
        numbers.torn();
        receive(&mut numbers, [11]);
        assert_eq!(counted(&numbers), [12, 8, 4, 0, 0, 0]);
        // The connection ended inside a frame.
        numbers.announced(12, true);
        numbers.close(false);
        assert_eq!(counted(&numbers), [13, 8, 5, 0, 0, 0]);
    }

    #[test]
    fn numbers_of_boxes_without_pictures_count_as_not_sent() {
        let mut numbers = SequenceTracker::default();
        receive(&mut numbers, 0..3);
        (3..8).for_each(|number| numbers.announced(number, true));
        receive(&mut numbers, [8]);
        assert_eq!(counted(&numbers), [9, 4, 0, 5, 0, 0]);
    }

    #[test]
    fn frames_skipped_before_we_connected_are_not_lost() {
        let mut numbers = SequenceTracker::default();
        for number in 0..9 {
            numbers.announced(number, true);
            numbers.frame(Some(number), false);
        }
        receive(&mut numbers, [2000, 2001, 2003]);
        assert_eq!(counted(&numbers), [2004, 12, 0, 1, 1991, 0]);
    }

    #[test]
    fn restarted_numbering_is_not_a_loss() {
        let mut numbers = SequenceTracker::default();
        for start in [500, 0, u64::MAX - 9, 3] {
            receive(&mut numbers, start..start + 9);
        }
        receive(&mut numbers, [12]);
        assert_eq!(counted(&numbers), [37, 37, 0, 0, 0, 0]);
        assert_eq!(numbers.counts().map(|counts| counts.restarts), Some(3), "back, far ahead, and back");
    }

    #[test]
    fn a_jump_is_a_loss_or_a_restart() {
        let after_a_jump_of = |step: u64| {
            let mut numbers = SequenceTracker::default();
            receive(&mut numbers, [8, 9, 9 + step]);
            let counts = numbers.counts().unwrap_or_default();
            assert!(counts.balance(), "{counts:?}");
            (counts.not_sent, counts.restarts)
        };
        assert_eq!(after_a_jump_of(SEQUENCE_STEP_MAX), (u64::from(u32::MAX), 0));
        assert_eq!(after_a_jump_of(SEQUENCE_STEP_MAX + 1), (0, 1));
    }

    #[test]
    fn repeated_numbers_count_once() {
        let mut numbers = SequenceTracker::default();
        receive(&mut numbers, [0, 1, 4, 5]);
        numbers.close(true);
        // From the start again, and past the place of before.
        [0, 1, 4, 5].into_iter().for_each(|number| numbers.repeated(Some(number), true));
        assert_eq!(counted(&numbers), [6, 4, 0, 2, 0, 0]);
        receive(&mut numbers, [7, 8]);
        assert_eq!(counted(&numbers), [9, 6, 0, 3, 0, 0], "6 is missing after the last repeated frame");
        numbers.close(true);
        receive(&mut numbers, [20, 21]);
        numbers.close(true);
        // Up to the part that was played already, of which 19 is missing before it.
        receive(&mut numbers, [17, 18]);
        [20, 21].into_iter().for_each(|number| numbers.repeated(Some(number), true));
        assert_eq!(counted(&numbers), [14, 10, 0, 4, 0, 0]);
        [u64::MAX - 1, u64::MAX].into_iter().for_each(|number| numbers.repeated(Some(number), true));
        assert_eq!(counted(&numbers), [14, 10, 0, 4, 0, 0]);
    }

    #[test]
    fn frames_lost_by_the_recorder_count_as_sent() {
        let mut numbers = SequenceTracker::default();
        receive(&mut numbers, 0..3);
        numbers.missing_in_recording(2);
        receive(&mut numbers, [6, 7]);
        assert_eq!(counted(&numbers), [8, 5, 2, 1, 0, 0]);
    }
}
