//! Bytes that were read and not yet understood.

use super::header::LINE;

/// What a header is read into. The rest of such a read is payload that has to be copied, so it is small.
const HEAD: usize = 8 << 10;

/// A claim of megabytes gets memory in steps of this size.
pub(super) const STEP: usize = 4 << 20;

/// A queue of bytes that lends its free end, and takes back what was consumed too soon.
#[derive(Debug)]
pub(super) struct Unread {
    memory: Vec<u8>,
    start: usize,
    end: usize,
    at: u64,
}

impl Unread {
    pub(super) fn new() -> Self {
        const { assert!(HEAD > 4 * LINE) };
        Self { memory: vec![0; HEAD], start: 0, end: 0, at: 0 }
    }

    /// Where the first of them stands, in bytes since the connection was opened.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    pub(super) const fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// Room for at least one more byte, and for `need` of them if that is not very many.
    pub(super) fn space(&mut self, need: usize) -> &mut [u8] {
        let least = need.max(HEAD / 2);
        if self.memory.len() - self.end < least {
            if self.start > 0 {
                self.memory.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.memory.len() - self.end < least {
                let more = need.clamp(HEAD, STEP).max(self.end / 2);
                self.memory.resize(self.end + more, 0);
            }
        }
        &mut self.memory[self.end..]
    }

    /// `n` bytes were written to the front of [`Self::space`].
    pub(super) const fn fill(&mut self, n: usize) {
        self.end += n;
    }

    /// `n` bytes of the connection went elsewhere while this was empty.
    pub(super) const fn pass(&mut self, n: usize) {
        self.at += n as u64;
    }

    pub(super) fn consume(&mut self, n: usize) {
        self.start += n;
        self.at += n as u64;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.memory.len() > 8 * HEAD {
                self.memory = vec![0; HEAD];
            }
        }
    }

    /// Puts bytes in front of the others.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.at -= bytes.len() as u64;
        if let Some(start) = self.start.checked_sub(bytes.len()) {
            self.memory[start..self.start].copy_from_slice(bytes);
            self.start = start;
            return;
        }
        let mut memory = Vec::with_capacity(bytes.len() + self.len() + HEAD);
        memory.extend_from_slice(bytes);
        memory.extend_from_slice(self.bytes());
        self.start = 0;
        self.end = memory.len();
        memory.resize(memory.capacity(), 0);
        self.memory = memory;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(unread: &mut Unread, bytes: &[u8]) {
        unread.space(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        unread.fill(bytes.len());
    }

    #[test]
    fn what_is_put_back_comes_first_again() {
        let mut unread = Unread::new();
        push(&mut unread, b"abcdef");
        unread.consume(4);
        unread.put_back(b"cd");
        assert_eq!((unread.bytes(), unread.at()), (&b"cdef"[..], 2));
        unread.consume(4);
        unread.pass(100);
        unread.put_back(&[b'x'; 106]);
        push(&mut unread, b"end");
        assert_eq!((unread.len(), unread.at()), (109, 0));
        assert!(unread.bytes().ends_with(b"xend"));
    }

    #[test]
    fn memory_grows_in_steps_and_is_given_back() {
        let mut unread = Unread::new();
        assert!(unread.space(1 << 30).len() <= STEP);
        for _ in 0..300 {
            push(&mut unread, &[7; 4000]);
        }
        assert_eq!(unread.len(), 1_200_000);
        assert!(unread.memory.len() < STEP + 3_000_000);
        unread.consume(1_200_000);
        assert_eq!(unread.memory.len(), HEAD);
    }
}
