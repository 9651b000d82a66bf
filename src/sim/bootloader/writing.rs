//! A write that was asked for, from its data to its proof.

use std::time::Duration;

use super::application;
use super::board::Board;
use super::fault::Fault;
use super::map::BOOTLOADER;
use crate::bootloader::{BootHeader, Memory as Which};

/// The camera takes so much between two reports (in the transcripts: a MiB).
const STEP: usize = 1 << 20;
/// An application's table goes with the first erased block, and comes last (bootloader.md 8).
const FIRST_BLOCK: usize = 4096;
/// Bytes that are compared at once.
const PIECE: usize = 256 * 1024;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A package; it is looked at first.
    Application,
    /// A bootloader, with the header that goes with it.
    Bootloader,
    /// Bytes, wherever the host wants them.
    Bytes,
}

#[derive(Debug)]
pub(super) struct Writing {
    what: What,
    which: Which,
    offset: u64,
    image: Vec<u8>,
    steps: usize,
    done: usize,
    /// When the step that is next has taken its time.
    due: Duration,
    /// A fault: nothing is written.
    pretended: bool,
}

impl Writing {
    /// Begins.
    ///
    /// # Errors
    /// What the camera says of an image that it does not take.
    pub(super) fn begin(
        board: &mut Board,
        what: What,
        which: Which,
        offset: u64,
        image: Vec<u8>,
        now: Duration,
    ) -> Result<Self, String> {
        if what == What::Application {
            application::accept(&image)?;
        }
        let pretended = board.strikes(&Fault::NotWritten);
        let steps = (image.len() / STEP).max(1);
        let mut writing = Self { what, which, offset, image, steps, done: 0, due: now, pretended };
        if !pretended {
            match what {
                What::Application => {
                    let blank = vec![0xFF; FIRST_BLOCK.min(writing.image.len())];
                    let erased = board.write(which, offset, &blank);
                    erased.map_err(|_| "Couldn't erase first 4kiB of flash".to_owned())?;
                }
                // Whoever interrupts this needs a USB cable (bootloader.md 8).
                What::Bootloader => {
                    board.write_header(BootHeader::UsbRecovery).map_err(|error| error.to_string())?;
                }
                What::Bytes => {}
            }
        }
        writing.due += writing.takes(board);
        Ok(writing)
    }

    /// 0 to 1.
    pub(super) fn progress(&self) -> f32 {
        self.done as f32 / self.steps as f32
    }

    pub(super) fn is_through(&self) -> bool {
        self.done == self.steps
    }

    /// When the next step can be made.
    pub(super) fn due(&self) -> Duration {
        self.due
    }

    fn span(&self, step: usize) -> std::ops::Range<usize> {
        let at = |step: usize| if step == self.steps { self.image.len() } else { step * STEP };
        at(step)..at(step + 1)
    }

    fn takes(&self, board: &Board) -> Duration {
        let Some(rate) = board.config.write_rate else { return Duration::ZERO };
        let len = if self.is_through() { 0 } else { self.span(self.done).len() };
        Duration::from_secs_f64(len as f64 / rate as f64)
    }

    /// Writes the next part.
    ///
    /// # Errors
    /// What the camera says of a memory that fails.
    pub(super) fn step(&mut self, board: &mut Board) -> Result<(), String> {
        let mut span = self.span(self.done);
        if self.what == What::Application && self.done == 0 {
            span.start = FIRST_BLOCK.min(span.end);
        }
        if !self.pretended {
            board.write(self.which, self.offset + span.start as u64, &self.image[span])?;
        }
        self.done += 1;
        self.due += self.takes(board);
        Ok(())
    }

    /// After the last step: what is to come last, and the proof.
    ///
    /// # Errors
    /// What the camera says when the memory has something else in it.
    pub(super) fn finish(&self, board: &mut Board) -> Result<(), String> {
        if self.pretended {
            return Ok(());
        }
        if self.what == What::Application {
            let first = FIRST_BLOCK.min(self.image.len());
            let written = board.write(self.which, self.offset, &self.image[..first]);
            written.map_err(|_| "Couldn't flash SBR to memory".to_owned())?;
        }
        if let Some(at) = self.difference(board) {
            return Err(format!("Failure verifying memory at:{at}"));
        }
        if self.what == What::Bootloader {
            board.write_header(BootHeader::Normal).map_err(|error| error.to_string())?;
            board.replaced_factory();
        }
        let len = self.image.len() as u64;
        let corrupt = |fault: &Fault| if let Fault::Corrupt(at) = fault { (*at < len).then_some(*at) } else { None };
        if let Some(at) = board.faults.strike(corrupt) {
            let wrong = self.image[at as usize] ^ 0x10;
            board.write(self.which, self.offset + at, &[wrong])?;
        }
        Ok(())
    }

    /// The first byte that is not as it should be. A write that went around the end of an old camera's flash is not
    /// noticed: it reads what it wrote through the same addresses.
    fn difference(&self, board: &mut Board) -> Option<u64> {
        let memory = board.memory(self.which)?;
        let mut piece = vec![0; PIECE];
        let there = usize::try_from(memory.size().saturating_sub(self.offset)).unwrap_or(usize::MAX);
        for (n, expected) in self.image[..self.image.len().min(there)].chunks(PIECE).enumerate() {
            let at = self.offset + (n * PIECE) as u64;
            let found = &mut piece[..expected.len()];
            let read = memory.read_into(at, found).is_ok();
            if !read || found != expected {
                let same = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
                return Some(at + same as u64);
            }
        }
        None
    }
}

/// Where a bootloader is written to.
pub(super) const BOOTLOADER_PLACE: (Which, u64) = (Which::Flash, BOOTLOADER);
