//! Recordings that another tool rewrote, and files of other programs with pictures.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use foxglove::Encode;
use foxglove::messages::{
    CompressedImage, CompressedVideo, ImageAnnotations, KeyValuePair, Point2, PointsAnnotation, RawImage,
    TextAnnotation, Timestamp,
};
use mcap::records::{MessageHeader, Metadata};
use mcap::{Compression as ChunkCompression, WriteOptions, Writer};
use oaktap::recording::inspect::inspect;
use oaktap::recording::recover::recover;
use oaktap::recording::verify::verify;
use oaktap::recording::{Compression, Reader, RecordingEntry};

use crate::program::run;
use crate::recordings::{self, START_NS};

/// A message of a file: topic, schema, encoding, header and data.
#[derive(Clone, Debug)]
struct Message {
    topic: String,
    schema: (String, Vec<u8>),
    encoding: String,
    sequence: u32,
    log_time: u64,
    publish_time: u64,
    data: Vec<u8>,
}

fn messages(path: &Path) -> Vec<Message> {
    let bytes = fs::read(path).expect("a file");
    let stream = mcap::MessageStream::new(&bytes).expect("an intact file");
    let message = |message: mcap::Message<'_>| {
        let schema = message.channel.schema.as_ref().expect("a schema");
        Message {
            topic: message.channel.topic.clone(),
            schema: (schema.name.clone(), schema.data.to_vec()),
            encoding: message.channel.message_encoding.clone(),
            sequence: message.sequence,
            log_time: message.log_time,
            publish_time: message.publish_time,
            data: message.data.into_owned(),
        }
    };
    stream.map(|found| message(found.expect("intact"))).collect()
}

fn metadata(path: &Path) -> Vec<Metadata> {
    let bytes = fs::read(path).expect("a file");
    let records = mcap::read::LinearReader::new(&bytes).expect("an intact file");
    let of = |record: mcap::records::Record<'_>| match record {
        mcap::records::Record::Metadata(metadata) => Some(metadata),
        _ => None,
    };
    records.filter_map(|record| of(record.expect("intact"))).collect()
}

/// Writes a file as another tool does: with channel numbers of its own, which start at `first`.
fn write(path: &Path, options: WriteOptions, first: u16, metadata: &[Metadata], messages: &[Message]) {
    let mut writer = Writer::with_options(File::create_new(path).expect("a new file"), options).expect("a writer");
    metadata.iter().for_each(|metadata| writer.write_metadata(metadata).expect("write"));
    let mut channels = BTreeMap::new();
    for Message { topic, schema, encoding, sequence, log_time, publish_time, data } in messages {
        let next = first + channels.len() as u16;
        let channel_id = *channels.entry(topic.clone()).or_insert_with(|| {
            let kind = if encoding == "cdr" { "ros2msg" } else { "protobuf" };
            let schema = writer.add_schema(&schema.0, kind, &schema.1).expect("write");
            writer.add_channel_with_id(next, schema, topic, encoding, &BTreeMap::new()).expect("write");
            next
        });
        let header =
            MessageHeader { channel_id, sequence: *sequence, log_time: *log_time, publish_time: *publish_time };
        writer.write_to_known_channel(&header, data).expect("write");
    }
    writer.finish().expect("write");
}

/// Camera, payload, header and times of each frame.
type Read = (String, Vec<u8>, Vec<u8>, i64, i64);

fn read(path: &Path) -> Vec<Read> {
    let mut reader = Reader::open(path).expect("a recording");
    let names: Vec<_> = reader.cameras().map(|camera| camera.name.clone()).collect();
    let mut all = Vec::new();
    while let Some(entry) = reader.next_entry().expect("intact") {
        if let RecordingEntry::Frame(frame) = entry {
            let name = names[frame.camera].clone();
            all.push((name, frame.payload, frame.wire.header, frame.log_ns, frame.publish_ns));
        }
    }
    all
}

fn exported(path: &Path) -> String {
    let table = path.with_extension("csv");
    let (code, _, errors) =
        run(&["export", path.to_str().unwrap(), "-o", table.to_str().unwrap(), "--to", "csv", "--camera", "door"]);
    assert_eq!(code, 0, "{errors}");
    fs::read_to_string(table).expect("a table")
}

fn options() -> WriteOptions {
    WriteOptions::new().library("another tool").chunk_size(Some(20_000))
}

/// Name of the file, its options, the number of the first channel, its metadata and its messages.
type Rewritten<'a> = (&'a str, WriteOptions, u16, &'a [Metadata], &'a [Message]);

#[test]
fn a_rewritten_recording_is_read_like_the_original() {
    const FRAMES: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("a.mcap");
    let cameras = [
        (recordings::camera("door"), recordings::frames("size=32x16&boxes=2&records=on", FRAMES)),
        (recordings::camera("yard"), recordings::frames("size=16x16&boxes=1&dialect=FRAME&format=JPEG", FRAMES)),
    ];
    recordings::write(&original, Compression::None, &cameras);
    let (in_order, about, mut expected) = (messages(&original), metadata(&original), read(&original));
    expected.sort();
    assert_eq!(expected.len(), 2 * FRAMES);
    let table = exported(&original);
    let mut by_topic = in_order.clone();
    by_topic.sort_by(|a, b| a.topic.cmp(&b.topic));
    let mut wire_first = in_order.clone();
    wire_first.sort_by_key(|message| (message.log_time, !message.topic.ends_with("/wire")));
    let none = || options().compression(None);
    let files: [Rewritten<'_>; 9] = [
        ("numbers", none(), 1, &about, &in_order),
        ("high-numbers", none(), 900, &about, &in_order),
        ("zstd", options().compression(Some(ChunkCompression::Zstd)), 7, &about, &in_order),
        ("lz4", options().compression(Some(ChunkCompression::Lz4)), 7, &about, &in_order),
        ("no-chunks", none().use_chunks(false), 1, &about, &in_order),
        ("no-summary", none().emit_summary_records(false), 1, &about, &in_order),
        ("no-metadata", none(), 1, &[], &in_order),
        ("by-topic", none(), 1, &about, &by_topic),
        ("wire-first", none(), 1, &about, &wire_first),
    ];
    for (name, options, first, about, messages) in files {
        let path = folder.path().join(format!("{name}.mcap"));
        write(&path, options, first, about, messages);
        let mut found = read(&path);
        found.sort();
        assert!(found == expected, "{name}: {} of {} frames are equal", found.len(), expected.len());
        assert_eq!(exported(&path), table, "{name}");
        let report = inspect(&path).unwrap();
        assert!(report.is_complete() && report.frames() == 2 * FRAMES as u64, "{name}: {report:?}");
        if name != "no-summary" {
            let verified = verify(&path).unwrap();
            assert!(verified.is_good() && verified.frames == 2 * FRAMES as u64, "{name}: {verified:?}");
        }
        let saved = folder.path().join(format!("{name}.recovered.mcap"));
        let recovered = recover(&path, &saved).unwrap();
        assert!(recovered.is_all() && recovered.frames == 2 * FRAMES as u64, "{name}: {recovered:?}");
        assert!(verify(&saved).unwrap().is_good(), "{name}");
        let uri = format!("file:{}?speed=max&camera=door", path.display());
        let (code, out, errors) = run(&["detections", &uri]);
        assert_eq!((code, out.lines().count()), (0, FRAMES), "{name}: {errors}");
    }
}

#[test]
fn two_merged_recordings_are_read_like_both() {
    const FRAMES: usize = 10;
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    recordings::write(&a, Compression::None, &[(recordings::camera("door"), recordings::frames("size=32x16", FRAMES))]);
    recordings::write(
        &b,
        Compression::Zstd,
        &[(recordings::camera("yard"), recordings::frames("size=16x16&seed=9&boxes=2", FRAMES))],
    );
    let mut merged = [messages(&a), messages(&b)].concat();
    merged.sort_by_key(|message| message.log_time);
    let about = [metadata(&a), metadata(&b)].concat();
    let path = folder.path().join("merged.mcap");
    write(&path, options(), 1, &about, &merged);
    let (mut expected, mut found) = ([read(&a), read(&b)].concat(), read(&path));
    expected.sort();
    found.sort();
    assert!(found == expected, "{} frames", found.len());
    let report = inspect(&path).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.cameras.iter().map(|camera| camera.frames).collect::<Vec<_>>(), [10, 10]);
}

const SIZE: (u32, u32) = (16, 8);

fn time(number: u64) -> (u64, Timestamp) {
    let ns = START_NS as u64 + 50_000_000 * number;
    (ns, Timestamp::new((ns / 1_000_000_000) as u32, (ns % 1_000_000_000) as u32))
}

fn foxglove<T: Encode>(topic: &str, number: u64, message: &T) -> Message {
    let schema = T::get_schema().expect("a schema");
    let mut data = Vec::new();
    message.encode(&mut data).map_err(|_| "encode").expect("it is encoded");
    let log_time = time(number).0;
    Message {
        topic: topic.to_owned(),
        schema: (schema.name, schema.data.to_vec()),
        encoding: "protobuf".to_owned(),
        sequence: 0,
        log_time,
        publish_time: log_time,
        data,
    }
}

fn jpeg(number: u64) -> Vec<u8> {
    let frames = recordings::frames("size=16x8&format=JPEG", number as usize + 1);
    frames[number as usize].payload().to_vec()
}

/// `sensor_msgs/msg/CompressedImage` of ROS 2, in little endian.
fn ros_image(topic: &str, number: u64) -> Message {
    let (log_time, stamp) = time(number);
    let mut data = b"\x00\x01\0\0".to_vec();
    let text = |data: &mut Vec<u8>, text: &str| {
        while !(data.len() - 4).is_multiple_of(4) {
            data.push(0);
        }
        data.extend_from_slice(&(text.len() as u32 + 1).to_le_bytes());
        data.extend_from_slice(text.as_bytes());
        data.push(0);
    };
    data.extend_from_slice(&stamp.sec().to_le_bytes());
    data.extend_from_slice(&stamp.nsec().to_le_bytes());
    text(&mut data, "camera_link");
    text(&mut data, "rgb8; jpeg compressed bgr8");
    while !(data.len() - 4).is_multiple_of(4) {
        data.push(0);
    }
    let picture = jpeg(number);
    data.extend_from_slice(&(picture.len() as u32).to_le_bytes());
    data.extend_from_slice(&picture);
    let schema = ("sensor_msgs/msg/CompressedImage".to_owned(), b"std_msgs/Header header".to_vec());
    let (topic, encoding) = (topic.to_owned(), "cdr".to_owned());
    Message { topic, schema, encoding, sequence: 0, log_time, publish_time: log_time, data }
}

fn raw(number: u64) -> RawImage {
    let (width, height) = SIZE;
    RawImage {
        timestamp: Some(time(number).1),
        width,
        height,
        encoding: "rgb8".to_owned(),
        step: 3 * width,
        data: (0..3 * width * height).map(|at| (u64::from(at) + number) as u8).collect::<Vec<_>>().into(),
        ..RawImage::default()
    }
}

/// A box from (4, 2) to (12, 6), named by a text as most programs do.
fn annotations(number: u64) -> ImageAnnotations {
    let points = [(4.0, 2.0), (12.0, 2.0), (12.0, 6.0), (4.0, 6.0)].map(|(x, y)| Point2 { x, y }).to_vec();
    let mut outline = PointsAnnotation { points, ..PointsAnnotation::default() };
    outline.set_type(foxglove::messages::points_annotation::Type::LineLoop);
    ImageAnnotations {
        timestamp: Some(time(number).1),
        points: vec![outline],
        texts: vec![TextAnnotation { text: "forklift 75%".to_owned(), ..TextAnnotation::default() }],
        ..ImageAnnotations::default()
    }
}

fn video(number: u64) -> CompressedVideo {
    let frames = recordings::frames("size=64x48&format=H264", number as usize + 1);
    CompressedVideo {
        timestamp: Some(time(number).1),
        format: "h264".to_owned(),
        data: frames[number as usize].payload().to_vec().into(),
        ..CompressedVideo::default()
    }
}

fn compressed(number: u64) -> CompressedImage {
    CompressedImage {
        timestamp: Some(time(number).1),
        format: "jpeg".to_owned(),
        data: jpeg(number).into(),
        ..CompressedImage::default()
    }
}

/// Writes the messages of one topic, inspects, plays, verifies and exports them, and returns the exported JSON lines.
fn check(
    what: &str,
    camera: &str,
    messages: &[Message],
    options: WriteOptions,
    pictures: usize,
) -> Vec<serde_json::Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.mcap");
    write(&path, options, 3, &[], messages);
    let file = path.to_str().unwrap();
    let report = inspect(&path).unwrap();
    let counts: Vec<_> = report.cameras.iter().map(|camera| (camera.name.as_str(), camera.frames)).collect();
    assert_eq!(counts, [(camera, pictures as u64)], "{what}");
    assert!(report.is_complete(), "{what}: {report:?}");
    let verified = verify(&path).unwrap();
    assert!(verified.is_good() && verified.frames == pictures as u64, "{what}: {verified:?}");
    let (code, _, errors) = run(&["replay", file, "--no-window", "--speed", "max"]);
    assert_eq!(code, 0, "{what}: {errors}");
    let (code, out, errors) = run(&["detections", &format!("file:{file}?speed=max")]);
    assert_eq!((code, out.lines().count()), (0, pictures), "{what}: {errors}");
    // Video is copied.
    let (format, name) = if what == "video" { ("mp4", "out.mp4") } else { ("png", "png") };
    let pictures_out = folder.path().join(name);
    let (code, _, errors) = run(&["export", file, "-o", pictures_out.to_str().unwrap(), "--to", format]);
    assert_eq!(code, 0, "{what}: {errors}");
    let lines = folder.path().join("lines.jsonl");
    let (code, _, errors) = run(&["export", file, "-o", lines.to_str().unwrap(), "--to", "jsonl"]);
    assert_eq!(code, 0, "{what}: {errors}");
    let text = fs::read_to_string(lines).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn pictures_of_other_programs_are_found_by_topic_and_schema() {
    const PICTURES: u64 = 5;
    let each = |message: &dyn Fn(u64) -> Message| (0..PICTURES).map(message).collect::<Vec<_>>();
    let n = PICTURES as usize;
    let zstd = || options().compression(Some(ChunkCompression::Zstd));
    let unchunked = || options().use_chunks(false);
    check("raw", "front", &each(&|n| foxglove("/front/image", n, &raw(n))), zstd(), n);
    check("raw, no chunks", "front", &each(&|n| foxglove("/front/image_raw", n, &raw(n))), unchunked(), n);
    check("jpeg", "front", &each(&|n| foxglove("/front/compressed", n, &compressed(n))), options(), n);
    check("video", "front_cam", &each(&|n| foxglove("/front/cam/video", n, &video(n))), zstd(), n);
    check("ros", "front", &each(&|n| ros_image("/front/image_raw/compressed", n)), zstd(), n);
    check("no summary", "a", &each(&|n| ros_image("/a", n)), options().emit_summary_records(false), n);
    let png = each(&|n| {
        let mut bytes = Vec::new();
        let pixels = image::RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| image::Rgb([x as u8, y as u8, n as u8]));
        pixels.write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png).expect("a PNG");
        let message = CompressedImage { format: "png".to_owned(), data: bytes.into(), ..compressed(n) };
        foxglove("/front/image", n, &message)
    });
    check("png", "front", &png, options(), n);
}

/// Statistics and indexes are optional in MCAP.
#[test]
fn a_file_of_another_program_without_optional_records_is_intact() {
    let folder = tempfile::tempdir().unwrap();
    let messages: Vec<_> = (0..5).map(|n| foxglove("/front/image", n, &raw(n))).collect();
    let note = Metadata { name: "note".to_owned(), metadata: BTreeMap::new() };
    for (what, options, without) in [
        ("all", options(), &[][..]),
        ("statistics", options().emit_statistics(false), &["statistics"]),
        ("chunk", options().emit_message_indexes(false), &["message indexes"]),
        ("message", options().emit_chunk_indexes(false), &["chunk indexes"]),
        ("metadata", options().emit_metadata_indexes(false), &["metadata indexes"]),
        (
            "none",
            options()
                .emit_statistics(false)
                .emit_message_indexes(false)
                .emit_chunk_indexes(false)
                .emit_metadata_indexes(false),
            &["chunk indexes", "message indexes", "metadata indexes", "statistics"],
        ),
        ("summary", options().emit_summary_records(false), &["summary"]),
    ] {
        let path = folder.path().join(format!("{what}.mcap"));
        write(&path, options, 3, std::slice::from_ref(&note), &messages);
        let verified = verify(&path).unwrap();
        assert!(verified.is_good() && verified.frames == 5, "{what}: {verified:?}");
        assert_eq!(verified.without.iter().copied().collect::<Vec<_>>(), without, "{what}");
        let (code, out, errors) = run(&["verify", path.to_str().unwrap()]);
        assert_eq!(code, 0, "{what}: {errors}");
        let remark = format!("; without {}, which MCAP does not require", without.join(", "));
        assert_eq!(out.contains(&remark), !without.is_empty(), "{what}: {out}");
    }
}

#[test]
fn a_picture_has_the_same_number_wherever_reading_begins() {
    const PICTURES: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    // Boxes between the pictures are not counted. Two cameras are counted on their own.
    let messages: Vec<_> = (0..PICTURES)
        .flat_map(|n| {
            let other = (n % 3 == 0).then(|| foxglove("/rear/image", n, &raw(n)));
            [foxglove("/front/image", n, &raw(n)), foxglove("/front/objects", n, &annotations(n))]
                .into_iter()
                .chain(other)
        })
        .collect();
    let small = || options().chunk_size(Some(4000));
    for (what, options, torn) in [
        ("indexed", small(), 0),
        ("compressed", small().compression(Some(ChunkCompression::Zstd)), 0),
        ("without message indexes", small().emit_message_indexes(false), 0),
        ("without a summary", small().emit_summary_records(false), 0),
        ("torn", small(), 700),
        ("torn, without message indexes", small().emit_message_indexes(false), 700),
        ("without chunks", options().use_chunks(false), 0),
    ] {
        let path = folder.path().join(format!("{what}.mcap"));
        write(&path, options, 3, &[], &messages);
        let len = fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(len - torn).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        let read = |reader: &mut Reader| {
            let mut all = Vec::new();
            while let Some(entry) = reader.next_entry().unwrap() {
                let RecordingEntry::Frame(frame) = entry else { continue };
                all.push((frame.camera, frame.log_ns, frame.sequence));
            }
            all
        };
        let whole = read(&mut reader);
        assert!(whole.len() > 40, "{what}: {}", whole.len());
        let chunks: Vec<_> = reader.chunks().iter().map(|chunk| chunk.from_unix_ns).collect();
        assert!(what == "without chunks" || chunks.len() > 5, "{what}: {chunks:?}");
        for from_ns in chunks {
            reader.seek(from_ns).unwrap();
            let part = read(&mut reader);
            assert!(
                !part.is_empty() && part.iter().all(|frame| whole.contains(frame)),
                "{what}: {part:?} of {whole:?}"
            );
        }
    }
}

#[test]
fn boxes_of_other_programs_belong_to_the_picture_of_their_time() {
    let picture = |n| foxglove("/robot/front/image", n, &raw(n));
    let boxes = |n| foxglove("/robot/front/objects", n, &annotations(n));
    // Before and after their picture, and for every other picture only.
    let orders: [(&str, Vec<Message>); 3] = [
        ("after", vec![picture(0), boxes(0), picture(1), picture(2), boxes(2)]),
        ("before", vec![boxes(0), picture(0), picture(1), boxes(2), picture(2)]),
        ("late", vec![picture(0), picture(1), boxes(0), picture(2), boxes(2)]),
    ];
    for (what, messages) in orders {
        let lines = check(what, "robot_front", &messages, options(), 3);
        let boxes: Vec<_> = lines.iter().map(|line| line["detections"].as_array().expect("a list").len()).collect();
        // Boxes that come after the next picture are too late for theirs.
        assert_eq!(boxes, if what == "late" { [0, 0, 1] } else { [1, 0, 1] }, "{what}");
        let found = &lines[2]["detections"][0];
        assert_eq!((found["name"].as_str(), found["confidence"].as_f64()), (Some("forklift"), Some(0.75)), "{found}");
        assert_eq!(found["bbox"], serde_json::json!([0.25, 0.25, 0.75, 0.75]), "{found}");
    }
}

#[test]
fn a_file_without_readable_pictures_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.mcap");
    let pose = KeyValuePair { key: "speed".to_owned(), value: "1".to_owned() };
    let data = prost::Message::encode_to_vec(&pose);
    let message = Message {
        topic: "/pose".to_owned(),
        schema: ("foxglove.Pose".to_owned(), Vec::new()),
        data,
        ..ros_image("", 0)
    };
    write(&path, options(), 1, &[], &[message]);
    let file = path.to_str().unwrap();
    let out = folder.path().join("out.csv");
    for words in [
        &["inspect", file][..],
        &["verify", file],
        &["recover", file],
        &["replay", file, "--no-window"],
        &["detections", &format!("file:{file}")],
        &["export", file, "--to", "csv", "-o", out.to_str().unwrap()],
    ] {
        let (code, _, errors) = run(words);
        assert_eq!(code, 1, "{words:?}: {errors}");
        assert!(
            errors.contains("no camera in") && errors.contains("/pose (foxglove.Pose, cdr)"),
            "{words:?}: {errors}"
        );
    }
    // Pictures in a format that is not supported: the reason is given, and the exit code is not 0.
    let webp =
        CompressedImage { format: "webp".to_owned(), data: b"RIFF0000WEBPVP8 ".to_vec().into(), ..compressed(0) };
    let path = folder.path().join("webp.mcap");
    write(&path, options(), 1, &[], &[foxglove("/front/image", 0, &webp)]);
    let file = path.to_str().unwrap();
    for words in [
        &["inspect", file][..],
        &["verify", file],
        &["replay", file, "--no-window"],
        &["export", file, "--to", "csv", "-o", out.to_str().unwrap()],
    ] {
        let (code, printed, errors) = run(words);
        assert!(
            [1, 3].contains(&code) && (printed + &errors).contains("WebP is not supported"),
            "{words:?} {code}: {errors}"
        );
        if words[0] == "export" {
            assert!(code == 1 && !out.exists(), "not an empty table: {errors}");
            assert!(
                errors.starts_with("error: no picture of ") && errors.contains("help: convert the topic"),
                "{errors}"
            );
        }
    }
    let saved = folder.path().join("saved.mcap");
    let (code, printed, errors) = run(&["recover", file, "-o", saved.to_str().unwrap()]);
    assert!(code == 0 && printed.contains("saved 1 messages"), "{code}: {printed}{errors}");
}

/// A picture cut in half, an empty message and one that is not a message, among good ones.
#[test]
fn damaged_pictures_of_other_programs_are_skipped_and_counted_by_every_command() {
    const PICTURES: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let (path, saved) = (folder.path().join("other.mcap"), folder.path().join("saved.mcap"));
    let half = |number: u64| {
        let whole = jpeg(number);
        let data = whole[..whole.len() / 2].to_vec().into();
        foxglove("/front/image", number, &CompressedImage { data, ..compressed(number) }).data
    };
    let mut messages: Vec<_> = (0..PICTURES as u64).map(|n| foxglove("/front/image", n, &compressed(n))).collect();
    messages[3].data = half(3);
    messages[6].data = Vec::new();
    messages[8].data = vec![0x0b; 100];
    messages[PICTURES - 1].data = half(PICTURES as u64 - 1);
    // With boxes, a picture waits for them, and its number does not change.
    let with_boxes = |messages: &[Message]| -> Vec<Message> {
        let boxes = (0..).map(|n| foxglove("/front/boxes", n, &annotations(n)));
        messages.iter().cloned().zip(boxes).flat_map(|(picture, boxes)| [picture, boxes]).collect()
    };
    for (what, messages) in [("alone", messages.clone()), ("boxes", with_boxes(&messages))] {
        let _ = fs::remove_file(&path);
        write(&path, options(), 1, &[], &messages);
        let file = path.to_str().unwrap();
        let verified = verify(&path).unwrap();
        let numbers: Vec<_> = verified.findings.iter().map(|finding| finding.frame).collect();
        assert_eq!(numbers, [3, 6, 8, 11].map(Some), "{what}: {:?}", verified.findings);
        assert_eq!(verified.frames, 8, "{what}");
        let report = inspect(&path).unwrap();
        assert_eq!((report.frames(), report.damaged_parts, report.damaged_frames), (8, 4, 4), "{what}: {report:?}");
        for format in ["csv", "jpeg"] {
            let out = folder.path().join(format!("{what}.{format}"));
            let (code, _, errors) = run(&["export", file, "--to", format, "-o", out.to_str().unwrap()]);
            assert_eq!(code, 3, "{what}, {format}: {errors}");
            assert!(errors.contains("8 of 12 frames of the recording exported"), "{what}, {format}: {errors}");
            for number in [3, 6, 8, 11] {
                assert!(errors.contains(&format!("frame {number} of camera front: ")), "{what}, {format}: {errors}");
            }
        }
        let (code, printed, errors) = run(&["recover", file, "-o", saved.to_str().unwrap()]);
        assert!(code == 3 && printed.contains("8 of them pictures"), "{what}: {printed}{errors}");
        assert!(printed.contains("frames missing: at least 4"), "{what}: {printed}");
        assert!(verify(&saved).unwrap().is_good(), "{what}");
        fs::remove_file(&saved).unwrap();
    }
}
