use proptest::prelude::*;

use super::*;
use crate::frame::{DeviceTime, Frame, Interpreter, Pool, Staleness, Verdict};
use crate::wire::SkipReason;
use crate::wire::detections::DetectionError;
use crate::wire::{Damage, Decoder, Limits, Record, Skipped};

fn frame(device_ms: i64, arrival_ms: u64, stale: bool) -> Event {
    frame_at(device_ms * 1000, arrival_ms * 1_000_000, stale)
}

fn frame_at(device_us: i64, mono_ns: u64, stale: bool) -> Event {
    let mut frame = Frame::with_payload([]);
    (frame.device_time, frame.staleness) = (DeviceTime(device_us), Staleness::Known(stale));
    frame.received = Received { mono_ns, unix_ns: 0 };
    Event::Frame(Arc::new(frame))
}

fn skipped(at: u64, len: u64, reason: SkipReason) -> Event {
    Event::Skipped(Skipped { at, len, reason, found: [0; 32] })
}

const CUT: Damage = Damage::Ended { expected: 10, received: 3 };

/// Streams frames of 1 MB at 40 fps, except those that `keep` rejects.
fn stream(stats: &mut Stats, frames: std::ops::Range<i64>, keep: impl Fn(i64) -> bool) {
    for i in frames.filter(|i| keep(*i)) {
        let books = ByteCounts { received: (i + 1).unsigned_abs() * 1_000_000, ..ByteCounts::default() };
        stats.set_byte_counts(ByteCounts { payload: books.received, ..books });
        stats.event(&frame(25 * i, 1000 + 25 * i.unsigned_abs(), false));
        stats.event(&Event::Confirmed(0));
    }
}

#[test]
fn steady_stream_gives_the_expected_rates() {
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
    assert_eq!(stats.intervals_us().len(), RECENT_FRAMES);
    assert_eq!(stats.intervals_us().max(), Some(50_000), "the interval with the missing frame");
    assert!(stats.balances() && stats.lossless() && !stats.certainly_lossless(), "the missing frame is an estimate");
    let summary = stats.summary("cam");
    assert!((summary.fps - 40.0).abs() < 0.5, "{summary:?}");
    assert_eq!((summary.connections, summary.reconnects), (1, 0));
}

#[test]
fn rates_restart_with_a_seek_and_with_a_new_pace() {
    let ways: [fn(&mut Stats); 2] = [Stats::sought, Stats::restart_rates];
    for restart in ways {
        let mut stats = Stats::default();
        stats.connected();
        stream(&mut stats, 0..100, |_| true);
        assert!((stats.rates().fps_arrival - 40.0).abs() < 0.5);
        restart(&mut stats);
        assert_eq!(stats.rates(), Rates::default(), "not the rate of before");
        // The interval before them does not count, however long it was.
        stream(&mut stats, 1000..1004, |_| true);
        assert!((stats.rates().fps_arrival - 40.0).abs() < 0.5, "{:?}", stats.rates());
    }
}

/// The decoder has decided about a frame before its event is counted, because several frames arrived at once.
#[test]
fn frames_that_are_decided_early_count_in_their_order() {
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    let mut stats = Stats::default();
    stats.connected();
    decoder.opened(Received::default());
    let message = |n: u32| {
        let mut message = format!("{:<32}", format!("IMG 5.{:03} 96 0", 5 * n)).into_bytes();
        message.extend([n as u8; 96]);
        message
    };
    for (frames, arrival_ms) in [(0..8, 200), (8..30, 300)] {
        let bytes: Vec<u8> = frames.flat_map(message).collect();
        decoder.feed(&bytes, Received { mono_ns: arrival_ms * 1_000_000, unix_ns: 0 });
        while let Some(event) = decoder.poll() {
            stats.event(&event);
        }
    }
    assert_eq!((stats.frames.received, stats.frames.stale, stats.frames.estimated), (30, 0, 0));
    assert_eq!(stats.frame_time_us(), Some(5000));
}

#[test]
fn late_arrivals_count_as_jitter_not_as_missing() {
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
fn stale_frames_are_counted_but_excluded_from_the_frame_period() {
    let mut stats = Stats::default();
    stats.connected();
    for i in 0..9 {
        stats.event(&frame(25 * i, 5 * i.unsigned_abs(), true));
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
fn rates_begin_with_the_first_frame_that_turns_out_to_be_fresh() {
    let mut stats = Stats::default();
    stats.connected();
    let arrive = |stats: &mut Stats, device_ms: i64, arrival_ms: u64| {
        let Event::Frame(mut frame) = frame(device_ms, arrival_ms, false) else { unreachable!() };
        let undecided = Staleness::Later(Arc::default());
        Arc::get_mut(&mut frame).expect("the frame has one owner").staleness = undecided;
        stats.event(&Event::Frame(frame));
        stats.event(&Event::Confirmed(0));
    };
    (0..9).for_each(|i| arrive(&mut stats, 25 * i, i.unsigned_abs()));
    assert_eq!((stats.frames.stale, stats.rates().fps_arrival), (0, 0.0), "undecided");
    (0..9).for_each(|id| stats.event(&Event::Aged(Verdict { id, stale: true, period_us: None })));
    (0..100).for_each(|i| stats.event(&frame(60_000 + 25 * i, 9 + 25 * i.unsigned_abs(), false)));
    assert_eq!((stats.frames.stale, stats.frames.missing), (9, 0));
    let summary = stats.summary("");
    for fps in [summary.fps, stats.rates().fps_arrival, stats.rates().fps_device] {
        assert!((39.5..40.5).contains(&fps), "{summary:?}");
    }
}

#[test]
fn the_rate_is_that_of_fresh_frames() {
    let rate = |frames: &[(i64, u64, bool)]| {
        let mut stats = Stats::default();
        stats.connected();
        frames.iter().for_each(|&(taken_ms, arrived_ms, stale)| stats.event(&frame(taken_ms, arrived_ms, stale)));
        stats.summary("").fps
    };
    // The first frame was captured 400 ms before the connection, and sent at once.
    let late = [(0, 1400, false), (500, 1500, false), (1000, 2000, false), (1500, 2500, false), (2000, 3000, false)];
    assert!((rate(&late) - 2.0).abs() < 0.01, "{}", rate(&late));
    // Nine frames waited in the camera.
    let mut waited: Vec<_> = (0..9).map(|n: u32| (i64::from(n) * 500, 5000 + u64::from(n) * 10, true)).collect();
    waited.extend([(60_000, 5100, false), (60_500, 5200, false), (61_000, 5700, false), (61_500, 6200, false)]);
    assert!((rate(&waited) - 2.0).abs() < 0.01, "{}", rate(&waited));
    // Of two frames there is one interval only.
    assert!((rate(&late[..2]) - 10.0).abs() < 0.01, "{}", rate(&late[..2]));
    assert!(rate(&late[..1]).abs() < 0.01);
}

#[test]
fn the_first_interval_of_a_short_run_does_not_count() {
    // 2 s at 30 frames/s; the first frame waited in the camera for nearly a period.
    let mut stats = Stats::default();
    stats.connected();
    for n in 0..61_i64 {
        let received = (n.unsigned_abs() + 1) * 1000;
        stats.set_byte_counts(ByteCounts { received, payload: received, ..ByteCounts::default() });
        let arrival_ns = (n.unsigned_abs() * 1_000_000_000 / 30).max(30_000_000);
        stats.event(&frame_at(n * 1_000_000 / 30, arrival_ns, false));
        stats.event(&Event::Confirmed(0));
    }
    let summary = stats.summary("");
    assert!((summary.fps - 30.0).abs() < 0.01, "{summary:?}");
    assert!((summary.mbit_s - 0.24).abs() < 0.001, "{summary:?}");
    // Two frames have no other interval.
    let mut stats = Stats::default();
    stats.connected();
    (0..2).for_each(|n| stats.event(&frame(500 * n, 500 * n.unsigned_abs(), false)));
    assert_eq!(stats.summary("").fps, 2.0);
}

#[test]
fn clock_going_backwards_counts_as_reboot_also_across_connections() {
    let mut stats = Stats::default();
    stats.connected();
    stream(&mut stats, 100..140, |_| true);
    stream(&mut stats, 0..40, |_| true);
    assert_eq!(stats.reboots, 1);
    stats.disconnected(stats.open);
    stats.connected();
    stream(&mut stats, 60..100, |_| true);
    assert_eq!((stats.reboots, stats.reconnects()), (1, 1), "time passed between the connections");
    stats.disconnected(stats.open);
    stats.connected();
    stream(&mut stats, 0..40, |_| true);
    assert_eq!((stats.reboots, stats.frames.missing), (2, 0));
    assert!(stats.balances());
}

#[test]
fn clock_set_forward_is_not_a_gap_but_a_long_silence_is() {
    let mut stats = Stats::default();
    stats.connected();
    stream(&mut stats, 0..60, |_| true);
    // One frame with the time since 1970, which some Scripts send when their clock is set, then normal times again.
    stats.event(&frame(1_795_259_112_345, 2500, false));
    stats.event(&Event::Confirmed(0));
    stream(&mut stats, 61..100, |_| true);
    assert_eq!((stats.frames.missing, stats.reboots), (0, 1));
    // No data for 15 minutes, because we did not read: the frames that the camera could not send are counted.
    let quarter = 15 * 60 * 40;
    stream(&mut stats, 100 + quarter..140 + quarter, |_| true);
    assert_eq!((stats.frames.missing, stats.reboots), (quarter.unsigned_abs(), 1));
}

#[test]
fn range_reported_in_parts_counts_as_one_range_and_one_resync() {
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
fn frame_truncated_by_us_is_not_lost() {
    for (by_us, lost) in [(true, 0), (false, 1)] {
        let mut stats = Stats::default();
        stats.connected();
        stats.ending(by_us);
        stats.event(&Event::Lost(Damage::Ended { expected: 9, received: 3 }));
        stats.event(&skipped(0, 3, SkipReason::DamagedFrame));
        stats.disconnected(ByteCounts { received: 3, skipped: 3, ..ByteCounts::default() });
        assert_eq!((stats.frames.lost, stats.frames.unfinished, stats.resyncs), (lost, 1 - lost, 0));
        assert_eq!(stats.lossless(), by_us);
        assert!(stats.balances());
    }
}

#[test]
fn drops_count_as_loss_only_in_lossless_lanes() {
    for (policy, lossless) in [(crate::hub::Policy::DropOldest(1), true), (crate::hub::Policy::DropNewest(1), false)] {
        let ledger = Ledger::default();
        let (mut lane, _taker) = crate::hub::lane("lane", policy);
        let counter = lane.counter();
        ledger.watch(lane.counter());
        lane.offer(1);
        lane.offer(2);
        let stats = ledger.snapshot();
        assert_eq!(stats.lanes, [counter.counts()]);
        assert_eq!((stats.lossless(), stats.balances()), (lossless, true));
    }
}

#[test]
fn any_number_of_lanes_takes_bounded_memory_and_no_item_is_forgotten() {
    let ledger = Ledger::default();
    let recording = |items: u64| {
        let (mut lane, taker) = crate::hub::lane("record", crate::hub::Policy::DropNewest(2));
        ledger.watch(lane.counter());
        (0..items).for_each(|item| lane.offer(item));
        assert!(taker.try_take().is_some());
        (lane, taker)
    };
    let runs = recording(1);
    (0..1000).for_each(|_| drop(recording(4)));
    let last = recording(1);
    let counts = || -> Vec<_> {
        let lanes = ledger.snapshot().lanes;
        lanes.iter().map(|lane| (lane.offered, lane.taken, lane.dropped, lane.queued)).collect()
    };
    assert_eq!(counts(), [(4000, 1000, 2000, 1000), (1, 1, 0, 0), (1, 1, 0, 0)]);
    drop((runs, last));
    ledger.watch(crate::hub::lane::<()>("decode", crate::hub::Policy::DropOldest(1)).0.counter());
    assert_eq!(counts(), [(4002, 1002, 2000, 1000), (0, 0, 0, 0)], "another name");
    assert!(ledger.snapshot().balances());
}

#[test]
fn summary_serializes_all_counts() {
    let mut stats = Stats::default();
    stats.connected();
    stream(&mut stats, 0..10, |_| true);
    // The camera sends a running total, which restarts with every connection.
    stats.event(&Event::Record(Record::Dropped(1)));
    stats.event(&Event::Record(Record::Dropped(3)));
    stats.connected();
    stats.event(&Event::Record(Record::Dropped(1)));
    stats.picture(false, 250);
    stats.picture(false, u64::MAX);
    stats.picture(true, 5_000_000);
    stats.shown();
    let json = serde_json::to_value(stats.summary("front door")).unwrap();
    assert_eq!(json["camera"], "front door");
    assert_eq!(json["frames"]["confirmed"], 10);
    assert_eq!((&json["frames"]["pictures"], &json["frames"]["shown"]), (&3.into(), &1.into()));
    assert_eq!(json["bytes"]["payload"], 10_000_000);
    assert_eq!(json["dropped_by_camera"], 4);
    assert_eq!(json["latency_us"]["count"], 2, "latencies of stale frames are ignored");
    assert_eq!(json["latency_us"]["min"], 250);
    assert_eq!(json["balances"], true);
    assert_eq!(serde_json::to_value(Stats::default().summary("")).unwrap()["latency_us"], serde_json::Value::Null);
}

/// A call that a session makes on its ledger.
#[derive(Clone, Debug)]
enum Call {
    Connect,
    Frame { device_us: i64, arrival_ns: u64, stale: bool, bytes: u32, number: Option<u64> },
    Announce { number: u64 },
    MissingInRecording { frames: u64, torn: bool },
    Seek,
    Repeat { repeats: bool },
    Decide { intact: bool },
    Lose,
    Skip { at: u64, len: u32 },
    End { by_us: bool },
}

/// Generates frame numbers that are mostly close to each other, like a camera's.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..200_u64, 1 => any::<u64>()]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        1 => Just(Call::Connect),
        8 => (any::<i64>(), any::<u64>(), any::<bool>(), any::<u32>(), prop::option::of(number()))
            .prop_map(|(device_us, arrival_ns, stale, bytes, number)| {
                Call::Frame { device_us, arrival_ns, stale, bytes, number }
            }),
        8 => number().prop_map(|number| Call::Announce { number }),
        1 => (any::<u64>(), any::<bool>()).prop_map(|(frames, torn)| Call::MissingInRecording { frames, torn }),
        1 => Just(Call::Seek),
        1 => any::<bool>().prop_map(|repeats| Call::Repeat { repeats }),
        8 => any::<bool>().prop_map(|intact| Call::Decide { intact }),
        2 => Just(Call::Lose),
        2 => (any::<u32>(), any::<u32>()).prop_map(|(at, len)| Call::Skip { at: at.into(), len }),
        1 => any::<bool>().prop_map(|by_us| Call::End { by_us }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(2),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn counts_balance_after_every_call(calls in prop::collection::vec(call(), 0..200)) {
        let mut stats = Stats::default();
        let mut books = ByteCounts::default();
        let mut provisional = None;
        let (mut frames, mut bytes) = (0, 0);
        for call in calls {
            match call {
                Call::Connect => { stats.attempt(); stats.connected(); }
                // The decoder confirms or withdraws a frame before it reports the next one.
                Call::Frame { device_us, arrival_ns, stale, bytes: len, number } if provisional.is_none() => {
                    books.received += u64::from(len);
                    books.pending += u64::from(len);
                    bytes += u64::from(len);
                    frames += 1;
                    stats.set_byte_counts(books);
                    let Event::Frame(mut frame) = frame_at(device_us, arrival_ns, stale) else { unreachable!() };
                    Arc::get_mut(&mut frame).expect("the frame has one owner").camera_seq = number;
                    stats.event(&Event::Frame(frame));
                    provisional = Some(u64::from(len));
                }
                Call::Decide { intact } => if let Some(len) = provisional.take() {
                    books.pending -= len;
                    if intact {
                        books.payload += len;
                        stats.event(&Event::Confirmed(0));
                    } else {
                        books.skipped += len;
                        stats.event(&Event::Withdrawn(0, CUT));
                    }
                    stats.set_byte_counts(books);
                },
                Call::Announce { number } => {
                    stats.event(&Event::Record(Record::Frame { seq: number, device_time: DeviceTime(0) }));
                }
                Call::MissingInRecording { frames, torn } => stats.missing_in_recording(frames, torn, ""),
                Call::Seek => stats.sought(),
                Call::Repeat { repeats } => stats.repeats(repeats),
                Call::Lose => stats.event(&Event::Lost(CUT)),
                Call::Skip { at, len } => stats.event(&skipped(at, len.into(), SkipReason::NotAHeader)),
                Call::End { by_us } => {
                    stats.ending(by_us);
                    if let Some(len) = provisional.take() {
                        books.pending -= len;
                        books.payload += len;
                        stats.event(&Event::Confirmed(0));
                    }
                    stats.disconnected(std::mem::take(&mut books));
                }
                Call::Frame { .. } => {}
            }
            prop_assert!(stats.balances(), "{stats:?}");
            prop_assert_eq!(stats.frames.received, frames);
            prop_assert_eq!(stats.bytes().received, bytes);
            prop_assert!(stats.frames.stale <= stats.frames.received);
            let counts = stats.numbers().unwrap_or_default();
            let without_a_byte = counts.damaged.saturating_sub(stats.frames.lost).max(stats.missing_in_recording);
            let missing = stats.frames.estimated.saturating_add(counts.not_sent).saturating_add(without_a_byte);
            prop_assert_eq!(stats.frames.missing, missing, "{:?}", stats);
            prop_assert!(stats.rates().fps_arrival.is_finite() && stats.rates().jitter_us.is_finite());
        }
        prop_assert!(stats.summary("any").balances);
    }
}

#[test]
fn every_kind_of_damage_is_a_loss_with_a_place() {
    let numbered = |seqs: &'static [u64]| {
        let events = seqs.iter().flat_map(|seq| {
            let record = Record::Frame { seq: *seq, device_time: DeviceTime(0) };
            let mut frame = Frame::default();
            frame.camera_seq = Some(*seq);
            [Event::Record(record), Event::Frame(frame.into())]
        });
        events.collect::<Vec<_>>()
    };
    let junk = |len| vec![skipped(0, len, SkipReason::NotAHeader)];
    for (name, events, lossless) in [
        ("foreign record", vec![skipped(0, 64, SkipReason::ForeignRecord)], true),
        ("junk", junk(64), false),
        ("too large", vec![skipped(0, 32, SkipReason::TooLarge { claimed: 999_999_999 })], false),
        ("damaged frame", vec![skipped(0, 9, SkipReason::DamagedFrame)], false),
        ("withdrawn", vec![frame(0, 0, false), Event::Withdrawn(0, CUT)], false),
        ("lost", vec![Event::Lost(CUT)], false),
        ("detections", vec![Event::BadDetections(DetectionError::TooMany { limit: 2 })], false),
        ("numbers", numbered(&[1, 2, 3]), true),
        ("numbers with a gap", numbered(&[1, 2, 5]), false),
        ("drops of the camera", vec![Event::Record(Record::Dropped(3))], false),
    ] {
        let mut stats = Stats::default();
        stats.connected();
        events.iter().for_each(|event| stats.event(event));
        assert_eq!((stats.lossless(), stats.certainly_lossless()), (lossless, lossless), "{name}");
        if name != "drops of the camera" {
            assert_eq!(stats.first_damage.is_none(), lossless, "{name}: {:?}", stats.first_damage);
        }
    }
    // Noise that lasts until we leave was damage; the beginning of a message was not.
    for (len, found, lossless) in [(64, b'x', false), (1 << 30, b'x', false), (20, b'I', true)] {
        let mut stats = Stats::default();
        stats.connected();
        stats.ending(true);
        let Event::Skipped(skip) = skipped(0, len, SkipReason::NotAHeader) else { unreachable!() };
        let mut bytes = [0; 32];
        bytes[..5].copy_from_slice(if found == b'I' { b"IMG 1" } else { b"xxxxx" });
        stats.event(&Event::Skipped(Skipped { found: bytes, ..skip }));
        assert_eq!(stats.lossless(), lossless, "{len} bytes");
    }
}

#[test]
fn reconnects_and_reboots_are_doubts_not_losses() {
    let mut stats = Stats::default();
    // A server answers 503 until its camera has started.
    for _ in 0..7 {
        stats.connected();
        stats.disconnected(ByteCounts::default());
    }
    stats.connected();
    stats.event(&frame(0, 1000, false));
    stats.event(&Event::Confirmed(0));
    assert_eq!((stats.connections, stats.reconnects()), (8, 0));
    assert!(stats.certainly_lossless());
    stats.disconnected(ByteCounts::default());
    stats.connected();
    assert_eq!((stats.connections, stats.reconnects()), (9, 1));
    assert!(stats.lossless() && !stats.certainly_lossless());
}

#[test]
fn frames_dropped_before_we_connected_are_not_losses() {
    // The camera's queue was full: 4 old frames, then the present. They arrive in a burst, or as slowly as the host reads.
    for between_ms in [5, 240] {
        let mut stats = Stats::default();
        stats.connected();
        let frame_at = |stats: &mut Stats, number: u64, at_ms: u64, stale: bool| {
            let device_time = DeviceTime(250_000 * number.cast_signed());
            let received = Received { mono_ns: at_ms * 1_000_000, unix_ns: 0 };
            stats.set_arrived(received);
            stats.event(&Event::Record(Record::Frame { seq: number, device_time }));
            let mut frame = Frame::with_payload([]);
            (frame.camera_seq, frame.device_time, frame.received, frame.staleness) =
                (Some(number), device_time, received, Staleness::Known(stale));
            stats.event(&Event::Frame(Arc::new(frame)));
            stats.event(&Event::Confirmed(0));
        };
        (1..5).for_each(|number| frame_at(&mut stats, number, 1000 + between_ms * number, true));
        // The camera counts before it sends the number.
        stats.event(&Event::Record(Record::Dropped(15)));
        (20..40).for_each(|number| frame_at(&mut stats, number, 2000 + 250 * (number - 20), false));
        let numbers = stats.numbers().expect("numbers");
        assert_eq!((numbers.away, numbers.not_sent, stats.dropped_by_camera), (15, 0, 0), "{between_ms} ms");
        assert!(stats.certainly_lossless() && stats.balances(), "{:?}", stats.findings());
        let fps = stats.summary("").fps;
        assert!((3.9..4.1).contains(&fps), "{fps} fps with a backlog at {between_ms} ms");
        // Frames that are dropped later count.
        stats.event(&Event::Record(Record::Dropped(17)));
        frame_at(&mut stats, 42, 7500, false);
        let numbers = stats.numbers().expect("numbers");
        assert_eq!((numbers.away, numbers.not_sent, stats.dropped_by_camera), (15, 2, 2), "{between_ms} ms");
        // On the next connection the camera counts from 0.
        stats.disconnected(stats.open);
        stats.connected();
        stats.event(&Event::Record(Record::Dropped(1)));
        assert_eq!(stats.dropped_by_camera, 3);
    }
}

#[test]
fn a_loss_has_one_number() {
    // Frames dropped by the camera have numbers that it leaves out.
    let mut stats = Stats::default();
    stats.connected();
    let numbered = |stats: &mut Stats, seq: u64| {
        let device_time = DeviceTime(25_000 * seq.cast_signed());
        stats.event(&Event::Record(Record::Frame { seq, device_time }));
        let mut frame = Frame::default();
        (frame.camera_seq, frame.device_time) = (Some(seq), device_time);
        stats.event(&Event::Frame(Arc::new(frame)));
    };
    (0..20).for_each(|seq| numbered(&mut stats, seq));
    stats.event(&Event::Record(Record::Dropped(43)));
    (63..70).for_each(|seq| numbered(&mut stats, seq));
    let texts = |stats: &Stats| stats.findings().into_iter().map(|finding| finding.text).collect::<Vec<_>>();
    assert_eq!(texts(&stats), ["43 frames not sent"]);
    stats.event(&Event::Record(Record::Dropped(45)));
    assert_eq!(texts(&stats), ["43 frames not sent", "2 frames dropped by the camera"]);
    assert_eq!((stats.frames.missing, stats.frames.lost), (43, 0));

    // Frames without numbers of which a part arrived leave gaps in the rhythm.
    let mut stats = Stats::default();
    stats.connected();
    for n in 0..60 {
        if n % 5 == 4 {
            stats.event(&Event::Lost(Damage::Truncated { expected: 9, received: 3 }));
            continue;
        }
        let mut frame = Frame::default();
        frame.device_time = DeviceTime(25_000 * n);
        stats.event(&Event::Frame(Arc::new(frame)));
    }
    assert_eq!(texts(&stats), ["12 lost frames"]);
    assert_eq!((stats.frames.missing, stats.frames.estimated), (0, 0));
}

#[test]
fn a_camera_that_sends_no_frame_is_not_lossless() {
    let mut stats = Stats::default();
    stats.begin(1_000_000_000);
    stats.attempt();
    stats.connected();
    stats.advance(7_000_000_000);
    let finding = Finding { count: "down_at_end", weight: Weight::Down, text: "no frame received in 6.0 s".to_owned() };
    assert_eq!(stats.findings(), [finding]);
    assert!(!stats.lossless() && !stats.certainly_lossless() && stats.down_at_end());
    let summary = stats.summary("");
    assert_eq!((summary.not_streaming_seconds, summary.watched_seconds), (6.0, 6.0));
    stats.dismiss_outage();
    assert!(stats.findings().is_empty(), "a recording that was not reached: {:?}", stats.findings());
}

#[test]
fn time_without_a_stream_is_a_doubt_and_at_the_end_a_reason() {
    let mut stats = Stats::default();
    stats.outage(1);
    stats.connected();
    stream(&mut stats, 0..41, |_| true);
    assert!(stats.rates().fps_arrival > 39.0);
    stats.outage(2_100_000_000);
    assert_eq!(stats.rates(), Rates::default(), "no frames arrive");
    stream(&mut stats, 81..121, |_| true);
    stats.advance(5_000_000_000);
    let text = |stats: &Stats| stats.findings().last().map(|finding| (finding.weight, finding.text.clone()));
    let doubt = (Weight::Doubt, "not streaming for 0.9 s of 4.0 s".to_owned());
    assert_eq!(text(&stats), Some(doubt));
    assert!(stats.rates().fps_arrival > 0.0, "frames arrive again");
    stats.frames.estimated = 0;
    stats.outage(4_100_000_000);
    stats.advance(9_000_000_000);
    let down = (Weight::Down, "not streaming for 5.8 s of 8.0 s, not at the end either".to_owned());
    assert_eq!(text(&stats), Some(down));
    assert!(stats.lossless() && !stats.certainly_lossless());
    let summary = stats.summary("");
    assert!(summary.down_at_end && (summary.not_streaming_seconds - 5.825).abs() < 1e-6, "{summary:?}");
    stats.dismiss_outage();
    assert!(!stats.down_at_end());
}

/// A camera that connects to us fills the system's buffer before we accept.
#[test]
fn a_long_backlog_does_not_inflate_the_rates() {
    let mut stats = Stats::default();
    stats.connected();
    let frames = |stats: &mut Stats, number: i64, arrival_ms: u64| {
        let received = (number + 1).unsigned_abs() * 1000;
        stats.set_byte_counts(ByteCounts { received, payload: received, ..ByteCounts::default() });
        stats.event(&frame(25 * number, arrival_ms, false));
        stats.event(&Event::Confirmed(0));
    };
    (0..200).for_each(|number| frames(&mut stats, number, 1000 + number.unsigned_abs() / 10));
    (200..300).for_each(|number| frames(&mut stats, number, 1020 + 25 * (number.unsigned_abs() - 200)));
    let summary = stats.summary("cam");
    assert!((39.0..41.0).contains(&summary.fps), "{} fps", summary.fps);
    assert!((0.31..0.33).contains(&summary.mbit_s), "{} Mbit/s", summary.mbit_s);
    assert!((39.0..41.0).contains(&stats.rates().fps_arrival), "{:?}", stats.rates());

    // A sender that is faster than its clock says has no backlog.
    let mut fast = Stats::default();
    fast.connected();
    (0..500).for_each(|number| frames(&mut fast, number, 1000 + 2 * number.unsigned_abs()));
    assert!((495.0..505.0).contains(&fast.summary("cam").fps), "{} fps", fast.summary("cam").fps);
}
