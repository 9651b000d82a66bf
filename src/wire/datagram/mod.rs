//! Messages in datagrams: a header of 16 bytes, and the reassembly of messages from their parts. docs/udp.md has the format.

mod counts;
mod header;
mod reassembly;

pub use counts::DatagramCounts;
pub use header::{DATAGRAM_HEADER, DATAGRAM_MAGIC, DatagramError, datagrams};
pub use reassembly::{Assembled, Incomplete, Reassembly, Rejected};

#[cfg(test)]
mod tests;
