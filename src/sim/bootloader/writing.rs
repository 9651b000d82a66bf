//! A write to a memory: checks, steps with progress, and verification.

use std::time::Duration;

use super::application;
use super::board::Board;
use super::fault::CameraFault;
use super::map::BOOTLOADER;
use crate::bootloader::{BootHeader, Memory};

/// Bytes between two progress reports, as in the transcripts.
const STEP_BYTES: usize = 1 << 20;
/// The bootloader erases the first block with the section table first and writes it last (bootloader.md 8).
const FIRST_BLOCK_BYTES: usize = 4096;
/// Bytes per read while verifying.
const VERIFY_BYTES: usize = 256 * 1024;

/// The object of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteTarget {
    /// A package, which is checked first.
    Application,
    /// A bootloader with its boot header.
    Bootloader,
    /// Bytes at any offset.
    Bytes,
}

#[derive(Debug)]
pub(super) struct Writing {
    target: WriteTarget,
    which: Memory,
    offset: u64,
    image: Vec<u8>,
    steps: usize,
    done: usize,
    /// Time at which the next step is complete.
    due: Duration,
    /// Fault: report success without writing.
    pretended: bool,
}

impl Writing {
    /// Checks the image and begins to write it.
    ///
    /// # Errors
    /// The camera's error text if it refuses the image or a memory fails.
    pub(super) fn begin(
        board: &mut Board,
        target: WriteTarget,
        which: Memory,
        offset: u64,
        image: Vec<u8>,
        now: Duration,
    ) -> Result<Self, String> {
        if target == WriteTarget::Application {
            application::accept(&image)?;
        }
        let pretended = board.occurs(&CameraFault::NotWritten);
        let steps = (image.len() / STEP_BYTES).max(1);
        let mut writing = Self { target, which, offset, image, steps, done: 0, due: now, pretended };
        if !pretended {
            match target {
                WriteTarget::Application => {
                    let blank = vec![0xFF; FIRST_BLOCK_BYTES.min(writing.image.len())];
                    let erased = board.write(which, offset, &blank);
                    erased.map_err(|_| "Couldn't erase first 4kiB of flash".to_owned())?;
                }
                // An interrupted write leaves a camera that boots from USB only (bootloader.md 8).
                WriteTarget::Bootloader => {
                    board.write_header(BootHeader::UsbRecovery).map_err(|error| error.to_string())?;
                }
                WriteTarget::Bytes => {}
            }
        }
        writing.due += writing.step_duration(board);
        Ok(writing)
    }

    /// Returns the progress, 0 to 1.
    pub(super) fn progress(&self) -> f32 {
        self.done as f32 / self.steps as f32
    }

    pub(super) fn is_through(&self) -> bool {
        self.done == self.steps
    }

    /// Returns the time of the next step.
    pub(super) fn due(&self) -> Duration {
        self.due
    }

    fn span(&self, step: usize) -> std::ops::Range<usize> {
        let at = |step: usize| if step == self.steps { self.image.len() } else { step * STEP_BYTES };
        at(step)..at(step + 1)
    }

    fn step_duration(&self, board: &Board) -> Duration {
        let Some(rate) = board.config.write_rate else { return Duration::ZERO };
        let len = if self.is_through() { 0 } else { self.span(self.done).len() };
        Duration::from_secs_f64(len as f64 / rate as f64)
    }

    /// Writes the next step.
    ///
    /// # Errors
    /// The camera's error text if the memory fails.
    pub(super) fn step(&mut self, board: &mut Board) -> Result<(), String> {
        let mut span = self.span(self.done);
        if self.target == WriteTarget::Application && self.done == 0 {
            span.start = FIRST_BLOCK_BYTES.min(span.end);
        }
        if !self.pretended {
            board.write(self.which, self.offset + span.start as u64, &self.image[span])?;
        }
        self.done += 1;
        self.due += self.step_duration(board);
        Ok(())
    }

    /// Completes the write after the last step: writes the first block of an application and verifies the memory.
    ///
    /// # Errors
    /// The camera's error text if the memory fails or has other content.
    pub(super) fn finish(&self, board: &mut Board) -> Result<(), String> {
        if self.pretended {
            return Ok(());
        }
        if self.target == WriteTarget::Application {
            let first = FIRST_BLOCK_BYTES.min(self.image.len());
            let written = board.write(self.which, self.offset, &self.image[..first]);
            written.map_err(|_| "Couldn't flash SBR to memory".to_owned())?;
        }
        if let Some(at) = self.difference(board) {
            return Err(format!("Failure verifying memory at:{at}"));
        }
        if self.target == WriteTarget::Bootloader {
            board.write_header(BootHeader::Normal).map_err(|error| error.to_string())?;
            board.replaced_factory();
        }
        let len = self.image.len() as u64;
        let corrupt =
            |fault: &CameraFault| if let CameraFault::Corrupt(at) = fault { (*at < len).then_some(*at) } else { None };
        if let Some(at) = board.faults.trigger(corrupt) {
            let wrong = self.image[at as usize] ^ 0x10;
            board.write(self.which, self.offset + at, &[wrong])?;
        }
        Ok(())
    }

    /// Returns the offset of the first wrong byte. Does not detect a write that wrapped around at the end of an old
    /// camera's flash, because the camera reads it back through the same wrapped addresses.
    fn difference(&self, board: &mut Board) -> Option<u64> {
        let memory = board.memory(self.which)?;
        let mut piece = vec![0; VERIFY_BYTES];
        let available = usize::try_from(memory.size().saturating_sub(self.offset)).unwrap_or(usize::MAX);
        for (n, expected) in self.image[..self.image.len().min(available)].chunks(VERIFY_BYTES).enumerate() {
            let at = self.offset + (n * VERIFY_BYTES) as u64;
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

/// Memory and offset of the bootloader.
pub(super) const BOOTLOADER_PLACE: (Memory, u64) = (Memory::Flash, BOOTLOADER);
