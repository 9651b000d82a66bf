//! Bounds the work that a peer can cause with few bytes.
//!
//! After damage, bytes of a rejected frame are read again, because another frame may start among them. A peer that sends
//! headers inside frames inside frames would have the same bytes read again for each of them. So each byte received
//! pays for reading one byte again. A stream that has used this up continues, but the decoder then accepts a header
//! among bytes that it reads again only after searching the whole frame for other headers, which copies nothing.

/// Bytes that may be read again without having been paid for, and the most that a well-behaved stream can save up. A
/// damaged 4K frame of a good camera fits.
const FREE_REREAD_BYTES: i64 = 16 << 20;

/// Work of a decoder, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Bytes examined, copied and read again.
    done: u64,
    /// Bytes that may be read again.
    credit: i64,
    /// End of the bytes that are being read again, in bytes since the connection was opened.
    reread_until: u64,
}

impl Work {
    pub(super) const fn new() -> Self {
        Self { done: 0, credit: FREE_REREAD_BYTES, reread_until: 0 }
    }

    /// Counts `n` bytes that arrived.
    pub(super) fn received(&mut self, n: usize) {
        self.done += n as u64;
        self.credit = self.credit.saturating_add_unsigned(n as u64).min(FREE_REREAD_BYTES);
    }

    /// Counts `n` bytes that were searched or copied.
    pub(super) const fn examined(&mut self, n: usize) {
        self.done += n as u64;
    }

    /// Counts `n` bytes that are read again; `until`: their end, in bytes since the connection was opened.
    pub(super) fn reread(&mut self, n: usize, until: u64) {
        self.done += n as u64;
        self.credit = self.credit.saturating_sub_unsigned(n as u64);
        self.reread_until = self.reread_until.max(until);
    }

    /// Returns whether nothing may be read again for now.
    pub(super) const fn is_used_up(&self) -> bool {
        self.credit < 0
    }

    /// Returns whether a header at this position has to be verified before it is accepted.
    pub(super) const fn needs_proof(&self, offset: u64) -> bool {
        self.is_used_up() && offset < self.reread_until
    }

    pub(super) const fn done(&self) -> u64 {
        self.done
    }
}
