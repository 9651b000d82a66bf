//! Packets of MQTT: however the bytes are cut, they are split in the same way, every byte belongs to one piece, and the
//! memory for the input is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oaktap::wire::{MESSAGE_HEAD_MAX, PacketError, PacketPiece, PacketSplitter};

/// A packet, or the head of a message that is too large with the length of its payload. Then the bytes of it.
type Found = (usize, Option<usize>);

/// Splits the input, of which `step` bytes arrive at a time. Returns the pieces, the bytes in them, and the error.
fn split(input: &[u8], step: usize, max: usize) -> (Vec<Found>, usize, Option<PacketError>) {
    let (mut splitter, mut found, mut used, mut arrived) = (PacketSplitter::default(), Vec::new(), 0, 0);
    // Payload that is still to be skipped.
    let mut left = 0;
    loop {
        let held = &input[used..arrived];
        match splitter.next(held, max) {
            Err(error) => return (found, used, Some(error)),
            Ok(PacketPiece::Incomplete(missing)) => {
                assert!(missing > 0 && held.len() + missing <= max.max(MESSAGE_HEAD_MAX));
                assert!(!splitter.is_skipping() || held.is_empty());
                if arrived == input.len() {
                    return (found, used, None);
                }
                arrived = input.len().min(arrived + step);
            }
            Ok(PacketPiece::Packet(len)) => {
                assert!(left == 0 && (2..=held.len().min(max)).contains(&len));
                found.push((len, None));
                used += len;
            }
            Ok(PacketPiece::TooLarge(large)) => {
                assert!(left == 0 && large.qos < 3 && large.head + large.payload > max);
                assert!(large.topic.0 <= large.topic.1 && large.topic.1 <= large.head && large.head <= held.len());
                found.push((large.head, Some(large.payload)));
                left = large.payload;
                used += large.head;
            }
            Ok(PacketPiece::Skipped { bytes, is_end }) => {
                assert!(bytes > 0 && bytes <= held.len() && bytes <= left);
                left -= bytes;
                used += bytes;
                assert_eq!(is_end, left == 0);
            }
        }
        assert_eq!(splitter.is_skipping(), left > 0);
    }
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (step, max, bytes) = input;
    let (step, max) = (usize::from(step) + 1, usize::from(max) + 2);
    let whole = split(bytes, bytes.len().max(1), max);
    assert_eq!(split(bytes, step, max), whole);
    assert_eq!(split(bytes, 1, max), whole);
    assert!(whole.1 <= bytes.len());
});
