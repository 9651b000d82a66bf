//! A file reader that keeps the last block that it read in memory.

use std::io::{self, Read, Seek, SeekFrom};

/// Smallest read, in bytes: record heads are small and close together.
pub(super) const READ_BYTES_MIN: usize = 1 << 16;
/// Largest read beyond what was asked for, in bytes.
const READ_AHEAD_BYTES_MAX: usize = 2 << 20;
/// A buffer that is larger than this, in bytes, is freed at the next smaller read.
pub(super) const KEPT_BYTES_MAX: usize = 64 << 20;

/// The buffered part of a file; see the [module](self).
#[derive(Debug)]
pub(super) struct ByteWindow<R> {
    from: R,
    /// Length of the file in bytes.
    len: u64,
    /// The bytes of the file from `at` on. Only the first `filled` bytes are valid, the rest is left from earlier reads.
    memory: Vec<u8>,
    at: u64,
    filled: usize,
}

impl<R: Read + Seek> ByteWindow<R> {
    pub(super) fn new(mut from: R) -> io::Result<Self> {
        let len = from.seek(SeekFrom::End(0))?;
        Ok(Self { from, len, memory: Vec::new(), at: 0, filled: 0 })
    }

    /// Length of the file in bytes.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Returns `n` bytes of the file from `at` on, or fewer if the file ends before.
    pub(super) fn bytes(&mut self, at: u64, n: usize) -> io::Result<&[u8]> {
        let most = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let n = n.min(most);
        if self.held(at, n).len() < n {
            // Reads ahead, so that overlapping parts of growing length are not read again and again.
            let ahead = (2 * n).clamp(READ_BYTES_MIN, READ_AHEAD_BYTES_MAX);
            self.fill(at, n.max(ahead).min(most))?;
        }
        Ok(self.held(at, n))
    }

    /// Like [`Self::bytes`], but returns only what is already in memory.
    pub(super) fn held(&self, at: u64, n: usize) -> &[u8] {
        let offset = at.checked_sub(self.at).and_then(|offset| usize::try_from(offset).ok());
        let start = offset.map_or(self.filled, |offset| offset.min(self.filled));
        &self.memory[start..start.saturating_add(n).min(self.filled)]
    }

    /// CRC-32 of a part of the file, which is not kept in memory as a whole.
    pub(super) fn crc32(&mut self, from: u64, end: u64) -> io::Result<u32> {
        let mut crc = crc32fast::Hasher::new();
        let mut at = from;
        while at < end {
            let n = (READ_BYTES_MIN as u64).min(end - at) as usize;
            let part = self.bytes(at, n)?;
            if part.is_empty() {
                break;
            }
            crc.update(part);
            at += part.len() as u64;
        }
        Ok(crc.finalize())
    }

    /// Seeks to `at` and lends the underlying file.
    pub(super) fn file_at(&mut self, at: u64) -> io::Result<&mut R> {
        self.from.seek(SeekFrom::Start(at))?;
        Ok(&mut self.from)
    }

    fn fill(&mut self, at: u64, n: usize) -> io::Result<()> {
        (self.at, self.filled) = (at, 0);
        if self.memory.len() > KEPT_BYTES_MAX && n <= KEPT_BYTES_MAX {
            self.memory = Vec::new();
        }
        if self.memory.len() < n {
            self.memory.resize(n, 0);
        }
        self.from.seek(SeekFrom::Start(at))?;
        self.filled = read_all(&mut self.from, &mut self.memory[..n])?;
        Ok(())
    }
}

impl ByteWindow<io::Empty> {
    /// A window over bytes that are all in memory.
    pub(super) fn of(memory: Vec<u8>) -> Self {
        Self { from: io::empty(), len: memory.len() as u64, at: 0, filled: memory.len(), memory }
    }
}

/// Reads until the slice is full or the file ends. Returns the number of bytes read.
pub(super) fn read_all(from: &mut impl Read, mut into: &mut [u8]) -> io::Result<usize> {
    let mut all = 0;
    while !into.is_empty() {
        match from.read(into) {
            Ok(0) => break,
            Ok(n) => {
                all += n;
                into = &mut into[n..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn file(len: u32) -> Vec<u8> {
        (0..len).map(|n| (n % 251) as u8).collect()
    }

    #[test]
    fn every_range_returns_the_bytes_of_the_file() {
        let file = file(200_000);
        let mut window = ByteWindow::new(Cursor::new(&file)).unwrap();
        // Forwards, backwards, across the edge of the buffer, and past the end.
        for (at, n) in [(0, 64), (10, 64), (65_500, 100), (65_000, 700), (5, 150_000), (3, 1), (199_990, 64), (7, 7)] {
            let end = file.len().min(at + n);
            assert_eq!(window.bytes(at as u64, n).unwrap(), &file[at..end], "{n} at {at}");
            assert_eq!(window.held(at as u64, n), &file[at..end], "{n} at {at}");
        }
        assert!(window.bytes(200_000, 5).unwrap().is_empty() && window.bytes(u64::MAX, 5).unwrap().is_empty());
        let mut whole = ByteWindow::of(file.clone());
        assert_eq!((whole.len(), whole.bytes(100, 50).unwrap()), (200_000, &file[100..150]));
    }

    /// Counts the reads.
    struct Counted(Cursor<Vec<u8>>, usize);

    impl Read for Counted {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            self.0.read(into)
        }
    }

    impl Seek for Counted {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn buffered_bytes_are_not_read_again() {
        let mut window = ByteWindow::new(Counted(Cursor::new(file(1_000_000)), 0)).unwrap();
        window.bytes(1000, 900_000).unwrap();
        for at in (1000..900_000).step_by(1000) {
            window.bytes(at, 1000).unwrap();
        }
        assert_eq!(window.from.1, 1);
    }

    #[test]
    fn failed_read_leaves_the_buffer_empty() {
        struct Torn;
        impl Read for Torn {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("EIO"))
            }
        }
        impl Seek for Torn {
            fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
                Ok(1000)
            }
        }
        let mut window = ByteWindow::new(Torn).unwrap();
        assert!(window.bytes(0, 10).is_err());
        assert!(window.held(0, 10).is_empty());
    }
}
