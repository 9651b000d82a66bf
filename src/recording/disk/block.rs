//! Buffers for direct I/O: aligned and on huge pages.

use std::io;

use memmap2::MmapMut;

/// Size of a huge page on x86-64, and on ARM with pages of 4 KiB. Other systems use it as an alignment only.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// A buffer of [`Block::SIZE_BYTES`] bytes, aligned for direct I/O.
///
/// It is on huge pages because a request to a disk lists its pages, and the list is limited to some hundred entries (254
/// with virtio). 1 MiB of small pages takes two requests, 4 MiB of huge pages takes one.
pub(super) struct Block {
    memory: MmapMut,
    from: usize,
}

impl Block {
    /// Alignment of addresses, offsets and lengths that direct I/O on any disk requires.
    pub(super) const ALIGN_BYTES: usize = 4096;
    /// Size of a block. A chunk of 4 MiB and its last frame fit into one.
    pub(super) const SIZE_BYTES: usize = 8 << 20;

    /// # Errors
    /// Out of memory.
    pub(super) fn new() -> io::Result<Self> {
        // Untouched pages cost nothing, and a small recording touches few of them.
        let memory = MmapMut::map_anon(Self::SIZE_BYTES + HUGE_PAGE_BYTES)?;
        #[cfg(target_os = "linux")]
        if let Err(error) = memory.advise(memmap2::Advice::HugePage) {
            // A kernel without huge pages needs more requests for the same data.
            tracing::debug!("recording without huge pages: {error}");
        }
        let from = memory.as_ptr().align_offset(HUGE_PAGE_BYTES).min(HUGE_PAGE_BYTES);
        Ok(Self { memory, from })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.from..self.from + Self::SIZE_BYTES]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.from..self.from + Self::SIZE_BYTES]
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Block")
    }
}
