//! The Python packages `mcap` and `mcap-protobuf-support` read every message of a recording.

use oaktap::convert::{Converter, PackedOrder};
use oaktap::frame::{Frame, LabelMap};
use oaktap::recording::Compression;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::external_tools;
use crate::recordings;

/// A camera of each kind, the format name in its messages, and the shape of its array in Python.
const CAMERAS: [(&str, &str, &str, &[u32]); 12] = [
    ("bgr", "size=48x32&records=on", "bgr8", &[32, 48, 3]),
    ("rgb", "size=48x32&records=on&format=RGB888p", "rgb8", &[32, 48, 3]),
    ("interleaved", "size=48x32&records=on&format=BGR888i", "bgr8", &[32, 48, 3]),
    ("rgba", "size=48x32&records=on&format=RGBA8888", "rgba8", &[32, 48, 4]),
    ("gray", "size=47x31&records=on&format=GRAY8", "mono8", &[31, 47]),
    ("depth", "size=48x32&records=on&format=RAW16", "16UC1", &[32, 48]),
    ("nv12", "size=48x32&records=on&format=NV12", "nv12", &[48, 48]),
    ("yuyv", "size=48x32&records=on&format=YUV422i", "yuyv", &[32, 48, 2]),
    ("half", "size=48x32&records=on&format=BGRF16F16F16p", "bgr8", &[32, 48, 3]),
    ("packed", "size=48x32&records=on&format=PACK10", "bgr8", &[32, 48, 3]),
    ("jpeg", "size=48x32&format=JPEG", "jpeg", &[32, 48, 3]),
    ("video", "size=48x32&format=H264", "h264", &[]),
];

const FRAMES: usize = 6;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of the array.
fn pixels(frame: &Frame, encoding: &str) -> Vec<u8> {
    let order = match encoding {
        "bgr8" => PackedOrder::Bgr,
        "rgb8" => PackedOrder::Rgb,
        _ => return frame.payload().to_vec(),
    };
    let mut pixels = Vec::new();
    Converter::new().packed(frame, order, &mut pixels).expect("a picture");
    pixels
}

fn picture(frame: &Frame, encoding: &str, shape: &[u32]) -> Value {
    let mut picture = json!({ "encoding": encoding, "sha256": hex(&Sha256::digest(pixels(frame, encoding))) });
    if !shape.is_empty() {
        picture["shape"] = json!(shape);
    }
    picture
}

fn boxes(frame: &Frame, (width, height): (f64, f64)) -> Value {
    let coco = LabelMap::coco();
    let boxes = frame.detections.iter().map(|detection| {
        let [left, top, right, bottom] =
            [detection.bbox.xmin, detection.bbox.ymin, detection.bbox.xmax, detection.bbox.ymax].map(f64::from);
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
        json!({
            "points": corners.map(|(x, y)| [x * width, y * height]),
            "type": 2, // LINE_LOOP
            "thickness": 2.0,
            "label": coco.title(detection.label),
            "class": detection.label.to_string(),
            "confidence": detection.confidence.to_string(),
        })
    });
    let texts = frame.detections.iter().map(|detection| {
        let text = format!("{} {:.0}%", coco.title(detection.label), detection.confidence * 100.0);
        json!([text, f64::from(detection.bbox.xmin) * width, f64::from(detection.bbox.ymin) * height])
    });
    json!({ "boxes": boxes.collect::<Vec<_>>(), "texts": texts.collect::<Vec<_>>() })
}

fn wire(frame: &Frame, kind: &str) -> Value {
    json!({
        "header": hex(&frame.header),
        "detections": hex(&frame.detection_text),
        "dialect": frame.dialect.to_string(),
        "kind": kind,
        "device_time_us": frame.device_time.0,
        "payload_len": frame.payload().len(),
        "payload_crc32": crc32fast::hash(frame.payload()),
        "format": frame.geometry.map_or(if kind == "H264" { kind } else { "" }, |geometry| geometry.format.name()),
    })
}

/// Equal, except for the last digit that a number loses as text.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        (Value::Number(a), Value::Number(b)) => {
            a == b || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() < 1e-9)
        }
        _ => a == b,
    }
}

#[test]
fn python_reads_every_message_as_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let cameras: Vec<_> = CAMERAS
        .iter()
        .map(|(name, config, ..)| (recordings::camera(name), recordings::frames(config, FRAMES)))
        .collect();
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let path = folder.path().join(format!("{compression:?}.mcap"));
        recordings::write(&path, compression, &cameras);
        let Some(text) = external_tools::python("read_mcap.py", &[&path]) else { return };
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 3 * FRAMES * CAMERAS.len(), "{compression:?}");
        for ((name, _, encoding, shape), (_, frames)) in CAMERAS.iter().zip(&cameras) {
            for (sequence, frame) in frames.iter().enumerate() {
                let (kind, schema) = match *encoding {
                    "jpeg" => ("JPEG", "foxglove.CompressedImage"),
                    "h264" => ("H264", "foxglove.CompressedVideo"),
                    _ => ("RAW", "foxglove.RawImage"),
                };
                let size = frame.geometry.map_or((0.0, 0.0), |of| (f64::from(of.width), f64::from(of.height)));
                for (what, schema, expected) in [
                    ("image", schema, picture(frame, encoding, shape)),
                    ("detections", "foxglove.ImageAnnotations", boxes(frame, size)),
                    ("wire", "oaktap.Wire", wire(frame, kind)),
                ] {
                    let topic = format!("/{name}/{what}");
                    let found = lines.iter().find(|line| line["topic"] == topic && line["sequence"] == sequence);
                    let found = found.unwrap_or_else(|| panic!("no {topic} {sequence}"));
                    assert_eq!(found["schema"], schema, "{topic}");
                    assert_eq!(found["log_ns"], frame.received.unix_ns, "{topic}");
                    assert_eq!(found["publish_ns"], recordings::taken_ns(frame), "{topic}");
                    if what == "image" {
                        assert_eq!(found["timestamp_ns"], recordings::taken_ns(frame), "{topic}");
                    }
                    for (key, expected) in expected.as_object().expect("an object") {
                        let found = &found[key];
                        assert!(alike(found, expected), "{topic} {sequence}: {key} is {found}, not {expected}");
                    }
                }
            }
        }
    }
}
