//! A recording returns the frames that were written, byte for byte.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use oaktap::frame::{BBox, Counters, Detection, DeviceTime, Frame, Geometry, PixelFormat, Pool};
use oaktap::frame::{Interpreter, Received};
use oaktap::recording::verify::verify;
use oaktap::recording::{CameraInfo, Compression, Player, Reader, RecordingEntry, RecordingError, SegmentWriter};
use oaktap::wire::{Decoder, Dialect, Event, Limits, encode};

use crate::frames;

/// Reproducible noise.
fn noise(len: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn frame(number: u64, geometry: Option<Geometry>, payload: &[u8]) -> Frame {
    let bbox = BBox { xmin: 0.25, ymin: 0.125, xmax: 0.5, ymax: 0.75 };
    let mut frame = frames::frame(number, 1_000_000 + 25_000 * number as i64, geometry, payload);
    frames::set_detections(
        &mut frame,
        vec![Detection { label: (number % 3) as u32, confidence: 0.875, bbox, ..Detection::default() }],
    );
    frame.received = Received { mono_ns: 7 + number, unix_ns: 1_790_000_000_000_000_000 + 25_000_000 * number as i64 };
    frame
}

/// Every layout at usual and at odd sizes, with padding and trailing bytes, and payloads of unknown layout.
fn frames() -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut add = |geometry: Option<Geometry>, len: usize| {
        let number = frames.len() as u64;
        frames.push(frame(number, geometry, &noise(len, number)));
    };
    for format in PixelFormat::ALL.into_iter().chain(PixelFormat::MOSAICS) {
        for (width, height) in [(64, 48), (33, 17), (1, 1)] {
            let Ok(tight) = Geometry::tight(format, width, height) else { continue };
            let Some(len) = tight.byte_len() else { continue };
            add(Some(tight), len);
            add(Some(tight), len + 5);
            if let Ok(padded) =
                tight.with_stride(tight.stride + 32).and_then(|padded| padded.with_plane_rows(height + 2))
            {
                add(Some(padded), padded.byte_len().expect("a raw format has a length"));
            }
        }
    }
    add(None, 1000);
    add(None, 0);
    frames
}

fn camera(name: &str) -> CameraInfo {
    CameraInfo { name: name.to_owned(), address: format!("tcp://{name}:5000"), labels: None }
}

/// Writes the frames for two cameras alternately, one chunk for every three.
fn write(path: &Path, frames: &[Frame], compression: Compression) {
    let file = File::create_new(path).expect("a new file");
    let mut writer = SegmentWriter::new(file, compression, &[camera("a"), camera("b/c")], 1).expect("a recording");
    for (number, frame) in frames.iter().enumerate() {
        writer.frame(number % 2, frame, frame.received.unix_ns - 1_000_000).expect("write");
        if number % 3 == 2 {
            assert!(writer.open_bytes() > 0);
            writer.flush().expect("write");
            assert_eq!(writer.open_bytes(), 0);
        }
    }
    let clock = BTreeMap::from([("drift_ppm".to_owned(), "1.5".to_owned())]);
    writer.finish(&[clock.clone(), clock]).expect("write");
}

/// Decodes a stream that ends after its last frame.
fn decoded(stream: &[u8]) -> Vec<Arc<Frame>> {
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    decoder.feed(stream, Received { mono_ns: 1, unix_ns: 2 });
    decoder.finish();
    let frame = |event| if let Event::Frame(frame) = event { Some(frame) } else { None };
    std::iter::from_fn(|| decoder.poll()).filter_map(frame).collect()
}

/// Writes the frames of one camera.
fn record(path: &Path, frames: &[Arc<Frame>]) {
    let file = File::create_new(path).expect("a new file");
    let mut writer = SegmentWriter::new(file, Compression::None, &[camera("a")], 1).expect("a recording");
    for frame in frames {
        writer.frame(0, frame, frame.received.unix_ns).expect("write");
    }
    writer.finish(&[]).expect("write");
}

#[test]
fn every_layout_round_trips_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let path = folder.path().join(format!("{compression:?}.mcap"));
        let frames = frames();
        write(&path, &frames, compression);
        let mut reader = Reader::open(&path).expect("a recording");
        assert!(reader.is_finished());
        assert_eq!(reader.cameras().map(|camera| camera.name.as_str()).collect::<Vec<_>>(), ["a", "b_c"]);
        assert_eq!(reader.clocks().map(|clock| clock["drift_ppm"].as_str()).collect::<Vec<_>>(), ["1.5", "1.5"]);
        let (first, last) = (frames[0].received.unix_ns, frames.last().unwrap().received.unix_ns);
        assert_eq!(reader.span(), Some((first, last)));
        for (number, frame) in frames.iter().enumerate() {
            let Some(RecordingEntry::Frame(found)) = reader.next_entry().expect("intact") else {
                panic!("frame {number}")
            };
            assert_eq!((found.camera, found.sequence), (number % 2, (number / 2) as u32));
            assert_eq!((found.log_ns, found.publish_ns), (frame.received.unix_ns, frame.received.unix_ns - 1_000_000));
            assert_eq!(found.wire.header, frame.header);
            assert_eq!(found.wire.detections, frame.detection_text);
            assert_eq!(found.wire.payload_crc32, crc32fast::hash(frame.payload()));
            assert!(found.payload == frame.payload(), "frame {number}: {:?}", frame.geometry);
            assert_eq!(found.wire.layout.and_then(|layout| layout.geometry()), frame.geometry);
        }
        assert!(reader.next_entry().expect("intact").is_none());
    }
}

#[test]
fn the_player_returns_the_recorded_frames() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    // Complete pictures only: the decoder may interpret the others differently.
    let whole = |frame: &Frame| frame.geometry.is_some_and(|of| of.byte_len() == Some(frame.payload().len()));
    let frames: Vec<_> = frames().into_iter().filter(whole).collect();
    write(&path, &frames, Compression::None);
    let mut player = Player::open(&path, Pool::default()).expect("a recording");
    for frame in &frames {
        let found = player.next_frame().expect("intact").expect("a frame").frame;
        assert_eq!(found.geometry, frame.geometry);
        assert_eq!((found.received, found.device_time), (frame.received, frame.device_time));
        assert_eq!(found.detection_text, frame.detection_text);
        assert_eq!(found.header, frame.header);
        assert!(found.payload() == frame.payload());
    }
    assert!(player.next_frame().expect("intact").is_none());

    let middle = &frames[frames.len() / 2];
    player.seek(middle.received.unix_ns).expect("a file");
    let found = player.next_frame().expect("intact").expect("a frame");
    let early = middle.received.unix_ns - found.log_ns;
    assert!((0..75_000_000).contains(&early), "at most a chunk of three frames early: {early} ns");
    player.seek(i64::MAX).expect("a file");
    assert!(player.next_frame().expect("intact").is_none());
}

/// Every dialect, with records between the messages: the player returns the frames that the decoder returned.
#[test]
fn dialects_and_records_round_trip() {
    let at = |number: i64| DeviceTime(1_000_000 + 25_000 * number);
    let bbox = BBox { xmin: 0.1, ymin: 0.2, xmax: 0.3, ymax: 0.4 };
    let boxes = [Detection { label: 1, confidence: 0.5, bbox, ..Detection::default() }];
    let payload = noise(64 * 48 * 3, 3);
    let mut jpeg = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut jpeg, 80);
    encoder.encode(&payload, 64, 48, jpeg_encoder::ColorType::Rgb).expect("a JPEG");
    let jpeg = &jpeg[..];
    let mut streams: Vec<(Dialect, Vec<u8>)> = Vec::new();
    let mut stream = Vec::new();
    for number in 0..5 {
        let text = encode::detections(&boxes);
        if number == 0 {
            stream.extend_from_slice(&encode::line("@L 1 thing").unwrap());
            stream.extend_from_slice(&encode::line("@D 64 48 BGR888p").unwrap());
        }
        stream.extend_from_slice(&encode::line(&format!("@F {number} {}", at(number).0)).unwrap());
        stream.extend_from_slice(&encode::img(at(number), payload.len(), text.len()));
        stream.extend_from_slice(&text);
        stream.extend_from_slice(&payload);
    }
    streams.push((Dialect::Img, stream));
    let counted = Counters { left: 1, right: 2, up: 3, down: 4 };
    for dialect in [Dialect::Abcde, Dialect::Abcde256, Dialect::Frame] {
        let mut stream = Vec::new();
        for number in 0..5 {
            match dialect {
                Dialect::Abcde256 => stream.extend(encode::abcde256(at(number), jpeg.len(), counted, &[])),
                Dialect::Frame => {
                    stream.extend(encode::detect(at(number), &boxes));
                    stream.extend(encode::frame(at(number), jpeg.len()));
                }
                _ => stream.extend(encode::abcde(at(number), jpeg.len())),
            }
            stream.extend_from_slice(jpeg);
        }
        streams.push((dialect, stream));
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (dialect, stream) in streams {
        let frames = decoded(&stream);
        assert_eq!(frames.len(), 5, "{dialect}");
        let path = folder.path().join(format!("{dialect}.mcap"));
        record(&path, &frames);
        let mut player = Player::open(&path, Pool::default()).expect("a recording");
        let mut bytes = Vec::new();
        for frame in &frames {
            let found = player.next_frame().expect("intact").expect("a frame").frame;
            encode::head(&found, &mut bytes);
            bytes.extend_from_slice(found.payload());
            assert_eq!((found.dialect, found.kind, found.camera_seq), (dialect.name(), frame.kind, frame.camera_seq));
            assert_eq!(found.detections, frame.detections);
            assert_eq!(found.labels, frame.labels);
        }
        assert!(bytes == stream, "{dialect}: the bytes of the wire");
    }
}

/// The camera's checksum confirmed the frame when it was received, so the player does not check it again.
#[test]
fn a_payload_that_looks_like_a_header_round_trips() {
    let mut payload = noise(64 * 48 * 3, 7);
    let inside = encode::img(DeviceTime(5_000_000), payload.len(), 0);
    payload[5000..5000 + inside.len()].copy_from_slice(&inside);
    let mut stream = encode::line("@D 64 48 BGR888p").unwrap().to_vec();
    for number in 0..4 {
        let at = DeviceTime(1_000_000 + 25_000 * number);
        stream.extend_from_slice(&encode::line(&format!("@F {number} {}", at.0)).unwrap());
        stream.extend_from_slice(&encode::img(at, payload.len(), 0));
        stream.extend_from_slice(&payload);
        let checksum = format!("@E {number} {:08x}", crc32fast::hash(&payload));
        stream.extend_from_slice(&encode::line(&checksum).unwrap());
    }
    let frames = decoded(&stream);
    assert_eq!(frames.len(), 4);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    record(&path, &frames);
    let mut player = Player::open(&path, Pool::default()).expect("a recording");
    for frame in &frames {
        let found = player.next_frame().expect("intact").expect("a frame").frame;
        assert_eq!(found.camera_seq, frame.camera_seq);
        assert!(found.payload() == frame.payload());
    }
    assert!(player.next_frame().expect("intact").is_none());
    let verified = verify(&path).expect("a recording");
    assert_eq!((verified.frames, verified.findings), (4, Vec::new()));
}

#[test]
fn a_file_that_is_not_a_recording_is_rejected() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x");
    std::fs::write(&path, b"PK\x03\x04 and so on").expect("write");
    let error = Reader::open(&path).expect_err("no recording");
    assert!(matches!(error, RecordingError::NotMcap { .. }), "{error}");
    assert!(error.to_string().ends_with("found \"PK\\x03\\x04 and\" at byte 0"), "{error}");
    std::fs::write(&path, mcap::MAGIC).expect("write");
    assert!(matches!(Reader::open(&path), Err(RecordingError::NoCamera { .. })));
    assert!(matches!(Reader::open(&folder.path().join("nowhere")), Err(RecordingError::Open { .. })));
}

#[test]
fn a_truncated_file_is_read_up_to_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    let frames: Vec<_> = frames().into_iter().take(30).collect();
    write(&path, &frames, Compression::None);
    let bytes = std::fs::read(&path).expect("a file");
    let chunks: Vec<_> = Reader::open(&path).expect("a recording").chunks().to_vec();
    let torn = folder.path().join("torn.mcap");
    for (at, tail) in [(0, 0), (1, 0), (0, 4096), (9, 100)]
        .into_iter()
        .flat_map(|(more, zeros)| chunks.iter().skip(4).map(move |chunk| (chunk.at as usize + more, zeros)))
    {
        let mut part = bytes[..at].to_vec();
        part.resize(at + tail, 0);
        std::fs::write(&torn, &part).expect("write");
        let mut reader = Reader::open(&torn).expect("a recording");
        assert!(!reader.is_finished());
        let whole = chunks.iter().filter(|chunk| (chunk.at + chunk.len) as usize <= at).count();
        assert_eq!(reader.chunks().len(), whole);
        let mut found = 0;
        while let Some(entry) = reader.next_entry().expect("the rest is intact") {
            found += u64::from(matches!(entry, RecordingEntry::Frame(_)));
        }
        assert!(found > 0 && found < frames.len() as u64, "{found} frames before byte {at}");
    }
}
