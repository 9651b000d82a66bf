//! The camera's own numbers of its frames (`@F`, wire.md section 7): which of them never came, and on which side they
//! were lost. Where there are no numbers, the [`Grid`](super::Grid) estimates.

/// A longer step is another numbering: at a thousand frames a second this is a month.
const LONGEST_STEP: u64 = 1 << 32;

/// What became of the numbers. `numbers == came + damaged + not_sent + away + pending` at every moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct NumberCounts {
    /// Numbers from the first to the last of each connection, both included.
    pub numbers: u64,
    /// Frames of them that came whole, as far as their headers tell.
    pub came: u64,
    /// Came in part, or in a stretch of bytes that is damaged: lost behind the camera.
    pub damaged: u64,
    /// The camera left the number out: it never sent that frame.
    pub not_sent: u64,
    /// Passed while the camera held old frames and nobody read: before the second frame of a connection that is not old.
    pub away: u64,
    /// Told last, and not here yet.
    pub pending: u64,
}

/// Counts them.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    /// Without what [`Self::run`] still counts.
    counts: NumberCounts,
    run: Option<Run>,
}

/// Numbers that grow, on one connection.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    last: u64,
    /// The last one's frame is not here yet.
    open: bool,
    /// The last one's frame was new, and had a predecessor: a step from it is a loss.
    steady: bool,
    /// Bytes were skipped since the last one: the frames of a step may be among them.
    torn: bool,
    /// Frames since the last one that came without a number.
    unnumbered: u64,
    /// Frames since the last one that a recording says to have been lost before it was written.
    unrecorded: u64,
}

impl Numbers {
    /// The camera says the number of the frame that follows.
    pub(super) fn told(&mut self, number: u64) {
        let begins =
            Run { first: number, last: number, open: true, steady: false, torn: false, unnumbered: 0, unrecorded: 0 };
        let Some(run) = &mut self.run else {
            self.run = Some(begins);
            return;
        };
        if number <= run.last || number - run.last > LONGEST_STEP {
            // The camera was started again, or counts something else now.
            self.close(false);
            self.run = Some(begins);
            return;
        }
        let counts = &mut self.counts;
        let came = (number - run.last - 1).min(run.unnumbered);
        // One that was told and did not come, with nothing damaged in between, was not sent: its boxes may have been.
        let left = number - run.last - 1 - came + u64::from(run.open);
        let damaged = if run.torn { left } else { left.min(run.unrecorded) };
        let left = left - damaged;
        counts.came += came;
        counts.damaged += damaged;
        let side = if run.steady { &mut counts.not_sent } else { &mut counts.away };
        *side += left;
        *run = Run { first: run.first, steady: run.steady, ..begins };
    }

    /// A frame came, with the number that was told for it or without one.
    pub(super) fn frame(&mut self, number: Option<u64>, steady: bool) {
        if let Some(number) = number
            && !self.run.is_some_and(|run| run.open && run.last == number)
        {
            self.told(number);
        }
        let Some(run) = &mut self.run else { return };
        if std::mem::take(&mut run.open) {
            self.counts.came += 1;
        } else {
            run.unnumbered += 1;
        }
        run.steady = steady;
    }

    /// A frame came in part.
    pub(super) fn lost(&mut self) {
        let Some(run) = &mut self.run else { return };
        run.torn = true;
        self.counts.damaged += u64::from(std::mem::take(&mut run.open));
    }

    /// Bytes came that belong to no intact frame.
    pub(super) fn torn(&mut self) {
        if let Some(run) = &mut self.run {
            run.torn = true;
        }
    }

    /// So many frames are not in the recording that is played although they were sent.
    pub(super) fn unrecorded(&mut self, frames: u64) {
        if let Some(run) = &mut self.run {
            run.unrecorded = run.unrecorded.saturating_add(frames);
        }
    }

    /// What follows has nothing to do with what came. `by_us`: we leave, so a frame that was told and is not here is
    /// none that was lost.
    pub(super) fn close(&mut self, by_us: bool) {
        let Some(run) = self.run.take() else { return };
        let unfinished = u64::from(run.open && by_us);
        self.counts.damaged += u64::from(run.open) - unfinished;
        self.counts.numbers += run.last - run.first + 1 - unfinished;
    }

    /// The counts as they stand; `None` if no frame had a number.
    pub(super) fn counts(&self) -> Option<NumberCounts> {
        let open = self.run.map_or((0, 0), |run| (run.last - run.first + 1, u64::from(run.open)));
        let counts = NumberCounts { numbers: self.counts.numbers + open.0, pending: open.1, ..self.counts };
        (counts.numbers > 0).then_some(counts)
    }
}

impl NumberCounts {
    /// Whether every number is accounted for.
    #[must_use]
    pub const fn balance(&self) -> bool {
        self.numbers == self.came + self.damaged + self.not_sent + self.away + self.pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(numbers: &Numbers) -> [u64; 6] {
        let counts = numbers.counts().unwrap_or_default();
        assert!(counts.balance(), "{numbers:?}");
        let NumberCounts { numbers, came, damaged, not_sent, away, pending } = counts;
        [numbers, came, damaged, not_sent, away, pending]
    }

    fn come(numbers: &mut Numbers, these: impl IntoIterator<Item = u64>) {
        for number in these {
            numbers.told(number);
            numbers.frame(Some(number), true);
        }
    }

    #[test]
    fn what_the_camera_left_out_it_never_sent() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.counts(), None);
        come(&mut numbers, [7, 8, 9, 13, 14]);
        assert_eq!(counted(&numbers), [8, 5, 0, 3, 0, 0]);
        numbers.told(16);
        assert_eq!(counted(&numbers), [10, 5, 0, 4, 0, 1], "on its way");
        numbers.close(true);
        assert_eq!(counted(&numbers), [9, 5, 0, 4, 0, 0], "nobody waited for it");
    }

    #[test]
    fn what_is_damaged_was_sent() {
        let mut numbers = Numbers::default();
        come(&mut numbers, 0..3);
        // A frame in part; its number was told.
        numbers.told(3);
        numbers.lost();
        come(&mut numbers, [4]);
        assert_eq!(counted(&numbers), [5, 4, 1, 0, 0, 0]);
        // Its record is among the bytes that were skipped.
        numbers.torn();
        come(&mut numbers, [7]);
        assert_eq!(counted(&numbers), [8, 5, 3, 0, 0, 0]);
        // Only its record is.
        numbers.frame(None, true);
        come(&mut numbers, [9]);
        assert_eq!(counted(&numbers), [10, 7, 3, 0, 0, 0]);
        // Told, and the header is damaged.
        numbers.told(10);
        numbers.torn();
        come(&mut numbers, [11]);
        assert_eq!(counted(&numbers), [12, 8, 4, 0, 0, 0]);
        // The end of the connection inside of a frame.
        numbers.told(12);
        numbers.close(false);
        assert_eq!(counted(&numbers), [13, 8, 5, 0, 0, 0]);
    }

    #[test]
    fn boxes_without_their_pictures_are_pictures_that_were_not_sent() {
        let mut numbers = Numbers::default();
        come(&mut numbers, 0..3);
        (3..8).for_each(|number| numbers.told(number));
        come(&mut numbers, [8]);
        assert_eq!(counted(&numbers), [9, 4, 0, 5, 0, 0]);
    }

    #[test]
    fn what_the_camera_held_back_is_no_loss() {
        let mut numbers = Numbers::default();
        for number in 0..9 {
            numbers.told(number);
            numbers.frame(Some(number), false);
        }
        come(&mut numbers, [2000, 2001, 2003]);
        assert_eq!(counted(&numbers), [2004, 12, 0, 1, 1991, 0]);
    }

    #[test]
    fn a_camera_that_begins_again_has_lost_nothing() {
        let mut numbers = Numbers::default();
        for start in [500, 0, u64::MAX - 9, 3] {
            come(&mut numbers, start..start + 9);
        }
        come(&mut numbers, [12]);
        assert_eq!(counted(&numbers), [37, 37, 0, 0, 0, 0]);
    }

    #[test]
    fn what_a_recorder_lost_is_not_the_cameras_doing() {
        let mut numbers = Numbers::default();
        come(&mut numbers, 0..3);
        numbers.unrecorded(2);
        come(&mut numbers, [6, 7]);
        assert_eq!(counted(&numbers), [8, 5, 2, 1, 0, 0]);
    }
}
