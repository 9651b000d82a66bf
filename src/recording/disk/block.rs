//! Memory that direct I/O takes: aligned, on huge pages, and used again.

use std::io;

use memmap2::MmapMut;

/// A huge page of x86-64, and of ARM with pages of 4 KiB. Elsewhere it is still a fine alignment.
const HUGE: usize = 2 << 20;

/// Bytes that begin at a multiple of [`Block::ALIGN`].
///
/// On huge pages: a disk is given memory page by page, and a request names no more than some hundred places (254 with
/// virtio). Of small pages 1 MiB is two requests, of huge ones 4 MiB is one.
pub(super) struct Block {
    memory: MmapMut,
    from: usize,
}

impl Block {
    /// What direct I/O wants its addresses, offsets and lengths to be multiples of, on every disk that there is.
    pub(super) const ALIGN: usize = 4096;
    /// A chunk of 4 MiB and the frame that made it so large go in one write.
    pub(super) const SIZE: usize = 8 << 20;

    /// # Errors
    /// There is no memory.
    pub(super) fn new() -> io::Result<Self> {
        // Pages cost nothing until they are written: a small recording never touches most of them.
        let memory = MmapMut::map_anon(Self::SIZE + HUGE)?;
        #[cfg(target_os = "linux")]
        if let Err(error) = memory.advise(memmap2::Advice::HugePage) {
            // This kernel was built without: what is written is the same, in more requests.
            tracing::debug!("recording without huge pages: {error}");
        }
        let from = memory.as_ptr().align_offset(HUGE).min(HUGE);
        Ok(Self { memory, from })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.from..self.from + Self::SIZE]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.from..self.from + Self::SIZE]
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Block")
    }
}
