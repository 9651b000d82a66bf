#![allow(clippy::field_reassign_with_default)] // A frame's payload is private, so there is no other way.

use proptest::prelude::*;

use super::*;
use crate::frame::DeviceTime;
use crate::wire::{Damage, Record, Skipped};

fn frame(device_ms: i64, arrival_ms: u64, stale: bool) -> Event {
    frame_at(device_ms * 1000, arrival_ms * 1_000_000, stale)
}

fn frame_at(device_us: i64, mono_ns: u64, stale: bool) -> Event {
    let mut frame = Frame::default();
    frame.device_time = DeviceTime(device_us);
    frame.received = Received { mono_ns, unix_ns: 0 };
    frame.stale = stale;
    Event::Frame(Arc::new(frame))
}

fn skipped(at: u64, len: u64, reason: SkipReason) -> Event {
    Event::Skipped(Skipped { at, len, reason, found: [0; 32] })
}

const CUT: Damage = Damage::Ended { expected: 10, received: 3 };

/// A steady stream at 40 fps of 1 MB a frame, without what the closure says no to.
fn stream(stats: &mut Stats, frames: std::ops::Range<i64>, keep: impl Fn(i64) -> bool) {
    for i in frames.filter(|i| keep(*i)) {
        let books = ByteCounts { received: (i + 1).unsigned_abs() * 1_000_000, ..ByteCounts::default() };
        stats.books(ByteCounts { payload: books.received, ..books });
        stats.event(&frame(25 * i, 1000 + 25 * i.unsigned_abs(), false));
        stats.event(&Event::Confirmed(0));
    }
}

#[test]
fn a_steady_stream_in_numbers() {
    let mut stats = Stats::default();
    stats.attempt();
    stats.connected();
    stream(&mut stats, 0..300, |i| i != 200);
    let rates = stats.rates();
    assert_eq!(
        stats.frames,
        FrameCounts { received: 299, confirmed: 299, missing: 1, estimated: 1, ..FrameCounts::default() }
    );
    assert_eq!(stats.frame_time_us(), Some(25_000));
    assert!((rates.fps_device - 40.0).abs() < 0.5 && (rates.fps_arrival - 40.0).abs() < 0.5, "{rates:?}");
    assert!((rates.mbit_s - 320.0).abs() < 5.0, "{rates:?}");
    assert!(rates.jitter_us < 1.0, "{rates:?}");
    assert_eq!(stats.intervals_us().len(), RECENT);
    assert_eq!(stats.intervals_us().max(), Some(50_000), "the hole shows");
    assert!(stats.balances() && stats.lossless(), "the camera may skip frames; nothing of what it sent was lost");
    let summary = stats.summary("cam");
    assert!((summary.fps - 40.0).abs() < 0.5, "{summary:?}");
    assert_eq!((summary.connections, summary.reconnects), (1, 0));
}

#[test]
fn late_arrivals_are_jitter_and_not_missing() {
    let mut stats = Stats::default();
    stats.connected();
    for i in 0..200_i64 {
        stats.event(&frame(25 * i, 25 * i.unsigned_abs() + if i % 2 == 0 { 0 } else { 8 }, false));
        stats.event(&Event::Confirmed(0));
    }
    assert_eq!(stats.frames.missing, 0);
    assert!((7_000.0..8_100.0).contains(&stats.rates().jitter_us), "{:?}", stats.rates());
}

#[test]
fn stale_frames_are_counted_and_left_out_of_the_rhythm() {
    let mut stats = Stats::default();
    stats.connected();
    for i in 0..9 {
        stats.event(&frame(25 * i, 5 * i.unsigned_abs(), i > 0));
        stats.event(&Event::Confirmed(0));
    }
    for i in 0..100 {
        stats.event(&frame(60_000 + 25 * i, 50 + 25 * i.unsigned_abs(), false));
        stats.event(&Event::Confirmed(0));
    }
    assert_eq!((stats.frames.stale, stats.frames.missing), (9, 0));
    assert!((stats.rates().fps_arrival - 40.0).abs() < 0.5);
}

#[test]
fn a_clock_that_goes_backwards_is_a_reboot_also_across_connections() {
    let mut stats = Stats::default();
    stats.connected();
    stream(&mut stats, 100..140, |_| true);
    stream(&mut stats, 0..40, |_| true);
    assert_eq!(stats.reboots, 1);
    stats.disconnected(stats.open);
    stats.connected();
    stream(&mut stats, 60..100, |_| true);
    assert_eq!((stats.reboots, stats.reconnects()), (1, 1), "time went on while nobody was connected");
    stats.disconnected(stats.open);
    stats.connected();
    stream(&mut stats, 0..40, |_| true);
    assert_eq!((stats.reboots, stats.frames.missing), (2, 0));
    assert!(stats.balances());
}

#[test]
fn a_clock_that_is_set_forward_is_no_gap_and_a_long_silence_is_one() {
    let mut stats = Stats::default();
    stats.connected();
    stream(&mut stats, 0..60, |_| true);
    // One frame with the time since 1970, as some Scripts send when their clock is set, and then the others again.
    stats.event(&frame(1_795_259_112_345, 2500, false));
    stats.event(&Event::Confirmed(0));
    stream(&mut stats, 61..100, |_| true);
    assert_eq!((stats.frames.missing, stats.reboots), (0, 1));
    // For a quarter of an hour nothing came, because nobody read: the frames that were not sent are counted.
    let quarter = 15 * 60 * 40;
    stream(&mut stats, 100 + quarter..140 + quarter, |_| true);
    assert_eq!((stats.frames.missing, stats.reboots), (quarter.unsigned_abs(), 1));
}

#[test]
fn a_range_told_in_pieces_is_one_and_one_loss_of_lock() {
    let mut stats = Stats::default();
    stats.connected();
    stats.event(&skipped(100, 10, SkipReason::NotAHeader));
    stats.event(&skipped(110, 90, SkipReason::NotAHeader));
    stats.event(&skipped(500, 32, SkipReason::ForeignRecord));
    stats.event(&frame(0, 0, false));
    stats.event(&skipped(900, 32, SkipReason::ForeignRecord));
    assert_eq!((stats.resyncs, stats.skipped_ranges), (1, 3));
    stats.event(&Event::Withdrawn(0, CUT));
    stats.event(&skipped(1000, 1, SkipReason::DamagedFrame));
    assert_eq!((stats.resyncs, stats.skipped_ranges), (2, 4));
    assert!(!stats.lossless());
}

#[test]
fn a_frame_that_we_cut_ourselves_is_not_lost() {
    for (by_us, lost) in [(true, 0), (false, 1)] {
        let mut stats = Stats::default();
        stats.connected();
        stats.ending(by_us);
        stats.event(&Event::Lost(CUT));
        stats.event(&skipped(0, 3, SkipReason::DamagedFrame));
        stats.disconnected(ByteCounts { received: 3, skipped: 3, ..ByteCounts::default() });
        assert_eq!((stats.frames.lost, stats.frames.unfinished, stats.resyncs), (lost, 1 - lost, 0));
        assert_eq!(stats.lossless(), by_us);
        assert!(stats.balances());
    }
}

#[test]
fn drops_count_as_loss_only_where_keeping_was_promised() {
    for (policy, lossless) in [(crate::hub::Policy::DropOldest(1), true), (crate::hub::Policy::DropNewest(1), false)] {
        let ledger = Ledger::default();
        let (mut lane, taker) = crate::hub::lane("lane", policy);
        ledger.watch(lane.counter());
        lane.offer(1);
        lane.offer(2);
        let stats = ledger.snapshot();
        assert_eq!(stats.lanes, [taker.counts()]);
        assert_eq!((stats.lossless(), stats.balances()), (lossless, true));
    }
}

#[test]
fn the_summary_is_json_with_everything_in_it() {
    let mut stats = Stats::default();
    stats.connected();
    stream(&mut stats, 0..10, |_| true);
    // A running total, begun anew with every connection.
    stats.event(&Event::Record(Record::Dropped(1)));
    stats.event(&Event::Record(Record::Dropped(3)));
    stats.connected();
    stats.event(&Event::Record(Record::Dropped(1)));
    stats.picture(false, 250);
    stats.picture(false, u64::MAX);
    stats.picture(true, 5_000_000);
    stats.shown();
    let json = serde_json::to_value(stats.summary("front door")).unwrap();
    assert_eq!(json["name"], "front door");
    assert_eq!(json["frames"]["confirmed"], 10);
    assert_eq!((&json["frames"]["pictures"], &json["frames"]["shown"]), (&3.into(), &1.into()));
    assert_eq!(json["bytes"]["payload"], 10_000_000);
    assert_eq!(json["dropped_by_camera"], 4);
    assert_eq!(json["latency_us"]["count"], 2, "a stale frame is not late");
    assert_eq!(json["latency_us"]["min"], 250);
    assert_eq!(json["balances"], true);
    assert_eq!(serde_json::to_value(Stats::default().summary("")).unwrap()["latency_us"], serde_json::Value::Null);
}

/// What can happen to a session, as far as its ledger is concerned.
#[derive(Clone, Debug)]
enum Happens {
    Connect,
    Frame { device_us: i64, arrival_ns: u64, stale: bool, bytes: u32, number: Option<u64> },
    Tell { number: u64 },
    Unrecorded { frames: u64, torn: bool },
    Seek,
    Decide { intact: bool },
    Lose,
    Skip { at: u64, len: u32 },
    End { by_us: bool },
}

/// Mostly near to each other, as a camera's are.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..200_u64, 1 => any::<u64>()]
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        1 => Just(Happens::Connect),
        8 => (any::<i64>(), any::<u64>(), any::<bool>(), any::<u32>(), prop::option::of(number()))
            .prop_map(|(device_us, arrival_ns, stale, bytes, number)| {
                Happens::Frame { device_us, arrival_ns, stale, bytes, number }
            }),
        8 => number().prop_map(|number| Happens::Tell { number }),
        1 => (any::<u64>(), any::<bool>()).prop_map(|(frames, torn)| Happens::Unrecorded { frames, torn }),
        1 => Just(Happens::Seek),
        8 => any::<bool>().prop_map(|intact| Happens::Decide { intact }),
        2 => Just(Happens::Lose),
        2 => (any::<u32>(), any::<u32>()).prop_map(|(at, len)| Happens::Skip { at: at.into(), len }),
        1 => any::<bool>().prop_map(|by_us| Happens::End { by_us }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(2),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_books_balance_whatever_happens(all in prop::collection::vec(happens(), 0..200)) {
        let mut stats = Stats::default();
        let mut books = ByteCounts::default();
        let mut provisional = None;
        let (mut frames, mut bytes) = (0, 0);
        for what in all {
            match what {
                Happens::Connect => { stats.attempt(); stats.connected(); }
                // The decoder decides about one frame before it tells the next.
                Happens::Frame { device_us, arrival_ns, stale, bytes: len, number } if provisional.is_none() => {
                    books.received += u64::from(len);
                    books.pending += u64::from(len);
                    bytes += u64::from(len);
                    frames += 1;
                    stats.books(books);
                    let Event::Frame(mut frame) = frame_at(device_us, arrival_ns, stale) else { unreachable!() };
                    Arc::get_mut(&mut frame).expect("nobody else has it").camera_seq = number;
                    stats.event(&Event::Frame(frame));
                    provisional = Some(u64::from(len));
                }
                Happens::Decide { intact } => if let Some(len) = provisional.take() {
                    books.pending -= len;
                    if intact {
                        books.payload += len;
                        stats.event(&Event::Confirmed(0));
                    } else {
                        books.skipped += len;
                        stats.event(&Event::Withdrawn(0, CUT));
                    }
                    stats.books(books);
                },
                Happens::Tell { number } => {
                    stats.event(&Event::Record(Record::Frame { seq: number, device_time: DeviceTime(0) }));
                }
                Happens::Unrecorded { frames, torn } => stats.unrecorded(frames, torn),
                Happens::Seek => stats.sought(),
                Happens::Lose => stats.event(&Event::Lost(CUT)),
                Happens::Skip { at, len } => stats.event(&skipped(at, len.into(), SkipReason::NotAHeader)),
                Happens::End { by_us } => {
                    stats.ending(by_us);
                    if let Some(len) = provisional.take() {
                        books.pending -= len;
                        books.payload += len;
                        stats.event(&Event::Confirmed(0));
                    }
                    stats.disconnected(std::mem::take(&mut books));
                }
                Happens::Frame { .. } => {}
            }
            prop_assert!(stats.balances(), "{stats:?}");
            prop_assert_eq!(stats.frames.received, frames);
            prop_assert_eq!(stats.bytes().received, bytes);
            prop_assert!(stats.frames.stale <= stats.frames.received);
            let counts = stats.numbers().unwrap_or_default();
            prop_assert_eq!(
                u128::from(stats.frames.missing),
                u128::from(stats.frames.estimated) + u128::from(counts.not_sent) + u128::from(counts.damaged),
                "{:?}", stats
            );
            prop_assert!(stats.rates().fps_arrival.is_finite() && stats.rates().jitter_us.is_finite());
        }
        prop_assert!(stats.summary("any").balances);
    }
}
