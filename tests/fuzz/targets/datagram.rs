//! Messages in datagrams: every datagram has one outcome, memory is bounded, and messages are returned whole, once and in
//! order.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use oaktap::wire::{Assembled, Reassembly, Rejected, datagrams};
use oaktap_fuzz::memory;

const MAX_MESSAGE: usize = 1 << 20;

fn drain(reassembly: &mut Reassembly, now_ns: u64, mut each: impl FnMut(&[u8])) {
    let mut returned = 0;
    while let Some(assembled) = reassembly.poll(now_ns) {
        match assembled {
            Assembled::Complete(bytes) => {
                assert!(!bytes.is_empty() && bytes.len() <= MAX_MESSAGE);
                each(bytes);
            }
            Assembled::Incomplete(lost) => {
                assert!(lost.missing > 0 && lost.missing < lost.parts && lost.received < lost.total);
                assert!(lost.start.len() <= lost.received);
            }
            Assembled::Missing(messages) => assert!(messages > 0),
        }
        returned += 1;
        assert!(returned < 16, "a datagram has returned {returned} messages");
    }
}

/// Pushes one datagram. A sender that has restarted is received again.
fn push(reassembly: &mut Reassembly, datagram: &[u8], now_ns: u64, mut each: impl FnMut(&[u8])) {
    if reassembly.push(datagram, now_ns) == Err(Rejected::Restarted) {
        reassembly.end();
        drain(reassembly, now_ns, &mut each);
        reassembly.restart();
        assert_ne!(reassembly.push(datagram, now_ns), Err(Rejected::Restarted));
    }
    drain(reassembly, now_ns, each);
    let counts = reassembly.counts();
    assert!(counts.balance(), "{counts:?}");
    if let Some(due) = reassembly.deadline_ns() {
        assert!(due > now_ns);
    }
}

/// Messages of a sender, and their datagrams in the order in which they arrive.
#[derive(Arbitrary, Debug)]
struct Sender {
    first: u32,
    part_len: u8,
    messages: Vec<(u8, u16)>,
    /// Swaps, losses and repetitions of datagrams.
    changes: Vec<(u16, u16, u8)>,
}

fuzz_target!(|input: &[u8]| {
    // Datagrams of anybody: a length, then the bytes. The first 16 bytes are those of a valid header with changes.
    let (_, held) = memory::peak(|| {
        let mut reassembly = Reassembly::new(MAX_MESSAGE);
        let (mut rest, mut now_ns) = (input, 0);
        while let Some((len, bytes)) = rest.split_first() {
            let (body, after) = bytes.split_at(bytes.len().min(usize::from(*len)));
            rest = after;
            let datagram = if len % 3 == 0 { body.to_vec() } else { [b"OT1\0\0\0", body].concat() };
            now_ns += u64::from(*len) * 1_000_000;
            push(&mut reassembly, &datagram, now_ns, |_| ());
        }
        let counts = reassembly.counts();
        reassembly.end();
        drain(&mut reassembly, now_ns, |_| ());
        assert!(reassembly.counts().pending == 0 && reassembly.counts().received == counts.received);
    });
    assert!(held <= 64 * input.len() + (4 << 20), "{held} bytes were held for {} bytes", input.len());

    let Ok(sender) = Sender::arbitrary(&mut Unstructured::new(input)) else { return };
    let message = |number: u32, (fill, len): (u8, u16)| {
        let mut message = vec![fill; usize::from(len % 2000) + 5];
        message[..4].copy_from_slice(&number.to_be_bytes());
        message
    };
    let numbered =
        || sender.messages.iter().take(50).zip(0_u32..).map(|(kind, at)| (sender.first.wrapping_add(at), *kind));
    let part_len = usize::from(sender.part_len) + 8;
    let parts =
        |(number, kind)| datagrams(number, &message(number, kind), part_len).expect("it fits").collect::<Vec<_>>();
    let mut sent: Vec<Vec<u8>> = numbered().flat_map(parts).collect();
    let is_disturbed = !sender.changes.is_empty();
    for (a, b, change) in &sender.changes {
        if sent.is_empty() {
            return;
        }
        let (a, b) = (usize::from(*a) % sent.len(), usize::from(*b) % sent.len());
        match change % 3 {
            0 => sent.swap(a, b),
            1 => drop(sent.remove(a)),
            _ => sent.insert(a, sent[b].clone()),
        }
    }
    let mut reassembly = Reassembly::new(MAX_MESSAGE);
    let mut returned: Vec<Vec<u8>> = Vec::new();
    for datagram in &sent {
        push(&mut reassembly, datagram, 0, |bytes| returned.push(bytes.to_vec()));
    }
    reassembly.end();
    drain(&mut reassembly, 0, |bytes| returned.push(bytes.to_vec()));
    let mut expected = numbered().map(|(number, kind)| message(number, kind));
    for bytes in &returned {
        assert!(expected.any(|message| message == *bytes), "a message is changed, repeated or out of order");
    }
    if !is_disturbed {
        assert_eq!(returned.len(), numbered().count());
    }
});
