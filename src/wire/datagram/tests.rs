use proptest::prelude::*;

use super::reassembly::MAX_OPEN;
use super::*;

const PART_LEN: usize = 100;
const MAX_LEN: usize = 1 << 20;

/// The outcome of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Complete(Vec<u8>),
    /// Number, parts missing, parts.
    Incomplete(u32, u16, u16),
    Missing(u32),
}

fn drain(reassembly: &mut Reassembly, now_ns: u64) -> Vec<Outcome> {
    let mut found = Vec::new();
    while let Some(assembled) = reassembly.poll(now_ns) {
        found.push(match assembled {
            Assembled::Complete(bytes) => Outcome::Complete(bytes.to_vec()),
            Assembled::Incomplete(lost) => Outcome::Incomplete(lost.number, lost.missing, lost.parts),
            Assembled::Missing(messages) => Outcome::Missing(messages),
        });
    }
    found
}

fn message(number: u32, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(31).wrapping_add(number) as u8).collect()
}

fn parts(number: u32, len: usize) -> Vec<Vec<u8>> {
    datagrams(number, &message(number, len), PART_LEN).expect("it fits").collect()
}

/// Pushes datagrams at one time, and returns the outcomes until the end of the sender.
fn all(datagrams: &[Vec<u8>]) -> (Vec<Outcome>, DatagramCounts) {
    let mut reassembly = Reassembly::new(MAX_LEN);
    let mut found = Vec::new();
    for datagram in datagrams {
        reassembly.push(datagram, 0).expect("a part");
        found.extend(drain(&mut reassembly, 0));
        assert!(reassembly.counts().balance(), "{:?}", reassembly.counts());
    }
    reassembly.end();
    found.extend(drain(&mut reassembly, 0));
    let counts = reassembly.counts();
    assert!(counts.balance() && counts.pending == 0, "{counts:?}");
    (found, counts)
}

#[test]
fn a_header_has_the_documented_bytes() {
    let example: Vec<Vec<u8>> = datagrams(17, b"IMG 1.0 3 0                     BGR", 32).expect("it fits").collect();
    assert_eq!(example[0][..16], *b"OT1\0\0\0\0\x11\0\0\0\x02\0\0\0\x23");
    assert_eq!(example[1], *b"OT1\0\0\0\0\x11\0\x01\0\x02\0\0\0\x23BGR");
}

#[test]
fn headers_that_contradict_themselves_are_rejected() {
    let datagram = |part: u16, parts: u16, total: u32, len: usize| {
        let mut datagram = parts_of_one(7);
        datagram.truncate(8);
        datagram.extend_from_slice(&part.to_be_bytes());
        datagram.extend_from_slice(&parts.to_be_bytes());
        datagram.extend_from_slice(&total.to_be_bytes());
        datagram.resize(16 + len, 0);
        datagram
    };
    for (part, count, total, len) in [
        (0, 1, 5, 5),
        (0, 2, 150, 100),
        (1, 2, 150, 50),
        (2, 3, 201, 1),
        (0, 65_535, 65_535, 1),
        (65_534, 65_535, 65_535, 1),
    ] {
        let mut reassembly = Reassembly::new(MAX_LEN);
        assert_eq!(reassembly.push(&datagram(part, count, total, len), 0), Ok(()), "{part} {count} {total} {len}");
    }
    for (part, count, total, len) in [
        (0, 0, 5, 5),
        (1, 1, 5, 5),
        (0, 1, 5, 4),
        (0, 1, 0, 1),
        (0, 2, 100, 100),
        (0, 2, 201, 100),
        (1, 2, 150, 90),
        (1, 3, 201, 1),
        (2, 3, 202, 1),
        (1, 2, 3, 4),
        (0, 1, u32::MAX, 1000),
        (0, 65_535, u32::MAX, 65_000),
        (0, 700, MAX_LEN as u32 + 1, 1500),
    ] {
        let mut reassembly = Reassembly::new(MAX_LEN);
        let rejected = reassembly.push(&datagram(part, count, total, len), 0);
        assert!(matches!(rejected, Err(Rejected::Invalid(_))), "{part} {count} {total} {len}: {rejected:?}");
        assert_eq!((reassembly.counts().invalid, reassembly.memory()), (1, 0));
    }
    for text in
        [&b"OT1"[..], b"OT1\0\0\0\0\x11\0\0\0\x01\0\0\0\x01", b"OT1\x01\0\0\0\x11\0\0\0\x01\0\0\0\x01a", b"OT2\0", b""]
    {
        assert!(Reassembly::new(MAX_LEN).push(text, 0).is_err());
    }
}

fn parts_of_one(number: u32) -> Vec<u8> {
    parts(number, 5).remove(0)
}

#[test]
fn parts_that_contradict_earlier_ones_are_rejected() {
    let mut reassembly = Reassembly::new(MAX_LEN);
    reassembly.push(&parts(5, 250)[0], 0).expect("a part");
    let rejected = reassembly.push(&parts(5, 350)[1], 0);
    assert_eq!(rejected, Err(Rejected::Invalid(DatagramError::Contradiction { number: 5 })));
    assert_eq!((reassembly.counts().invalid, reassembly.counts().pending), (1, 1));
}

#[test]
fn a_lost_part_costs_its_message_and_no_other() {
    let mut sent: Vec<_> = (1..=3).flat_map(|number| parts(number, 460 * PART_LEN)).collect();
    for lost in [3, 7, 459] {
        sent[460 + lost].clear();
    }
    sent.retain(|datagram| !datagram.is_empty());
    let (found, counts) = all(&sent);
    let complete = |number| Outcome::Complete(message(number, 460 * PART_LEN));
    assert_eq!(found, [complete(1), Outcome::Incomplete(2, 3, 460), complete(3)]);
    assert_eq!((counts.missing, counts.incomplete, counts.assembled, counts.reordered), (3, 457, 920, 0));
}

#[test]
fn the_rest_of_a_message_whose_beginning_was_sent_before_is_not_lost() {
    let sent = [&parts(8, 300)[1..], &parts(9, 300)].concat();
    let mut reassembly = Reassembly::new(MAX_LEN);
    for datagram in &sent {
        reassembly.push(datagram, 0).expect("a part");
    }
    reassembly.end();
    let Some(Assembled::Incomplete(lost)) = reassembly.poll(0) else { panic!("the joined message") };
    assert!(lost.is_joined);
    assert_eq!(drain(&mut reassembly, 0), [Outcome::Complete(message(9, 300))]);
    assert_eq!((reassembly.counts().missing, reassembly.counts().messages_incomplete), (0, 0));
}

#[test]
fn a_later_message_waits_for_an_earlier_one_20_ms() {
    let mut reassembly = Reassembly::new(MAX_LEN);
    let [first, second, third] = [1, 2, 3].map(|number| parts(number, 250));
    for datagram in first.iter().chain(&second[..2]).chain(&third) {
        reassembly.push(datagram, 1_000).expect("a part");
    }
    // The first message of a sender waits as well: an earlier one may follow.
    assert_eq!(drain(&mut reassembly, 20_000_999), []);
    assert_eq!(reassembly.deadline_ns(), Some(20_001_000));
    let mut late = Reassembly::new(MAX_LEN);
    for datagram in first.iter().chain(&second[..2]).chain(&third).chain(&second[2..]) {
        late.push(datagram, 1_000).expect("a part");
    }
    let complete = |number| Outcome::Complete(message(number, 250));
    assert_eq!(drain(&mut late, 20_001_000), [complete(1), complete(2), complete(3)]);
    assert_eq!(late.counts().reordered, 1);
    assert_eq!(drain(&mut reassembly, 20_001_000), [complete(1), Outcome::Incomplete(2, 1, 3), complete(3)]);
    // Its last part is late now.
    reassembly.push(&second[2], 20_001_000).expect("late");
    assert_eq!((reassembly.counts().late, reassembly.counts().balance()), (1, true));
}

#[test]
fn an_incomplete_message_without_a_later_one_is_given_up_after_a_second() {
    let mut reassembly = Reassembly::new(MAX_LEN);
    let mut left = Reassembly::new(MAX_LEN);
    left.push(&parts(1, 250)[0], 5).expect("a part");
    left.leave();
    assert_eq!((drain(&mut left, 5).len(), left.counts().missing, left.counts().incomplete), (1, 0, 1));
    reassembly.push(&parts(1, 250)[0], 5).expect("a part");
    assert_eq!(reassembly.deadline_ns(), Some(1_000_000_005));
    assert_eq!(drain(&mut reassembly, 1_000_000_004), []);
    assert_eq!(drain(&mut reassembly, 1_000_000_005), [Outcome::Incomplete(1, 2, 3)]);
    assert_eq!(reassembly.deadline_ns(), None);
}

#[test]
fn numbers_of_which_nothing_arrives_are_counted_across_the_wrap() {
    let sent: Vec<_> = [u32::MAX - 1, u32::MAX, 2].iter().flat_map(|number| parts(*number, 120)).collect();
    let (found, counts) = all(&sent);
    let complete = |number| Outcome::Complete(message(number, 120));
    assert_eq!(found, [complete(u32::MAX - 1), complete(u32::MAX), Outcome::Missing(2), complete(2)]);
    assert_eq!(counts.messages_missing, 2);
}

#[test]
fn a_restarted_sender_is_recognized() {
    let mut reassembly = Reassembly::new(MAX_LEN);
    for number in 1000..1010 {
        for datagram in parts(number, 120) {
            reassembly.push(&datagram, 0).expect("a part");
            drain(&mut reassembly, 0);
        }
    }
    let restarted = |number: u32, now_ns| {
        let mut reassembly = Reassembly::new(MAX_LEN);
        for datagram in parts(100_000, 120) {
            reassembly.push(&datagram, 0).expect("a part");
        }
        drain(&mut reassembly, 30_000_000);
        // A late part first, so that the time of late parts alone begins.
        reassembly.push(&parts_of_one(100_000 - 2), 0).expect("late");
        reassembly.push(&parts_of_one(number), now_ns) == Err(Rejected::Restarted)
    };
    assert!(restarted(5, 0) && restarted(200_000, 0) && restarted(100_000 - 257, 0));
    assert!(!restarted(100_000 - 200, 0) && restarted(100_000 - 200, 1_000_000_000));
    assert!(!restarted(100_001, 0) && !restarted(104_000, 0));

    assert_eq!(reassembly.push(&parts_of_one(3), 0), Err(Rejected::Restarted));
    reassembly.end();
    drain(&mut reassembly, 0);
    reassembly.restart();
    for number in 3..5 {
        reassembly.push(&parts_of_one(number), 0).expect("a part of the new sender");
    }
    let complete = |number| Outcome::Complete(message(number, 5));
    assert_eq!(drain(&mut reassembly, 30_000_000), [complete(3), complete(4)]);
    assert_eq!((reassembly.counts().restarts, reassembly.counts().messages_missing), (1, 0));
    assert_eq!(reassembly.counts().messages_repeated, 0);
}

#[test]
fn messages_of_a_sender_that_repeats_its_number_are_counted() {
    let mut reassembly = Reassembly::new(MAX_LEN);
    let mut complete = 0;
    for message in 0..25_u64 {
        let now_ns = message * 100_000_000;
        for datagram in parts(5, 120) {
            if reassembly.push(&datagram, now_ns) == Err(Rejected::Restarted) {
                reassembly.end();
                complete += drain(&mut reassembly, now_ns).len() as u64;
                reassembly.restart();
                reassembly.push(&datagram, now_ns).expect("the first part of a new sender");
            }
        }
        complete += drain(&mut reassembly, now_ns + 30_000_000).len() as u64;
    }
    let counts = reassembly.counts();
    assert!(counts.balance() && counts.restarts == 2, "{counts:?}");
    // Those after the last restart are not known to be repeated yet.
    assert!(counts.messages_repeated + complete >= 25 - 10 && complete == 3, "{complete}, {counts:?}");
    assert!(counts.messages_repeated >= 18, "{counts:?}");
}

#[test]
fn lies_about_the_length_take_no_memory() {
    let max = 64 << 20;
    let mut reassembly = Reassembly::new(max);
    let mut most = 0;
    for number in 0..20_000_u32 {
        // The last part of 65,535, which is 64 MiB behind the first.
        let mut datagram = parts_of_one(number % 4096);
        datagram[8..10].copy_from_slice(&65_533_u16.to_be_bytes());
        datagram[10..12].copy_from_slice(&65_535_u16.to_be_bytes());
        datagram[12..16].copy_from_slice(&(1024 * 65_534 + 1_u32).to_be_bytes());
        datagram.resize(16 + 1024, 0);
        let _ = reassembly.push(&datagram, 0);
        drain(&mut reassembly, 0);
        most = most.max(reassembly.memory());
        assert!(reassembly.counts().balance());
    }
    assert_eq!(most, 0);
    // Nor do parts of one byte each.
    for number in 0..8 {
        for part in (0..65_535_u16).rev() {
            let mut datagram = parts_of_one(number + 5000);
            datagram[8..10].copy_from_slice(&part.to_be_bytes());
            datagram[10..12].copy_from_slice(&65_535_u16.to_be_bytes());
            datagram[12..16].copy_from_slice(&65_535_u32.to_be_bytes());
            datagram.truncate(17);
            if reassembly.push(&datagram, 0) == Err(Rejected::Restarted) {
                reassembly.end();
                drain(&mut reassembly, 0);
                reassembly.restart();
                reassembly.push(&datagram, 0).expect("a part");
            }
            drain(&mut reassembly, 0);
        }
        most = most.max(reassembly.memory());
    }
    assert!(most < 1 << 20, "{most}");
}

fn fixed(cases: u32) -> ProptestConfig {
    ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        failure_persistence: None,
        cases,
        ..ProptestConfig::default()
    }
}

/// Datagrams of messages of these lengths, each lost, sent once, or sent twice, in a random order.
fn disturbed(lens: &[usize], first: u32, fates: &[u8], order: &[u32]) -> Vec<Vec<u8>> {
    let sent = lens.iter().enumerate().flat_map(|(at, len)| parts(first.wrapping_add(at as u32), *len));
    let mut copies: Vec<(u32, Vec<u8>)> = Vec::new();
    for (at, datagram) in sent.enumerate() {
        for copy in 0..fates[at % fates.len()] {
            copies.push((order[(7 * at + usize::from(copy)) % order.len()], datagram.clone()));
        }
    }
    copies.sort_by_key(|(key, _)| *key);
    copies.into_iter().map(|(_, datagram)| datagram).collect()
}

/// Parts of this message that are among the datagrams, and all of its parts.
fn present(sent: &[Vec<u8>], number: u32, len: usize) -> (usize, usize) {
    let parts = parts(number, len);
    (parts.iter().filter(|part| sent.contains(part)).count(), parts.len())
}

proptest! {
    #![proptest_config(fixed(400))]

    /// Messages that are sent at a time, in whatever order: exactly those are returned of which all parts arrive.
    #[test]
    fn any_order_of_open_messages_gives_the_complete_ones(
        lens in prop::collection::vec(1_usize..1200, 1..=MAX_OPEN),
        before_wrap in 0_u32..6,
        fates in prop::collection::vec(prop_oneof![1 => Just(0_u8), 12 => Just(1), 2 => Just(2)], 1..50),
        order in prop::collection::vec(any::<u32>(), 1..50),
    ) {
        let first = 0_u32.wrapping_sub(before_wrap);
        let sent = disturbed(&lens, first, &fates, &order);
        let (found, counts) = all(&sent);
        let mut complete = Vec::new();
        for (at, len) in lens.iter().enumerate() {
            let number = first.wrapping_add(at as u32);
            let (came, of) = present(&sent, number, *len);
            if came == of {
                complete.push(message(number, *len));
            }
        }
        let returned: Vec<_> = found.iter().filter_map(|outcome| match outcome {
            Outcome::Complete(bytes) => Some(bytes.clone()),
            _ => None,
        }).collect();
        prop_assert_eq!(returned, complete);
        prop_assert_eq!((counts.late, counts.invalid, counts.received), (0, 0, sent.len() as u64));
    }

    /// More messages than can be open, in whatever order: those that are returned are whole, each once, in the order of their
    /// numbers, and memory is bounded.
    #[test]
    fn any_order_of_many_messages_gives_whole_ones_in_order(
        lens in prop::collection::vec(1_usize..1200, 5..40),
        first in any::<u32>(),
        fates in prop::collection::vec(prop_oneof![1 => Just(0_u8), 12 => Just(1), 2 => Just(2)], 1..50),
        order in prop::collection::vec(any::<u32>(), 1..200),
        step_ns in 0_u64..3_000_000,
    ) {
        let sent = disturbed(&lens, first, &fates, &order);
        let mut reassembly = Reassembly::new(MAX_LEN);
        let mut found = Vec::new();
        for (at, datagram) in sent.iter().enumerate() {
            let now_ns = at as u64 * step_ns;
            if reassembly.push(datagram, now_ns).is_ok() {
                found.extend(drain(&mut reassembly, now_ns));
            }
            let counts = reassembly.counts();
            prop_assert!(counts.balance(), "{:?}", counts);
            prop_assert!(reassembly.memory() <= (MAX_OPEN + 2) * (1200 + (64 << 10)));
        }
        reassembly.end();
        found.extend(drain(&mut reassembly, u64::MAX));
        let mut expected = lens.iter().enumerate().map(|(at, len)| message(first.wrapping_add(at as u32), *len));
        for outcome in &found {
            if let Outcome::Complete(bytes) = outcome {
                prop_assert!(expected.any(|message| message == *bytes));
            }
        }
        let counts = reassembly.counts();
        let complete = found.iter().filter(|outcome| matches!(outcome, Outcome::Complete(_))).count();
        prop_assert_eq!(counts.messages, complete as u64);
    }

    /// In order and without loss, every message is returned, also around the wrap.
    #[test]
    fn an_undisturbed_sender_loses_nothing(lens in prop::collection::vec(1_usize..1200, 1..40), first in any::<u32>()) {
        let sent = disturbed(&lens, first, &[1], &[0]);
        let (found, counts) = all(&sent);
        let numbers = (0..).map(|at| first.wrapping_add(at));
        let expected: Vec<_> = numbers.zip(&lens).map(|(number, len)| Outcome::Complete(message(number, *len))).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!((counts.assembled, counts.reordered, counts.missing), (sent.len() as u64, 0, 0));
    }
}
