//! Datagrams that wait to be sent: those of equal length to one viewer together.

use std::net::SocketAddr;

use str0m::net::Transmit;

/// Datagrams that are sent together. More would not fit the buffer of a receiver's socket.
const TOGETHER: usize = 16;

/// Datagrams of one length, of which the last may be shorter.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    /// Length of each datagram.
    pub(super) len: usize,
    pub(super) bytes: Vec<u8>,
}

impl Batch {
    /// Returns whether another datagram can follow.
    fn takes(&self, transmit: &Transmit) -> bool {
        let is_open = self.bytes.len().is_multiple_of(self.len) && self.bytes.len() < TOGETHER * self.len;
        is_open
            && (self.from, self.to) == (transmit.source, transmit.destination)
            && (1..=self.len).contains(&transmit.contents.len())
    }
}

/// Datagrams in the order in which they are sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    batches: Vec<Batch>,
    bytes: usize,
}

impl Outbox {
    /// Appends a datagram.
    pub(super) fn push(&mut self, transmit: &Transmit) {
        let contents: &[u8] = &transmit.contents;
        if contents.is_empty() {
            return;
        }
        self.bytes += contents.len();
        match self.batches.last_mut().filter(|batch| batch.takes(transmit)) {
            Some(batch) => batch.bytes.extend_from_slice(contents),
            None => self.batches.push(Batch {
                from: transmit.source,
                to: transmit.destination,
                len: contents.len(),
                bytes: contents.to_vec(),
            }),
        }
    }

    /// Returns the bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Removes the datagrams.
    pub(super) fn take(&mut self) -> Vec<Batch> {
        self.bytes = 0;
        std::mem::take(&mut self.batches)
    }
}

#[cfg(test)]
mod tests {
    use str0m::net::Protocol;

    use super::*;

    #[test]
    fn equal_datagrams_to_one_viewer_are_sent_together() {
        let mut outbox = Outbox::default();
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut push = |to, len: usize| {
            outbox.push(&Transmit {
                proto: Protocol::Udp,
                source: address(1),
                destination: address(to),
                contents: vec![len as u8; len].into(),
            });
        };
        for (to, len) in [(2, 9), (2, 9), (2, 3), (2, 3), (3, 3), (3, 4), (2, 1)] {
            push(to, len);
        }
        (0..TOGETHER + 1).for_each(|_| push(4, 7));
        assert_eq!(outbox.bytes(), 32 + 7 * (TOGETHER + 1));
        let lens: Vec<_> = outbox.take().iter().map(|batch| (batch.to.port(), batch.len, batch.bytes.len())).collect();
        assert_eq!(lens, [(2, 9, 21), (2, 3, 3), (3, 3, 3), (3, 4, 4), (2, 1, 1), (4, 7, 112), (4, 7, 7)]);
        assert!(outbox.take().is_empty() && outbox.bytes() == 0);
    }
}
