//! The buffer of received bytes that are not parsed yet.

use super::text::LINE;

/// Initial capacity in bytes. Small, because payload bytes that are read together with a header have to be copied.
const INITIAL_LEN: usize = 8 << 10;

/// Bytes of memory reserved at once for a length that only a header announces.
pub(super) const GROWTH_STEP: usize = 4 << 20;

/// A byte queue that lends its free space for reads, and to which consumed bytes can be returned.
#[derive(Debug)]
pub(super) struct InputBuffer {
    memory: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
}

impl InputBuffer {
    pub(super) fn new() -> Self {
        const { assert!(INITIAL_LEN > 4 * LINE) };
        Self { memory: vec![0; INITIAL_LEN], start: 0, end: 0, offset: 0 }
    }

    /// Position of the first byte, in bytes since the connection was opened.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Position after the last byte, in bytes since the connection was opened.
    pub(super) const fn end_offset(&self) -> u64 {
        self.offset + self.len() as u64
    }

    pub(super) const fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// Returns free space: at least one byte, and `need` bytes up to [`GROWTH_STEP`].
    pub(super) fn space(&mut self, need: usize) -> &mut [u8] {
        let least = need.max(INITIAL_LEN / 2);
        if self.memory.len() - self.end < least {
            if self.start > 0 {
                self.memory.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.memory.len() - self.end < least {
                let more = need.clamp(INITIAL_LEN, GROWTH_STEP).max(self.end / 2);
                self.memory.resize(self.end + more, 0);
            }
        }
        &mut self.memory[self.end..]
    }

    /// Appends the first `n` bytes of [`Self::space`].
    pub(super) const fn commit(&mut self, n: usize) {
        self.end += n;
    }

    /// Counts `n` bytes that were read past this buffer while it was empty.
    pub(super) const fn bypass(&mut self, n: usize) {
        self.offset += n as u64;
    }

    pub(super) fn consume(&mut self, n: usize) {
        self.start += n;
        self.offset += n as u64;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.memory.len() > 8 * INITIAL_LEN {
                self.memory = vec![0; INITIAL_LEN];
            }
        }
    }

    /// Returns consumed bytes, `first` and then `second`, to the front. Returns the number of bytes copied.
    pub(super) fn put_back(&mut self, first: &[u8], second: &[u8]) -> usize {
        let len = first.len() + second.len();
        self.offset -= len as u64;
        if let Some(start) = self.start.checked_sub(len) {
            self.memory[start..start + first.len()].copy_from_slice(first);
            self.memory[start + first.len()..self.start].copy_from_slice(second);
            self.start = start;
            return len;
        }
        let mut memory = Vec::with_capacity(len + self.len() + INITIAL_LEN);
        for bytes in [first, second, self.bytes()] {
            memory.extend_from_slice(bytes);
        }
        self.start = 0;
        self.end = memory.len();
        memory.resize(memory.capacity(), 0);
        self.memory = memory;
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(input: &mut InputBuffer, bytes: &[u8]) {
        input.space(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        input.commit(bytes.len());
    }

    #[test]
    fn returned_bytes_are_read_first() {
        let mut input = InputBuffer::new();
        push(&mut input, b"abcdef");
        input.consume(4);
        assert_eq!(input.put_back(b"c", b"d"), 2);
        assert_eq!((input.bytes(), input.offset()), (&b"cdef"[..], 2));
        input.consume(4);
        input.bypass(100);
        assert_eq!(input.put_back(&[b'x'; 6], &[b'x'; 100]), 106);
        push(&mut input, b"end");
        assert_eq!((input.len(), input.offset()), (109, 0));
        assert!(input.bytes().ends_with(b"xend"));
    }

    #[test]
    fn memory_grows_in_steps_and_shrinks() {
        let mut input = InputBuffer::new();
        assert!(input.space(1 << 30).len() <= GROWTH_STEP);
        for _ in 0..300 {
            push(&mut input, &[7; 4000]);
        }
        assert_eq!(input.len(), 1_200_000);
        assert!(input.memory.len() < GROWTH_STEP + 3_000_000);
        input.consume(1_200_000);
        assert_eq!(input.memory.len(), INITIAL_LEN);
    }
}
