//! Replay of recordings: as a source, in a view, and on the wire.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oaktap::convert::Converter;
use oaktap::frame::{Frame, Interpreter, Picture, Pool};
use oaktap::hub::{Policy, lane};
use oaktap::live::{Camera, Live};
use oaktap::overlay::Style;
use oaktap::recording::schema::RecordedIncident;
use oaktap::recording::{ClockModel, Compression, Playback, SegmentWriter, Speed};
use oaktap::source::{FileSpec, Outlets, Outside, Session, SessionOptions, SessionState, SourceSpec};
use oaktap::view::{View, ViewOptions};
use oaktap::wire::{Decoder, Event, Limits};

use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use crate::recordings::{MS, Recording, START_NS, arriving, camera, taken_ns, write};

/// Longer than any operation takes on a busy machine.
const AGES: Duration = Duration::from_secs(60);

/// Time between two frames.
const STEP: Duration = Duration::from_millis(40);

/// A frame's contents, without its connection and arrival time.
fn identity(frame: &Frame) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        (frame.header.clone(), frame.detection_text.clone(), frame.records.clone(), frame.dialect, frame.device_time),
        (frame.detections.clone(), frame.labels.clone(), frame.camera_seq, frame.received.unix_ns, frame.is_stale()),
        (frame.kind, frame.geometry, crc32fast::hash(frame.payload()), frame.payload().len()),
    )
}

fn spec(recording: &Recording) -> FileSpec {
    FileSpec::new(recording.path())
}

/// A session that sends each frame with the time of the (paused) clock at its delivery.
fn play(spec: FileSpec, options: SessionOptions) -> (Session, UnboundedReceiver<(Duration, Arc<Frame>)>) {
    let (tx, rx) = unbounded_channel();
    let begin = Instant::now();
    let outlets = Outlets::default();
    outlets.confirmed.tap(move |frame: &Arc<Frame>| {
        // A test that has seen enough does not listen any more.
        let _ = tx.send((begin.elapsed(), Arc::clone(frame)));
    });
    (Session::start("cam", SourceSpec::File(spec), options, outlets, &Handle::current()), rx)
}

async fn ended(session: &Session) -> SessionState {
    let mut changes = session.changes();
    changes.wait_for(|state| matches!(state, SessionState::Ended { .. })).await.unwrap().clone()
}

/// The next frame, and the frame times from the start of the recording until it arrived.
async fn next(frames: &mut UnboundedReceiver<(Duration, Arc<Frame>)>) -> i64 {
    let (_, frame) = frames.recv().await.expect("a frame");
    (frame.received.unix_ns - START_NS) / MS / 40
}

#[tokio::test(start_paused = true)]
async fn frames_come_again_as_they_came_the_first_time() {
    let recording = Recording::new(&["size=64x48&boxes=4&records=on"], 30);
    for (speed, step) in [(1.0, STEP), (0.25, 4 * STEP), (4.0, STEP / 4)] {
        let file = FileSpec { speed: Speed::Times(speed), ..spec(&recording) };
        let (session, mut frames) = play(file, SessionOptions::default());
        let SessionState::Ended { error: None } = ended(&session).await else { panic!("{}", session.state()) };
        for (at, sent) in (0..).zip(&recording.frames[0]) {
            let (moment, frame) = frames.recv().await.expect("every frame");
            assert_eq!(identity(&frame), identity(sent));
            assert_eq!(moment.as_millis(), (step * at).as_millis(), "{speed} times as fast, frame {at}");
        }
        assert!(frames.recv().await.is_none());
        let stats = session.stats();
        assert!(stats.balances() && stats.lossless());
        assert_eq!((stats.frames.confirmed, stats.frames.pending, stats.bytes().skipped), (30, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn pause_step_and_seek() {
    let recording = Recording::new(&["size=64x48"], 100);
    let (session, mut frames) = play(spec(&recording), SessionOptions::default());
    let playback = session.playback().expect("a recording has one").clone();
    for at in 0..10 {
        assert_eq!(next(&mut frames).await, at);
    }
    playback.pause(true);
    tokio::time::sleep(AGES).await;
    assert!(frames.try_recv().is_err(), "the clock is paused");
    assert_eq!(playback.status().position_ns, Some(START_NS + 9 * 40 * MS));

    playback.step();
    assert_eq!(next(&mut frames).await, 10);
    playback.step();
    playback.step();
    assert_eq!([next(&mut frames).await, next(&mut frames).await], [11, 12]);
    tokio::time::sleep(AGES).await;
    assert!(frames.try_recv().is_err());

    let (first, last) = playback.status().span_ns.expect("the file contains it");
    assert_eq!((first, last), (START_NS, START_NS + 99 * 40 * MS));
    // Between two frames, and in the middle of a chunk.
    playback.seek(START_NS + 62 * 40 * MS - 1);
    assert_eq!(next(&mut frames).await, 62);
    playback.seek_by(-50 * 40 * MS);
    assert_eq!(next(&mut frames).await, 12);
    playback.seek_by(i64::MIN);
    assert_eq!(next(&mut frames).await, 0);
    playback.seek_by(i64::MAX);
    assert_eq!(next(&mut frames).await, 99);
    tokio::time::sleep(AGES).await;
    assert!(frames.try_recv().is_err());

    playback.seek(START_NS + 90 * 40 * MS);
    playback.pause(false);
    for at in 90..100 {
        assert_eq!(next(&mut frames).await, at);
    }
    ended(&session).await;
    assert!(frames.recv().await.is_none());
    let stats = session.stats();
    assert!(stats.balances() && stats.lossless());
    assert_eq!(
        (stats.reboots, stats.reconnects(), stats.frames.missing),
        (0, 0, 0),
        "a seek is not a fault of the camera"
    );
}

/// The rate of a replay is that of its frames: neither a pause nor the frames at another speed or before a seek belong to it.
#[tokio::test(start_paused = true)]
async fn a_pause_another_speed_and_a_seek_restart_the_rate() {
    let recording = Recording::new(&["size=64x48"], 100);
    let (session, mut frames) = play(spec(&recording), SessionOptions::default());
    let playback = session.playback().expect("a recording has one").clone();
    let ways: [(&str, &dyn Fn()); 3] = [
        ("pause", &|| playback.pause(false)),
        ("speed", &|| playback.set_speed(Speed::Times(2.0))),
        ("seek", &|| playback.seek(START_NS + 60 * 40 * MS)),
    ];
    for (way, change) in ways {
        for _ in 0..10 {
            next(&mut frames).await;
        }
        assert!(session.stats().intervals_us().len() >= 8, "{way}");
        if way == "pause" {
            playback.pause(true);
            tokio::time::sleep(AGES).await;
        }
        change();
        for _ in 0..4 {
            next(&mut frames).await;
        }
        let intervals = session.stats().intervals_us().len();
        assert!((2..5).contains(&intervals), "{way}: {intervals}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_loop_begins_again_until_it_is_stopped() {
    let recording = Recording::new(&["size=64x48"], 7);
    let file = FileSpec { looped: true, ..spec(&recording) };
    let (session, mut frames) = play(file, SessionOptions::default());
    for at in 0..30 {
        assert_eq!(next(&mut frames).await, at % 7);
    }
    session.stop();
    let SessionState::Ended { error: None } = ended(&session).await else { panic!("{}", session.state()) };
}

#[tokio::test(start_paused = true)]
async fn a_held_playback_waits_at_the_end() {
    let recording = Recording::new(&["size=64x48"], 7);
    let playback = Playback::new(Speed::Max, false).waiting_at_end();
    let options = SessionOptions { playback: Some(playback.clone()), ..SessionOptions::default() };
    let (session, mut frames) = play(spec(&recording), options);
    for at in 0..7 {
        assert_eq!(next(&mut frames).await, at);
    }
    tokio::time::sleep(AGES).await;
    assert!(playback.status().ended && !session.ended());
    playback.seek(START_NS + 5 * 40 * MS);
    assert_eq!([next(&mut frames).await, next(&mut frames).await], [5, 6]);
    session.stop();
    ended(&session).await;
}

#[tokio::test(start_paused = true)]
async fn several_cameras_keep_together() {
    let recording = Recording::new(&["size=64x48", "size=64x48&seed=2", "size=64x48&seed=3"], 20);
    let playback = Playback::new(Speed::Times(2.0), false);
    let options = SessionOptions { playback: Some(playback.clone()), ..SessionOptions::default() };
    let camera = |n: usize| FileSpec { camera: Some(format!("cam {n}")), ..spec(&recording) };
    let mut playing: Vec<_> = (0..3).map(|n| play(camera(n), options.clone())).collect();
    let mut early = Vec::new();
    for (n, (session, frames)) in playing.iter_mut().enumerate() {
        ended(session).await;
        for (at, sent) in (0..).zip(&recording.frames[n]) {
            let (moment, frame) = frames.recv().await.expect("every frame");
            assert_eq!(identity(&frame), identity(sent));
            // 40 ms between frames and 10 ms between cameras, at double speed. Frames that were due before the first of
            // them was read arrive at once.
            if at > 0 {
                early.push(20 * at + 5 * n as i64 - moment.as_millis() as i64);
            }
        }
    }
    // The frame that is read first is on time, and so are the others.
    assert!([0, 5, 10].contains(&early[0]) && early.iter().all(|by| *by == early[0]), "{early:?}");
    let (session, _) = play(spec(&recording), SessionOptions::default());
    let SessionState::Ended { error: Some(error) } = ended(&session).await else { panic!("one must be named") };
    let text = error.to_string();
    assert!(text.starts_with("this recording has 3 cameras: cam 0, cam 1, cam 2\n  from   file:"), "{text}");
    assert_eq!(error.help().as_deref(), Some("select a camera with file:PATH?camera=NAME"));
}

/// A recording of 30 frames, 40 ms apart, in three files with a pause of 10 s before the last.
fn split_recording() -> (tempfile::TempDir, FileSpec, Vec<Arc<Frame>>) {
    let config = "size=64x48&boxes=4&records=on".parse().expect("a configuration");
    let frames = arriving(&config, 30, |n| (40 * n + if n < 20 { 0 } else { 10_000 }) * MS);
    let folder = tempfile::tempdir().unwrap();
    let path = |n: usize| folder.path().join(format!("{n}.mcap"));
    for (n, part) in frames.chunks(10).enumerate() {
        write(&path(n), Compression::None, &[(camera("cam"), part.to_vec())]);
    }
    let spec = FileSpec { later: vec![path(1), path(2)], camera: Some("cam".to_owned()), ..FileSpec::new(path(0)) };
    (folder, spec, frames)
}

#[tokio::test(start_paused = true)]
async fn consecutive_files_play_as_one_recording() {
    let (_folder, spec, sent) = split_recording();
    let (session, mut frames) = play(spec, SessionOptions::default());
    let SessionState::Ended { error: None } = ended(&session).await else { panic!("{}", session.state()) };
    for (at, sent) in (0..).zip(&sent) {
        let (moment, frame) = frames.recv().await.expect("every frame");
        assert_eq!(identity(&frame), identity(sent));
        // The pause of 10 s between two files is skipped after 2 s.
        let due_ms = 40 * at + if at < 20 { 0 } else { 2000 - 40 };
        assert_eq!(moment.as_millis(), due_ms, "frame {at}");
    }
    assert!(frames.recv().await.is_none());
    let stats = session.stats();
    assert!(stats.balances() && stats.lossless());
    assert_eq!((stats.frames.confirmed, stats.connections), (30, 1));
}

#[tokio::test(start_paused = true)]
async fn seeks_and_steps_cross_the_borders_of_files() {
    let (_folder, spec, sent) = split_recording();
    let playback = Playback::new(Speed::Times(1.0), false).waiting_at_end();
    playback.pause(true);
    let options = SessionOptions { playback: Some(playback.clone()), ..SessionOptions::default() };
    let (_session, mut frames) = play(spec, options);
    let mut expect = async |at: usize| {
        let (_, frame) = frames.recv().await.expect("a frame");
        assert_eq!(frame.received.unix_ns, sent[at].received.unix_ns, "frame {at}");
    };
    playback.seek(sent[20].received.unix_ns);
    expect(20).await;
    assert_eq!(playback.status().span_ns, Some((sent[0].received.unix_ns, sent[29].received.unix_ns)));
    // Back over the pause, and over the first border.
    playback.step_back();
    expect(19).await;
    playback.step();
    expect(20).await;
    playback.seek(sent[10].received.unix_ns);
    expect(10).await;
    playback.step_back();
    expect(9).await;
    playback.step();
    expect(10).await;
    // In the pause, the next frame is the first one after it.
    playback.seek(sent[19].received.unix_ns + 1);
    expect(20).await;
    playback.seek(0);
    expect(0).await;
}

/// A recording that begins with a connection and goes on for a second after its last frame, like those of the recorder.
fn connected_recording(path: &Path, frames: &[Arc<Frame>]) {
    let file = std::fs::File::create_new(path).expect("a new file");
    let mut writer = SegmentWriter::new(file, Compression::None, &[camera("cam")], START_NS).expect("a recording");
    let incident = |writer: &mut SegmentWriter<std::fs::File>, kind: &str, at_ns| {
        let incident = RecordedIncident { kind: kind.to_owned(), ..RecordedIncident::default() };
        writer.incident(0, &incident, at_ns).expect("write");
    };
    incident(&mut writer, "connected", START_NS);
    for frame in frames {
        writer.frame(0, frame, taken_ns(frame)).expect("write");
    }
    incident(&mut writer, "disconnected", frames.last().expect("frames").received.unix_ns + 1000 * MS);
    writer.finish(&[ClockModel::default().metadata()]).expect("write");
}

#[tokio::test(start_paused = true)]
async fn a_seek_shows_the_last_frame_behind_the_end_and_opens_no_connection() {
    let config = "size=64x48&records=on".parse().expect("a configuration");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    connected_recording(&path, &arriving(&config, 20, |n| 40 * n * MS));
    let playback = Playback::new(Speed::Times(1.0), false).waiting_at_end();
    playback.pause(true);
    let options = SessionOptions { playback: Some(playback.clone()), ..SessionOptions::default() };
    let (session, mut frames) = play(FileSpec::new(path), options);
    playback.seek(START_NS + 5 * 40 * MS);
    assert_eq!(next(&mut frames).await, 5);
    playback.seek(i64::MAX);
    assert_eq!(next(&mut frames).await, 19);
    assert_eq!(playback.status().position_ns, Some(START_NS + 19 * 40 * MS), "the time of the picture");
    playback.step_back();
    assert_eq!(next(&mut frames).await, 18);
    playback.seek(i64::MIN);
    assert_eq!(next(&mut frames).await, 0);
    playback.step();
    assert_eq!(next(&mut frames).await, 1);
    assert_eq!(session.stats().connections, 1);
}

/// Two recordings of one camera: the recorder connected again, or was started again while the camera streamed on.
#[tokio::test(start_paused = true)]
async fn nothing_is_missing_between_recordings_that_were_made_apart() {
    let config = |options: &str| format!("size=64x48&{options}").parse().expect("a configuration");
    for (options, from) in [("records=on", 0), ("records=off", 0), ("records=on", 300), ("records=off", 300)] {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second) = (folder.path().join("0.mcap"), folder.path().join("1.mcap"));
        let whole = arriving(&config(options), 330, |n| 40 * n * MS);
        connected_recording(&first, &whole[..30]);
        if from == 0 {
            connected_recording(&second, &arriving(&config(options), 30, |n| (3_600_000 + 40 * n) * MS));
        } else {
            write(&second, Compression::None, &[(camera("cam"), whole[from..].to_vec())]);
        }
        let file = FileSpec { later: vec![second], camera: Some("cam".to_owned()), ..FileSpec::new(first) };
        let (session, _frames) = play(file, SessionOptions::default());
        let SessionState::Ended { error: None } = ended(&session).await else { panic!("{}", session.state()) };
        let stats = session.stats();
        assert!(stats.balances());
        assert_eq!(stats.frames.received, 60, "{options}");
        let texts: Vec<_> = stats.findings().into_iter().map(|finding| finding.text).collect();
        assert_eq!(texts, Vec::<String>::new(), "{options}, second recording from frame {from}");
    }
}

/// Frames like those of a camera from which 4 to 6 and 15 are missing, and which counts these drops.
fn frames_with_losses() -> Vec<Arc<Frame>> {
    let config = "size=64x48&records=on".parse().expect("a configuration");
    let frames = arriving(&config, 30, |n| 40 * n * MS);
    let is_left_out = |n: usize| (4..=6).contains(&n) || n == 15;
    let drops = |n: usize| format!("@Q drop={}", (0..n).filter(|n| is_left_out(*n)).count());
    let kept = frames.iter().enumerate().filter(|(n, _)| !is_left_out(*n));
    with_records(kept.map(|(n, frame)| (&**frame, Some(drops(n)))))
}

/// The same frames with one more record each.
fn with_records<'a>(frames: impl Iterator<Item = (&'a Frame, Option<String>)>) -> Vec<Arc<Frame>> {
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    let mut again = Vec::new();
    for (frame, record) in frames {
        let line = record.map_or_else(String::new, |record| format!("{record:32}"));
        let mut bytes = [line.as_bytes(), &frame.records, &frame.header, &frame.detection_text].concat();
        bytes.extend(frame.payload());
        decoder.feed(&bytes, frame.received);
        again.extend(std::iter::from_fn(|| decoder.poll()).filter_map(|event| match event {
            Event::Frame(frame) => Some(frame),
            _ => None,
        }));
    }
    again
}

#[tokio::test(start_paused = true)]
async fn seeks_neither_count_twice_nor_as_losses() {
    let recording = Recording::of(vec![frames_with_losses()]);
    let playback = Playback::new(Speed::Max, false).waiting_at_end();
    let options = SessionOptions { playback: Some(playback.clone()), ..SessionOptions::default() };
    let (session, mut frames) = play(spec(&recording), options);
    let to_end = async |frames: &mut UnboundedReceiver<_>| while next(frames).await != 29 {};
    let counts = || {
        let stats = session.stats();
        assert!(stats.balances());
        let numbers = stats.numbers().expect("numbers");
        (numbers.numbers, numbers.came, numbers.not_sent, stats.dropped_by_camera, stats.frames.missing)
    };
    to_end(&mut frames).await;
    assert_eq!(counts(), (30, 26, 4, 4, 4));
    for target_ns in [i64::MIN, START_NS + 5 * 40 * MS, START_NS + 28 * 40 * MS, START_NS + 10 * 40 * MS] {
        playback.seek(target_ns);
        to_end(&mut frames).await;
        assert_eq!(counts(), (30, 26, 4, 4, 4), "after a seek to {target_ns}");
    }
    let stats = session.stats();
    assert_eq!((stats.frames.received - stats.frames.repeated, stats.reconnects(), stats.reboots), (26, 0, 0));

    // From the middle on, then all.
    let playback = Playback::new(Speed::Max, false).waiting_at_end();
    playback.pause(true);
    let options = SessionOptions { playback: Some(playback.clone()), ..SessionOptions::default() };
    let (session, mut frames) = play(spec(&recording), options);
    playback.seek(START_NS + 10 * 40 * MS);
    assert_eq!(next(&mut frames).await, 10);
    playback.pause(false);
    to_end(&mut frames).await;
    let numbers = session.stats().numbers().expect("numbers");
    assert_eq!((numbers.numbers, numbers.not_sent, session.stats().dropped_by_camera), (20, 1, 1));
    playback.seek(i64::MIN);
    to_end(&mut frames).await;
    let stats = session.stats();
    let numbers = stats.numbers().expect("numbers");
    assert_eq!((numbers.numbers, numbers.came, numbers.not_sent, stats.dropped_by_camera), (30, 26, 4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_begins_in_mid_stream_counts_only_its_own_drops() {
    let mut frames = frames_with_losses();
    let later = frames.split_off(10);
    let recording = Recording::of(vec![later]);
    let (session, _frames) = play(FileSpec { speed: Speed::Max, ..spec(&recording) }, SessionOptions::default());
    ended(&session).await;
    assert_eq!((session.stats().dropped_by_camera, session.stats().not_sent()), (1, 1), "frame 15");
}

#[tokio::test(start_paused = true)]
async fn a_seek_applies_what_the_camera_has_sent_before() {
    // The camera restarts with another size after 30 frames; the last file was begun by `--split`.
    let folder = tempfile::tempdir().expect("a folder");
    let frames_of = |size: &str, from: i64| {
        let config = format!("size={size}&records=on&fps=25").parse().expect("a configuration");
        let frames = arriving(&config, 30, |n| (from + n) * 40 * MS);
        let health = |n: usize| n.is_multiple_of(10).then(|| format!("@T t={}.0", if from == 200 { 70 } else { 40 }));
        with_records(frames.iter().enumerate().map(|(n, frame)| (&**frame, health(n))))
    };
    let sent = [vec![frames_of("64x48", 0), frames_of("160x96", 200)], vec![frames_of("64x48", 400)]];
    let (first, second) = (folder.path().join("0.mcap"), folder.path().join("1.mcap"));
    let infos = [camera("cam")];
    for (path, parts) in [&first, &second].into_iter().zip(&sent) {
        let file = std::fs::File::create_new(path).expect("a new file");
        let mut writer = SegmentWriter::new(file, Compression::None, &infos, START_NS).expect("a recording");
        for (n, frame) in parts.iter().flatten().enumerate() {
            writer.frame(0, frame, frame.received.unix_ns).expect("write");
            if n % 5 == 4 {
                writer.flush().expect("write");
            }
        }
        writer.finish(&[]).expect("write");
    }
    let playback = Playback::new(Speed::Times(1.0), false).waiting_at_end();
    playback.pause(true);
    let options = SessionOptions { playback: Some(playback.clone()), ..SessionOptions::default() };
    let (session, mut frames) = play(FileSpec { later: vec![second], ..FileSpec::new(first) }, options);
    // Frame numbers on the time line: 0 to 29, 200 to 229, 400 to 429.
    for (to, size, celsius) in [
        (5, (64, 48), 40.0),
        (215, (160, 96), 70.0),
        (12, (64, 48), 40.0),
        (412, (64, 48), 40.0),
        (222, (160, 96), 70.0),
    ] {
        playback.seek(START_NS + to * 40 * MS);
        assert_eq!(next(&mut frames).await, to);
        // The frame is counted after it was offered.
        playback.step();
        next(&mut frames).await;
        let stats = session.stats();
        let last = stats.health.celsius.map(|gauge| gauge.last);
        assert_eq!((stats.introduction.size, last), (Some(size), Some(celsius)), "after a seek to {to}");
    }
}

#[tokio::test(start_paused = true)]
async fn seeks_and_steps_pass_a_gap() {
    let config = "size=64x48&records=on".parse().expect("a configuration");
    // 12 s are missing after the frame 9.
    let recording = Recording::of(vec![arriving(&config, 20, |n| (n * 40 + if n > 9 { 12_000 } else { 0 }) * MS)]);
    let playback = Playback::new(Speed::Times(1.0), false).waiting_at_end();
    playback.pause(true);
    let options = SessionOptions { playback: Some(playback.clone()), ..SessionOptions::default() };
    let (session, mut frames) = play(spec(&recording), options);
    let mut expect = async |number: u64| {
        let (_, frame) = frames.recv().await.expect("a frame");
        assert_eq!(frame.received.unix_ns, recording.frames[0][number as usize].received.unix_ns, "frame {number}");
        assert_eq!(playback.status().position_ns, Some(frame.received.unix_ns));
    };
    playback.seek(i64::MAX);
    expect(19).await;
    playback.seek_by(-5000 * MS);
    expect(9).await;
    playback.seek_by(-5000 * MS);
    expect(0).await;
    playback.seek_by(5000 * MS);
    expect(10).await;
    playback.step_back();
    expect(9).await;
    playback.step();
    expect(10).await;
    // A minute.
    playback.seek_by(60_000 * MS);
    expect(19).await;
    playback.seek_by(-60_000 * MS);
    expect(0).await;
    // While it plays, the state says that the picture does not change.
    playback.pause(false);
    for number in 1..10 {
        expect(number).await;
    }
    let mut changes = session.changes();
    let gap = changes.wait_for(|state| matches!(state, SessionState::Outside(Outside::Skipped { .. }))).await.unwrap();
    assert_eq!(gap.to_string(), "no frames for 12 s, skipping");
    drop(gap);
    expect(10).await;
    assert!(matches!(session.state(), SessionState::Streaming));
}

/// A camera with a frame every 4 s has no gap between two of them, also if a seek ends there.
#[tokio::test(start_paused = true)]
async fn a_seek_between_two_frames_of_a_slow_camera_is_not_in_a_gap() {
    let config = "size=64x48&records=on".parse().expect("a configuration");
    let fast = arriving(&config, 500, |n| n * 40 * MS);
    let slow = arriving(&config, 6, |n| n * 4000 * MS);
    // 12 s are missing after the frame 9.
    let off = arriving(&config, 20, |n| (n * 40 + if n > 9 { 12_000 } else { 0 }) * MS);
    let recording = Recording::of(vec![fast, slow, off]);
    let playback = Playback::new(Speed::Times(1.0), false).waiting_at_end();
    playback.pause(true);
    let options = SessionOptions { playback: Some(playback.clone()), ..SessionOptions::default() };
    let camera = |n: usize| FileSpec { camera: Some(format!("cam {n}")), ..spec(&recording) };
    let [mut fast, mut slow, mut off] = [0, 1, 2].map(|n| play(camera(n), options.clone()));
    // Without a frame played so far, and after others.
    for (ms, number_of_slow) in [(10_000, 2), (5_000, 1), (10_800, 2)] {
        playback.seek(START_NS + ms * MS);
        for ((_, frames), expected_ms) in [(&mut fast, ms), (&mut slow, 4000 * number_of_slow), (&mut off, 360)] {
            let (_, frame) = frames.recv().await.expect("a frame");
            assert_eq!((frame.received.unix_ns - START_NS) / MS, expected_ms, "after a seek to {ms} ms");
        }
        assert!(matches!(slow.0.state(), SessionState::Streaming), "{}", slow.0.state());
        assert!(matches!(off.0.state(), SessionState::Outside(Outside::Gap { .. })), "{}", off.0.state());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_camera_has_no_gap_after_a_seek_back() {
    let config = "size=64x48&records=on".parse().expect("a configuration");
    let recording = Recording::of(vec![arriving(&config, 6, |n| n * 4000 * MS)]);
    let playback = Playback::new(Speed::Times(1.0), false).waiting_at_end();
    let options = SessionOptions { playback: Some(playback.clone()), ..SessionOptions::default() };
    let (session, mut frames) = play(spec(&recording), options);
    let mut changes = session.changes();
    let gap = tokio::spawn(async move {
        let is_gap = |state: &SessionState| {
            matches!(state, SessionState::Outside(Outside::Gap { .. } | Outside::Skipped { .. }))
        };
        changes.wait_for(is_gap).await.map(|state| state.to_string())
    });
    for _ in 0..4 {
        frames.recv().await.expect("a frame");
    }
    playback.seek(START_NS);
    let (begun, _) = frames.recv().await.expect("a frame");
    for number in 1..6 {
        let (at, _) = frames.recv().await.expect("a frame");
        assert_eq!((at - begun).as_secs(), 4 * number, "frame {number} when it is due");
    }
    assert!(!gap.is_finished(), "{:?}", gap.await);
}

/// An hour without a frame is skipped after 2 s. While another camera has frames it is not, but for the last 3 minutes.
#[tokio::test(start_paused = true)]
async fn an_hour_in_which_no_camera_has_frames_is_skipped() {
    const HOUR_MS: i64 = 3_600_000;
    let config = "size=64x48&records=on".parse().expect("a configuration");
    let off = arriving(&config, 20, |n| (n * 40 + if n > 9 { HOUR_MS } else { 0 }) * MS);
    for (others, seconds) in [(vec![], 2..4), (vec![arriving(&config, 20, |n| n * 190_000 * MS)], 3420..3424)] {
        let recording = Recording::of([vec![off.clone()], others].concat());
        let playback = Playback::new(Speed::Times(1.0), false);
        let options = SessionOptions { playback: Some(playback), ..SessionOptions::default() };
        let begun = tokio::time::Instant::now();
        let camera = |number: usize| FileSpec { camera: Some(format!("cam {number}")), ..spec(&recording) };
        let (_first, mut frames) = play(camera(0), options.clone());
        let _other = (recording.frames.len() > 1).then(|| play(camera(1), options));
        for frame in &recording.frames[0] {
            let (_, played) = frames.recv().await.expect("a frame");
            assert_eq!(played.received.unix_ns, frame.received.unix_ns);
        }
        assert!(seconds.contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn recordings_of_different_times_lie_on_one_time_line() {
    let config = "size=64x48&records=on".parse().expect("a configuration");
    let recorded = |from_ms: i64| Recording::of(vec![arriving(&config, 30, |n| (from_ms + n * 40) * MS)]);
    let (first, later) = (recorded(0), recorded(39_000));
    let at = |ms: i64| START_NS + ms * MS;
    let playback = Playback::new(Speed::Times(1.0), false).waiting_at_end().covering((at(0), at(39_000 + 29 * 40)));
    let options = SessionOptions { playback: Some(playback.clone()), ..SessionOptions::default() };
    // The later one is opened first. Both are there before it begins: alone, it would play at once.
    let (j, mut j_frames) = play(spec(&later), options.clone());
    let (rec, mut rec_frames) = play(spec(&first), options);
    let mut changes = j.changes();
    changes.wait_for(|state| matches!(state, SessionState::Outside(_))).await.expect("a state");
    assert_eq!(j.state().to_string(), "begins at 0:39");
    let shown = async |frames: &mut UnboundedReceiver<(Duration, Arc<Frame>)>| {
        let (moment, frame) = frames.recv().await.expect("a frame");
        (moment, (frame.received.unix_ns - START_NS) / MS)
    };
    let mut last = Duration::ZERO;
    for n in 0..30 {
        let (moment, ms) = shown(&mut rec_frames).await;
        assert_eq!(ms, n * 40);
        last = moment;
    }
    // The time without a recording is skipped, and not before the first recording has ended.
    let (moment, ms) = shown(&mut j_frames).await;
    assert_eq!(ms, 39_000);
    assert!(moment > last && moment < last + Duration::from_secs(5), "{moment:?} after {last:?}");
    assert_eq!(rec.state().to_string(), "has ended");

    playback.pause(true);
    tokio::time::sleep(AGES).await;
    while j_frames.try_recv().is_ok() {}
    let position = || playback.status().position_ns.map(|ns| (ns - START_NS) / MS);
    playback.seek(i64::MAX);
    assert_eq!((shown(&mut rec_frames).await.1, shown(&mut j_frames).await.1), (29 * 40, 39_000 + 29 * 40));
    assert_eq!(position(), Some(39_000 + 29 * 40));
    playback.seek(i64::MIN);
    assert_eq!(shown(&mut rec_frames).await.1, 0);
    tokio::time::sleep(AGES).await;
    assert!(j_frames.try_recv().is_err(), "no picture of a later time");
    assert_eq!((j.state().to_string(), position()), ("begins at 0:39".to_owned(), Some(0)));
    // Between both.
    playback.seek(at(20_000));
    assert_eq!((shown(&mut rec_frames).await.1, shown(&mut j_frames).await.1), (29 * 40, 39_000));
    assert_eq!((rec.state().to_string(), position()), ("has ended".to_owned(), Some(39_000)));
    playback.step_back();
    assert_eq!((shown(&mut rec_frames).await.1, position()), (29 * 40, Some(29 * 40)));
    playback.step_back();
    assert_eq!((shown(&mut rec_frames).await.1, position()), (28 * 40, Some(28 * 40)));
    assert!(j_frames.try_recv().is_err());
    // A click plays on from there.
    playback.seek(at(39_400));
    assert_eq!((shown(&mut rec_frames).await.1, shown(&mut j_frames).await.1), (29 * 40, 39_400));
    playback.pause(false);
    for n in 11..30 {
        assert_eq!(shown(&mut j_frames).await.1, 39_000 + n * 40);
    }
    assert!(rec_frames.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn damage_in_one_file_does_not_end_the_others() {
    let (folder, spec, _) = split_recording();
    let second = folder.path().join("1.mcap");
    let mut damaged = std::fs::read(&second).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    std::fs::write(&second, damaged).unwrap();
    let (session, mut frames) = play(FileSpec { speed: Speed::Max, ..spec }, SessionOptions::default());
    let SessionState::Ended { error: Some(error) } = ended(&session).await else { panic!("{}", session.state()) };
    let text = error.to_string();
    assert!(error.is_damage() && text.contains("1.mcap: the recording is damaged at byte "), "{text}");
    assert!(error.help().is_some_and(|help| help.contains("oaktap recover")));
    let mut last = None;
    while let Some((_, frame)) = frames.recv().await {
        last = frame.camera_seq;
    }
    assert_eq!(last, Some(29), "the third file is played to its end");
}

#[tokio::test(start_paused = true)]
async fn a_torn_file_is_played_up_to_the_damage() {
    let recording = Recording::new(&["size=64x48"], 50);
    let whole = std::fs::read(recording.path()).unwrap();
    std::fs::write(recording.path(), &whole[..whole.len() / 2]).unwrap();
    let file = FileSpec { speed: Speed::Max, ..spec(&recording) };
    let (session, mut frames) = play(file.clone(), SessionOptions::default());
    let SessionState::Ended { error: Some(error) } = ended(&session).await else { panic!("{}", session.state()) };
    assert!(
        error.to_string().starts_with("the recording was not finished: its last frames may be missing, after byte "),
        "{error}"
    );
    assert!(error.help().is_some_and(|help| help.contains("oaktap recover")));
    let mut played = 0;
    while let Some((_, frame)) = frames.recv().await {
        assert_eq!(identity(&frame), identity(&recording.frames[0][played]));
        played += 1;
    }
    assert_eq!(played % 5, 0, "whole chunks");
    assert!((15..=25).contains(&played), "{played}");

    // A finished file, damaged in the middle: only the damaged frames are missing, and the replay ends with the error.
    let mut damaged = whole;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    std::fs::write(recording.path(), damaged).unwrap();
    let (session, mut frames) = play(file.clone(), SessionOptions::default());
    let SessionState::Ended { error: Some(error) } = ended(&session).await else { panic!("{}", session.state()) };
    assert!(error.to_string().starts_with("the recording is damaged at byte "), "{error}");
    assert!(error.help().is_some_and(|help| help.contains("oaktap recover")));
    let mut played = 0;
    while frames.recv().await.is_some() {
        played += 1;
    }
    assert!((48..=49).contains(&played), "{played}");
    assert_eq!(session.stats().missing_in_recording, 50 - played);

    std::fs::remove_file(recording.path()).unwrap();
    let (session, _) = play(file, SessionOptions::default());
    let SessionState::Ended { error: Some(error) } = ended(&session).await else { panic!("{}", session.state()) };
    assert!(error.to_string().contains("a.mcap: No such file"), "{error}");
}

#[test]
fn replay_waits_for_lossless_lanes() {
    let recording = Recording::new(&["size=64x48"], 300);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let outlets = Outlets::default();
    let taker = outlets.take_confirmed("kept", Policy::DropNewest(2));
    let file = FileSpec { speed: Speed::Max, ..spec(&recording) };
    let session = Session::start("cam", SourceSpec::File(file), SessionOptions::default(), outlets, runtime.handle());
    for sent in &recording.frames[0] {
        // The printer is as slow as the frames before this one.
        std::thread::yield_now();
        let frame = taker.recv_timeout(AGES).expect("every frame");
        assert_eq!(identity(&frame), identity(sent));
    }
    assert!(taker.recv_timeout(AGES).is_err());
    session.wait().unwrap();
    let stats = session.stats();
    assert!(stats.lossless());
    assert_eq!((stats.lanes[0].name, stats.lanes[0].dropped), ("kept", 0));
}

#[test]
fn a_paused_view_shows_the_frame_after_a_step() {
    for config in ["size=64x48", "size=64x48&format=nv12", "size=64x48&format=jpeg"] {
        let recording = Recording::new(&[config], 30);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let playback = Playback::new(Speed::Times(1000.0), false).waiting_at_end();
        playback.pause(true);
        let options = SessionOptions { playback: Some(playback.clone()), ..SessionOptions::default() };
        let camera = Camera::new("cam", SourceSpec::File(spec(&recording)));
        let options_of_view =
            ViewOptions { style: Style { boxes: false, labels: false, ..Style::default() }, ..ViewOptions::default() };
        let view = View::start(&camera, options_of_view).expect("a thread");
        let (lane, pictures) = lane("window", Policy::DropOldest(1));
        view.pictures().add(lane);
        view.control(|controls| controls.paused = true);
        let live = Live::start_on(vec![camera], &options, runtime.handle());
        let mut converter = Converter::new();
        let mut expect = |at: usize| {
            let picture = pictures.recv_timeout(AGES).unwrap_or_else(|error| panic!("{config}, {at}: {error}"));
            let mut truth = Picture::default();
            converter.picture(&recording.frames[0][at], &mut truth).unwrap();
            assert_eq!(picture.device_time, recording.frames[0][at].device_time, "{config}");
            assert!(picture.words() == truth.words(), "{config}, frame {at}");
        };
        for at in 0..10 {
            playback.step();
            expect(at);
        }
        playback.seek(START_NS + 25 * 40 * MS);
        expect(25);
        playback.seek_by(-20 * 40 * MS);
        expect(5);
        assert!(live.stop().iter().all(Result::is_ok));
    }
}

#[test]
fn every_command_accepts_a_recording_as_its_source() {
    let recording = Recording::new(&["size=64x48&boxes=3"], 200);
    let uri = format!("file:{}?speed=max", recording.path().display());
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_oaktap"))
            .args(arguments)
            .current_dir(recording.folder.path())
            .output()
            .unwrap();
        let (out, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        (output.status.code(), out, said)
    };
    let (code, lines, said) = run(&["detections", &uri, "--hash"]);
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 200, "nothing is lost at any speed");
    for (line, frame) in lines.iter().zip(&recording.frames[0]) {
        assert_eq!(line["arrival_unix_ns"], frame.received.unix_ns);
        assert_eq!(line["device_time_us"], frame.device_time.0);
        assert_eq!(line["sha256"], sha256(frame.payload()));
        assert!(line["stale"].is_null());
    }
    let (code, path, said) = run(&["snapshot", &uri, "--no-overlay"]);
    assert_eq!(code, Some(0), "{said}");
    let seen = image::open(recording.folder.path().join(path.trim())).unwrap().into_rgb8();
    assert_eq!(seen.dimensions(), (64, 48));
    let (code, _, said) = run(&["view", &uri, "--no-window"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("200"), "{said}");
    let (code, _, said) = run(&["detections", "file:nothing.mcap"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot open nothing.mcap"), "{said}");
    let (code, _, said) = run(&["detections", "file:nothing.mcap?speed=fast"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("expected 0.001 to 1000 times, or max"), "{said}");
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Saving a picture takes longer than reading a frame: the recording waits.
#[test]
fn every_frame_of_a_recording_becomes_a_snapshot() {
    let folder = tempfile::tempdir().expect("a folder");
    for format in ["BGR888p", "H264"] {
        let path = folder.path().join(format!("{format}.mcap"));
        let config: oaktap::sim::SimConfig =
            format!("size=320x240&fps=100&records=on&format={format}").parse().expect("valid");
        let frames = crate::recordings::arriving(&config, 60, |n| n * 10 * MS);
        write(&path, Compression::None, &[(camera("door"), frames)]);
        let pictures = folder.path().join(format);
        let source = format!("file:{}?speed=max", path.display());
        let (code, _, said) =
            crate::program::run(&["snapshot", &source, "-n", "60", "-o", pictures.to_str().expect("UTF-8")]);
        let names = std::fs::read_dir(&pictures).expect("a folder").map(|entry| entry.expect("a file").path());
        let saved = names.filter(|path| path.extension().is_some_and(|extension| extension == "png")).count();
        assert_eq!((code, saved), (0, 60), "{format}: {said}");
    }
}
