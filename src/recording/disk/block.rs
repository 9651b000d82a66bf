//! Memory that direct I/O takes: aligned, and used again.

/// Bytes that begin at a multiple of [`Block::ALIGN`].
pub(super) struct Block {
    memory: Vec<u8>,
    from: usize,
}

impl Block {
    /// What direct I/O wants its addresses, offsets and lengths to be multiples of, on every disk that there is.
    pub(super) const ALIGN: usize = 4096;
    /// A chunk of 4 MiB and the frame that made it so large go in one write.
    pub(super) const SIZE: usize = 8 << 20;

    pub(super) fn new() -> Self {
        // Zeroed pages cost nothing until they are written: a small recording never touches most of them.
        let memory = vec![0; Self::SIZE + Self::ALIGN];
        let from = memory.as_ptr().align_offset(Self::ALIGN).min(Self::ALIGN);
        Self { memory, from }
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
