use super::super::tile_message::{Advised, Message, is_past, message};
use super::*;
use crate::frame::{DeviceTime, Frame, PixelFormat, Staleness};
use crate::sink::record::{RecorderCounts, RecorderHealth, RecorderState, RecordersHealth};
use crate::source::{Advise, Outside};
use crate::wire::ByteCounts;

/// Returns counts of a camera that sends 20 frames per second.
fn streaming() -> Stats {
    let mut stats = Stats::default();
    for number in 0..3 {
        let mut frame = Frame::with_payload([]);
        (frame.device_time, frame.staleness) = (DeviceTime(50_000 * number as i64), Staleness::Known(false));
        frame.received.mono_ns = 50_000_000 * number;
        stats.event(&crate::wire::Event::Frame(frame.into()));
    }
    stats
}

pub(in super::super) fn status() -> CameraStatus {
    let geometry = Geometry::tight(PixelFormat::Bgr888p, 640, 352).expect("a usual geometry");
    CameraStatus {
        name: "front".to_owned(),
        state: SessionState::Streaming,
        held: false,
        stats: streaming(),
        health: ViewHealth {
            last: Some(FrameKind { dialect: "IMG", payload: PayloadKind::Raw, geometry: Some(geometry), size: None }),
            ..ViewHealth::default()
        },
        help: None,
        age_ns: Some(12_400_000),
        threshold: 0.0,
        recording: None,
        trouble: None,
    }
}

fn text_of(pieces: &[ColoredText]) -> String {
    pieces.iter().map(|(_, piece)| piece.as_str()).collect()
}

fn line_of(status: &CameraStatus) -> String {
    line(status).iter().map(|fact| text_of(fact)).collect()
}

#[test]
fn the_status_line_shows_errors_only_when_there_are_any() {
    let mut status = status();
    assert_eq!(line_of(&status), "● front  20.0 fps  0.0 Mbit/s  12 ms old  640x352 BGR888p IMG");
    let measured = status.stats.clone();
    status.stats.sought();
    assert_eq!(line_of(&status), "● front  12 ms old  640x352 BGR888p IMG", "no rate before the second frame");
    let row = |caption: &str| rows(&status).iter().find(|(of, _)| *of == caption).map(|(_, text)| text_of(text));
    assert_eq!([row("fps"), row("rate")], [Some("-".to_owned()), Some("-".to_owned())], "the rows keep their places");
    status.stats = measured;
    status.held = true;
    assert_eq!(line_of(&status), "● front  12 ms old  640x352 BGR888p IMG", "a paused replay has no rate");
    let captions = |status: &CameraStatus| rows(status).iter().map(|(caption, _)| *caption).collect::<Vec<_>>();
    assert_eq!(captions(&status)[..2], ["picture", "stream"]);
    status.held = false;
    assert_eq!(captions(&status)[..4], ["picture", "fps", "rate", "stream"]);
    status.stats.frames.withdrawn = 2;
    status.stats.frames.lost = 1;
    status.stats.connections = 3;
    status.health.failed = 7;
    let text = line_of(&status);
    assert!(text.contains("  20.0 fps  2 damaged  1 lost  2 reconnects  7 not shown  0.0 Mbit/s  12 ms old"), "{text}");
}

#[test]
fn a_low_bit_rate_is_not_zero() {
    let mut stats = Stats::default();
    for number in 0..20 {
        let mut frame = Frame::with_payload([]);
        stats.set_byte_counts(ByteCounts { received: 2000 * number, ..ByteCounts::default() });
        (frame.device_time, frame.staleness) = (DeviceTime(50_000 * number as i64), Staleness::Known(false));
        frame.received.mono_ns = 50_000_000 * number;
        stats.event(&crate::wire::Event::Frame(frame.into()));
    }
    let status = CameraStatus { stats, ..status() };
    let rate = rounded_mbit_s(status.stats.rates().mbit_s);
    assert_eq!(rate, "0.3", "2000 bytes in 50 ms");
    assert!(line_of(&status).contains("  0.3 Mbit/s"), "{}", line_of(&status));
    let all: Vec<_> = rows(&status).iter().map(|(_, pieces)| text_of(pieces)).collect();
    assert!(all.iter().any(|row| row.starts_with("0.3 Mbit/s   jitter")), "{all:?}");
}

#[test]
fn a_camera_that_is_not_connected_has_other_words_than_lost_frames() {
    let mut status = status();
    status.stats = Stats::default();
    let kind = crate::source::SourceErrorKind::Closed;
    let reason = crate::source::SourceError { conn: Default::default(), kind };
    let reason = std::sync::Arc::new(reason);
    status.state = SessionState::Lost { reason, retry_in: std::time::Duration::from_secs(1) };
    assert_eq!(state_word(&status), "not connected");
    assert_eq!(message(&status, false).expect("a message").short[1], "not connected");
    status.stats.frames.received = 1;
    assert_eq!(state_word(&status), "no connection", "`lost` is a number of frames");
}

#[test]
fn the_help_of_a_lost_camera_names_it() {
    let mut status = status();
    let kind = crate::source::SourceErrorKind::ConnectTimeout(std::time::Duration::from_secs(1));
    let reason = std::sync::Arc::new(crate::source::SourceError { conn: Default::default(), kind });
    status.state = SessionState::Lost { reason, retry_in: std::time::Duration::from_secs(1) };
    let mut advised = Advised::default();
    let mut text = |camera: &str, advise: Advise| advised.text(camera, &status.state, &status.health, advise);
    let help = text("front", |help, camera| help.replace("CAMERA", camera));
    assert!(help.as_deref().is_some_and(|help| help.starts_with("`oaktap doctor front` checks")), "{help:?}");
    assert_eq!(text("front", |_, _| panic!("it is formatted once")), help);
    status.help.clone_from(&help);
    assert_eq!(message(&status, true).expect("a message").lines.last(), help.as_ref());
}

#[test]
fn a_camera_in_trouble_is_not_green_and_says_why() {
    let mut status = status();
    assert_eq!(line(&status)[0][0], (Ink::Good, "● ".to_owned()));
    assert!(line_of(&status).starts_with("● front  20.0 fps"), "{}", line_of(&status));
    status.trouble = Some("reconnected");
    assert_eq!(line(&status)[0][0], (Ink::Warning, "● ".to_owned()));
    assert!(line_of(&status).starts_with("● front  reconnected  20.0 fps"), "a narrow tile has no room for counts");
    assert_eq!(state_word(&status), "reconnected");
}

#[test]
fn a_camera_without_a_picture_is_in_alarm_and_says_why() {
    let mut status = status();
    status.age_ns = None;
    let size = Some(crate::frame::Size::new(98, 66));
    let last = FrameKind { dialect: "IMG", payload: PayloadKind::H265, geometry: None, size };
    status.health = ViewHealth { failed: 3, error: Some("no".to_owned()), help: Some("do this"), last: Some(last) };
    status.help = Advised::default().text("front", &status.state, &status.health, |help, _| help.to_owned());
    assert_eq!(line(&status)[0][0], (Ink::Alarm, "● ".to_owned()));
    assert_eq!(line_of(&status), "● front  no picture  20.0 fps  3 not shown  0.0 Mbit/s  98x66 H265 IMG");
    let shown = message(&status, false).expect("a message");
    assert_eq!(
        (shown.ink, &shown.lines[..]),
        (Ink::Alarm, &["front: no picture", "no", "do this"].map(str::to_owned)[..])
    );
    // After a good picture.
    status.age_ns = Some(900_000_000);
    assert_eq!(line(&status)[0][0].0, Ink::Warning);
    let shown = message(&status, true).expect("a message");
    assert_eq!((shown.ink, shown.lines[0].as_str()), (Ink::Warning, "front: no new picture"));
}

#[test]
fn errors_of_the_stream_and_of_decoding_are_in_separate_rows() {
    let mut status = status();
    status.health.failed = 7;
    status.stats.frames.withdrawn = 1;
    let rows = rows(&status);
    let row = |caption: &str| rows.iter().position(|(found, _)| *found == caption).expect("a row");
    let stream: Vec<_> = rows[row("stream")..row("decode")].iter().flat_map(|(_, pieces)| pieces).collect();
    let decode = &rows[row("decode")].1;
    assert!(stream.iter().any(|(color, text)| *color == Ink::Warning && text == "1 damaged"), "{stream:?}");
    assert!(decode.iter().any(|(color, text)| *color == Ink::Warning && text == "   7 failed"), "{decode:?}");
    assert!(!stream.iter().any(|(_, text)| text.contains("failed")));
}

#[test]
fn records_of_the_camera_are_shown() {
    let mut status = CameraStatus { stats: Stats::default(), ..status() };
    let full = |status: &CameraStatus| rows(status).into_iter().map(|(_, pieces)| text_of(&pieces)).collect::<Vec<_>>();
    assert!(full(&status).contains(&"0 damaged   0 missing   0 B skipped".to_owned()), "nothing was received");
    status.stats.frames.received = 1;
    assert!(full(&status).contains(&"0 damaged   0 missing   0 B skipped".to_owned()), "nothing is missing");
    (status.stats.frames.missing, status.stats.frames.estimated) = (2, 2);
    assert!(full(&status).contains(&"0 damaged   ~2 missing   0 B skipped".to_owned()), "an estimate");
    status.stats.frames = crate::stats::FrameCounts::default();
    let record = |record| crate::wire::Event::Record(record);
    for seq in [3, 4] {
        status.stats.event(&record(crate::wire::Record::Frame { seq, device_time: DeviceTime(0) }));
        let mut frame = Frame::default();
        frame.camera_seq = Some(seq);
        status.stats.event(&crate::wire::Event::Frame(frame.into()));
    }
    status.stats.event(&record(crate::wire::Record::Frame { seq: 7, device_time: DeviceTime(0) }));
    let health = crate::wire::Record::Health { celsius: Some(67.8), css: Some(97.0), mss: None };
    status.stats.event(&record(health));
    assert!(line_of(&status).contains("  2 missing  68 °C  12 ms old"), "{}", line_of(&status));
    let full = full(&status);
    assert!(full.contains(&"0 damaged   2 missing   0 B skipped".to_owned()), "{full:?}");
    assert!(full.contains(&"67.8 °C   css 97 %".to_owned()), "{full:?}");
}

#[test]
fn a_recording_shows_its_errors() {
    let mut status = status();
    let recording = |state, dropped| {
        let cameras = vec![RecorderCounts { recorded: 40, dropped, ..RecorderCounts::default() }];
        let total = RecorderHealth { state, cameras, ..RecorderHealth::default() };
        let health = RecordersHealth { total, bytes_per_s: 27.1e6, seconds_left: Some(7260.0) };
        Some(CameraRecording { health: health.into(), camera: 0, is_part: true })
    };
    status.recording = recording(RecorderState::Recording, 0);
    let text = line_of(&status);
    assert!(text.starts_with("● front  REC  20.0 fps"), "{text}");
    let full = |status: &CameraStatus| rows(status).iter().map(|(_, pieces)| text_of(pieces)).collect::<Vec<_>>();
    assert!(
        full(&status).ends_with(&["40 frames   0 not recorded".to_owned(), "27.1 MB/s   2 h 1 min left".to_owned()])
    );
    status.state = SessionState::Silent;
    assert!(line_of(&status).starts_with("● front  silent  REC: no frames"), "{}", line_of(&status));
    assert_eq!(line(&status)[2][0].0, Ink::Warning, "nothing is recorded");
    status.state = SessionState::Streaming;
    status.recording = recording(RecorderState::Paused { why: "the disk is full".to_owned() }, 3);
    assert_eq!(line(&status)[1], [(Ink::Alarm, "  REC: paused".to_owned())]);
    assert!(line_of(&status).contains("REC: paused  3 not recorded"), "{}", line_of(&status));
    assert_eq!(full(&status).last().map(String::as_str), Some("recording paused: the disk is full"));
    status.recording.as_mut().expect("a recording").is_part = false;
    assert!(line_of(&status).starts_with("● front  3 not recorded  20.0 fps"), "the notice says the rest");
}

/// Each word of the status line and of the full HUD is in the table of docs/window.md.
#[test]
fn every_word_of_the_hud_is_explained() {
    let docs = include_str!("../../../../docs/window.md");
    let table =
        docs.split("## Words of the HUD").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a section");
    let mut status = status();
    let stats = &mut status.stats;
    (stats.connections, stats.reboots, stats.bad_detections, stats.resyncs) = (3, 2, 2, 2);
    (stats.frames.withdrawn, stats.frames.lost, stats.frames.missing, stats.frames.received) = (2, 2, 2, 9);
    stats.lanes = vec![LaneCounts { name: "window", keeps: false, offered: 2, taken: 0, dropped: 2, queued: 0 }];
    let health = crate::wire::Record::Health { celsius: Some(67.8), css: Some(97.0), mss: Some(40.0) };
    stats.event(&crate::wire::Event::Record(health));
    stats.picture(false, 3000);
    (status.health.failed, status.threshold) = (2, 0.5);
    let cameras = vec![RecorderCounts { recorded: 40, dropped: 2, ..RecorderCounts::default() }];
    let total = RecorderHealth { state: RecorderState::Recording, cameras, ..RecorderHealth::default() };
    let health = RecordersHealth { total, bytes_per_s: 27.1e6, seconds_left: Some(7260.0) };
    status.recording = Some(CameraRecording { health: health.into(), camera: 0, is_part: true });
    let mut said = line_of(&status);
    for (caption, pieces) in rows(&status) {
        said.push_str(&format!(" {caption} {}", text_of(&pieces)));
    }
    for word in ["reconnected", "damage"] {
        status.trouble = Some(word);
        said.push_str(&format!(" {}", line_of(&status)));
    }
    assert!(["latency", "css", "mss", "jitter", "disk", "dropped", "not shown"].iter().all(|word| said.contains(word)));
    // Names, and units behind numbers.
    let known = ["front", "BGR888p", "IMG", "from", "ms", "kB", "B", "MB/s", "h", "min", "Mbit/s", "frames"];
    let words = said.split_whitespace().filter(|word| word.starts_with(char::is_alphabetic));
    for word in words.filter(|word| !known.contains(word)) {
        let named = table.split('`').skip(1).step_by(2).flat_map(str::split_whitespace).any(|found| found == word);
        assert!(named, "`{word}` is not explained");
    }
}

#[test]
fn numbers_are_short() {
    assert_eq!([0, 400_000, 12_400_000, 3_200_000_000].map(milliseconds), ["0.0 ms", "0.4 ms", "12 ms", "3.2 s"]);
    assert_eq!([0, 9_999, 10_000, 12_345_678].map(bytes), ["0 B", "9999 B", "10 kB", "12.3 MB"]);
}

/// As that of a live camera that is lost. The last picture of a recording, and one between two frames, are the right ones.
#[test]
fn a_gap_of_a_recording_has_a_message_over_its_gray_picture() {
    let mut status = status();
    let time = std::time::Duration::from_secs;
    for (outside, text) in [
        (Outside::Gap { until: time(38) }, Some("no frames until 0:38")),
        (Outside::Skipped { gap: time(12) }, Some("no frames for 12 s, skipping")),
        (Outside::Between, None),
        (Outside::After, None),
    ] {
        status.state = SessionState::Outside(outside);
        let shown = message(&status, true);
        assert_eq!(is_past(&status), text.is_some(), "{outside}");
        assert_eq!(shown.map(|message| message.lines), text.map(|text| vec![format!("front: {text}")]), "{outside}");
    }
    status.state = SessionState::Streaming;
    status.health.error = Some("H264 cannot be shown".to_owned());
    assert!(!is_past(&status), "the boxes come back with the next frame");
}

#[test]
fn a_live_picture_has_no_message() {
    let mut status = status();
    assert!(message(&status, true).is_none());
    status.state = SessionState::Silent;
    let Message { short, lines, .. } = message(&status, true).expect("a message");
    assert!(lines[0].starts_with("front: connected but silent"), "{lines:?}");
    assert_eq!(short, ["front", "silent"]);
    status.state = SessionState::Streaming;
    status.health.error = Some("H264 cannot be shown".to_owned());
    assert!(message(&status, false).expect("a message").lines[1].contains("H264"));
}
