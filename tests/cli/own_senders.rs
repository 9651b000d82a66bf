//! Senders that people write after `docs/stream.md`, with the mistakes that they make: the program names each mistake with its
//! place, and loses nothing else.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};

use serde_json::Value;

use crate::program::run;

const BOX: &str = "0;87.5;0.1;0.2;0.4;0.9";
const LAYOUT: &str = "@D 160 96 BGR888p";

/// A header or a record: bytes filled with spaces.
fn line(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut line = text.as_ref().to_vec();
    line.resize(32, b' ');
    line
}

fn picture() -> Vec<u8> {
    let plane = |plane: usize| (0..96 * 160).map(move |at| (20 + (at % 160) + at / 160 / 2 + plane * 9) as u8);
    (0..3).flat_map(plane).collect()
}

fn message(number: usize, detections: &str) -> Vec<u8> {
    let picture = picture();
    let header = line(format!("IMG {} {} {}", number as f64 / 10.0, picture.len(), detections.len()));
    [header, detections.as_bytes().to_vec(), picture].concat()
}

/// Records, then four messages with these detections.
fn stream(records: &[&str], detections: &str) -> Vec<u8> {
    let records = records.iter().map(line).collect::<Vec<_>>().concat();
    [records, (0..4).flat_map(|number| message(number, detections)).collect()].concat()
}

/// Standard output of `oaktap detections`.
struct Printed {
    code: i32,
    frames: Vec<Value>,
    summary: Value,
    err: String,
}

/// Sends these bytes in pieces of this many to `oaktap detections`, which ends after three frames, or after a rejected stream.
fn received_in_pieces(bytes: Vec<u8>, piece: usize, options: &[&str]) -> Printed {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("it listens");
    let address = listener.local_addr().expect("an address").to_string();
    let sender = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("it connects");
        client.set_nodelay(true).expect("an option");
        // The client may leave early.
        let _ = bytes.chunks(piece).try_for_each(|piece| client.write_all(piece));
        let _ = client.read(&mut [0; 1]);
    });
    let (code, out, err) = run(&[&["detections", &address, "-n", "3", "--json"], options].concat());
    sender.join().expect("it ends");
    let mut frames: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let summary = frames.pop().expect("a summary");
    Printed { code, frames, summary, err }
}

fn received(bytes: Vec<u8>, options: &[&str]) -> Printed {
    received_in_pieces(bytes, usize::MAX, options)
}

#[test]
fn records_of_layouts_that_do_not_exist_are_reported() {
    for (record, why, nearest) in [
        ("@D 160 96 BGR8", "unknown pixel format `BGR8`; expected one of BGR888p, BGR888i, ", "RGBA8888"),
        ("@D 160 96 H264p", "unknown pixel format `H264p`; ", "or H264 and H265 for video"),
        ("@D 0 0 BGR888p", "invalid size 0x0: width and height must be at least 1", "size and format are inferred"),
        ("@D 160 96 BGR888p 40", "stride of 40 bytes is too short", "size and format are inferred"),
    ] {
        let Printed { code, frames, err, .. } = received(stream(&[record], BOX), &[]);
        assert_eq!((code, frames.len()), (0, 3), "{err}");
        let warning = err.lines().find(|line| line.contains("WARN")).unwrap_or_else(|| panic!("{record}: {err}"));
        let expected =
            [&format!("record `{record}` is ignored: "), why, nearest, "; size and format are inferred instead"];
        assert!(expected.iter().all(|part| warning.contains(part)), "{warning}");
        assert_eq!(err.matches("is ignored").count(), 1, "{err}");
        assert_eq!((&frames[0]["width"], &frames[0]["format"]), (&160.into(), &"BGR888p".into()));
    }
    let Printed { err, .. } = received(stream(&[LAYOUT], BOX), &[]);
    assert!(!err.contains("WARN"), "{err}");
}

#[test]
fn errors_about_headers_quote_the_bytes_at_their_place() {
    let length = picture().len();
    for (header, why) in [
        (
            format!("IMG 0.5 abc {length}"),
            "expected the length of the payload, at most 9 digits, found `abc 46080` at byte 72",
        ),
        (format!("IMG 0,5 {length} 0"), "expected one space after the capture time, found `,5 46080 0` at byte 69"),
        (
            format!("IMG 0.5 {length}"),
            "expected the length of the detections, 0 without detections, found nothing at byte 78",
        ),
        ("IMG 0.5 999999999 0".to_owned(), "announces a payload of 999999999 bytes: expected at most 67108864"),
    ] {
        let bytes = [line(LAYOUT), line("@R 10"), line(&header), picture()].concat();
        let Printed { code, frames, err, .. } = received(bytes.repeat(9), &[]);
        assert_eq!((code, frames.len()), (1, 0), "{err}");
        let shown = [why.to_owned(), format!("`{header}`"), "where  byte 64, frame 0".to_owned(), "help: ".to_owned()];
        assert!(shown.iter().all(|text| err.contains(text)), "{why}: {err}");
        assert!(!err.contains(&format!("`{LAYOUT}`")), "{err}");
    }
}

#[test]
fn lists_of_boxes_that_scripts_write_are_read() {
    for list in [BOX.to_owned() + "|", BOX.to_owned() + ";", BOX.to_owned() + "\r\n", BOX.replace(';', " ; ")] {
        let Printed { code, frames, err, .. } = received(stream(&[LAYOUT], &list), &[]);
        assert_eq!((code, frames.len()), (0, 3), "{list:?}: {err}");
        assert_eq!(frames[2]["detections"][0]["bbox"], serde_json::json!([0.1, 0.2, 0.4, 0.9]), "{list:?}");
    }
    for (list, boxes, why) in [
        (BOX.replace(';', ","), 0, "box 1 is not `label;confidence;xmin;ymin;xmax;ymax`, six numbers: found `,87.5,"),
        (format!("{BOX}\n{BOX}"), 1, "expected `|` after box 1: found `0;87.5;0.1;0.2;0.4;0.9` at byte 23"),
        (
            "Bäcker;87;0.1;0.2;0.3;0.4".to_owned(),
            0,
            "begins with `Bäcker;87;0.1;0.2;0.3;0.4` at byte 0 of the detections: expected the number of its class; ",
        ),
    ] {
        let Printed { code, frames, err, .. } = received(stream(&[LAYOUT], &list), &[]);
        assert_eq!((code, frames.len()), (3, 3), "{list:?}: {err}");
        assert_eq!(frames[2]["detections"].as_array().map(Vec::len), Some(boxes), "{list:?}");
        assert!(err.contains(why), "{err}");
    }
}

#[test]
fn values_in_another_unit_are_named_once_and_lose_nothing() {
    let small = vec!["0;0.875;0.1;0.2;0.4;0.9"; 20].join("|");
    for (list, why) in [
        ("0;875;0.1;0.2;0.4;0.9", "box 1 of frame 0 has the confidence 875: expected a percentage, 0 to 100; "),
        (&small, "no confidence of the first 20 boxes is above 0.875: expected percentages, 0 to 100; multiply"),
        (
            "0;87.5;64;70;256;316",
            "box 1 of frame 0 has the edges 64, 70, 256, 316: expected fractions of the picture, 0 to 1; divide pixels by its width and height, 160 and 96",
        ),
    ] {
        let Printed { code, frames, err, .. } = received(stream(&[LAYOUT], list), &[]);
        assert_eq!((code, frames.len()), (0, 3), "{list:?}: {err}");
        assert_eq!((err.matches(why).count(), err.matches("WARN").count()), (1, 1), "{err}");
        assert_eq!(frames[2]["detections"].as_array().map(Vec::len), Some(list.split('|').count()), "{list:?}");
    }
    let times = (0..4).rev().flat_map(|number| message(20 * number, BOX));
    let Printed { code, frames, err, .. } = received([line(LAYOUT), times.collect()].concat(), &[]);
    assert_eq!((code, frames.len()), (0, 3), "{err}");
    let why = "the capture time went back from 6 s to 4 s at frame 1: expected times that increase; ";
    assert_eq!((err.matches(why).count(), err.matches("WARN").count()), (1, 1), "{err}");
}

#[test]
fn names_in_any_script_reach_the_detections() {
    let first = |printed: &Printed| printed.frames[0]["detections"][0]["name"].clone();
    let good = received(stream(&[LAYOUT, "@L 0 Bäcker", "@L 1 人", "@S Eingang Süd"], BOX), &[]);
    assert_eq!((good.code, first(&good)), (0, "Bäcker".into()), "{}", good.err);
    assert_eq!(good.summary["summary"]["cameras"][0]["introduction"]["stream"], "Eingang Süd");

    // In another encoding: costs this name only.
    let bytes = [line("@L 0 person"), line(b"@L 1 B\xe4cker"), stream(&[LAYOUT], BOX)].concat();
    let latin = received(bytes, &[]);
    assert_eq!((latin.code, latin.frames.len(), first(&latin)), (0, 3, "person".into()), "{}", latin.err);
    assert!(latin.err.contains(r"record `@L 1 B\xe4cker` not understood: byte 6 is not UTF-8"), "{}", latin.err);

    // Filled before it is encoded: 33 bytes.
    let bytes = [format!("{:32}", "@L 0 Bäcker").into_bytes(), stream(&[LAYOUT], BOX)].concat();
    let long = received(bytes, &[]);
    assert_eq!((long.code, long.frames.len(), first(&long)), (3, 3, "Bäcker".into()), "{}", long.err);
    assert!(long.err.contains("from byte 32: only spaces. Headers and records have 32 bytes"), "{}", long.err);
}

#[test]
fn numbers_have_the_forms_of_the_page() {
    let list = "1;nan;nan;inf;-inf;0.9|2;150;-0.5;0.2;1.5;+2|3;-5;1e-1;5.;0.9;0.1";
    let Printed { code, frames, err, .. } = received(stream(&[LAYOUT], list), &["--threshold", "0"]);
    assert_eq!(code, 0, "{err}");
    let found =
        |number: usize| (&frames[0]["detections"][number]["confidence"], &frames[0]["detections"][number]["bbox"]);
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(found(0), (&Value::Null, &json("[null, null, null, 0.9]")));
    assert_eq!(found(1), (&json("1.5"), &json("[-0.5, 0.2, 1.5, 2.0]")));
    assert_eq!(found(2), (&json("-0.05"), &json("[0.1, 5.0, 0.9, 0.1]")));
    let Printed { frames, .. } = received(stream(&[LAYOUT], list), &["--threshold", "0.5"]);
    assert_eq!(frames[0]["detections"].as_array().map(Vec::len), Some(1), "{}", frames[0]);
    for wrong in ["1;.5;0;0;1;1", "1.0;50;0;0;1;1", "-1;50;0;0;1;1", "1;NaN;0;0;1;1", "1;0x5;0;0;1;1", "1;;0;0;1;1"] {
        let Printed { code, err, .. } = received(stream(&[LAYOUT], wrong), &[]);
        assert!(code == 3 && err.contains("box 1 is not"), "{wrong}: {err}");
    }
}

#[test]
fn options_that_differ_from_the_announcement_are_named_once() {
    for (options, size, format, note) in [
        (["--format", "RGB888p"], (160, 96), "RGB888p", "although the stream announces 160x96 BGR888p"),
        (["--size", "96x160"], (96, 160), "BGR888p", "although the stream announces 160x96 BGR888p"),
        (["--size", "640x352"], (160, 96), "BGR888p", "--size 640x352 does not match that length and is ignored"),
    ] {
        let Printed { code, frames, err, .. } = received(stream(&[LAYOUT], BOX), &options);
        assert_eq!((code, err.matches(note).count()), (0, 1), "{err}");
        let frame = &frames[2];
        assert_eq!((&frame["width"], &frame["height"]), (&size.0.into(), &size.1.into()), "{options:?}");
        assert_eq!(frame["format"], format);
    }
    let Printed { err, .. } = received(stream(&[LAYOUT], BOX), &["--size", "160x96", "--format", "BGR888p"]);
    assert!(!err.contains("announces"), "{err}");
    let Printed { err, .. } = received(stream(&[], BOX), &["--size", "96x160"]);
    assert!(err.contains("its rows are much more similar as 160x96: try --size 160x96"), "{err}");
}

#[test]
fn lengths_that_do_not_match_are_reported_with_their_place() {
    let length = picture().len();
    for (header, body, why) in [
        (
            format!("IMG 0.5 {length} 0"),
            [picture(), vec![b'\n']].concat(),
            "1 byte where a header was expected, from byte 46144: found `\\n`. The lengths",
        ),
        (
            format!("IMG 0.5 {length} 0"),
            [picture(), line("@L 0 person"), b"\n".to_vec()].concat(),
            "follow; a record before them may be longer than 32 bytes",
        ),
        (
            format!("IMG 0.5 {length} 0"),
            [BOX.as_bytes().to_vec(), picture()].concat(),
            "22 bytes where a header was expected, from byte 46144: found",
        ),
        (format!("IMG 0.5 {} 0", length + 7), picture(), "the next header starts after 46080 of 46087 payload bytes"),
    ] {
        let bytes = [line(LAYOUT), [line(header), body].concat().repeat(4)].concat();
        let Printed { err, .. } = received(bytes, &["--duration", "2s"]);
        assert!(err.lines().any(|line| line.contains("WARN") && line.contains(why)), "{why}: {err}");
    }
}

#[test]
fn messages_in_small_pieces_are_received() {
    let small = |number: usize| {
        [line(format!("IMG {number}.5 12 {}", BOX.len())), BOX.as_bytes().to_vec(), vec![7; 12]].concat()
    };
    let bytes = [line("@D 2 2 BGR888p"), line("@L 0 Bäcker"), (0..4).flat_map(small).collect()].concat();
    for piece in [1, 3, 31] {
        let Printed { code, frames, err, .. } = received_in_pieces(bytes.clone(), piece, &[]);
        assert_eq!((code, frames.len()), (0, 3), "{err}");
        assert_eq!((&frames[0]["width"], &frames[2]["detections"][0]["name"]), (&2.into(), &"Bäcker".into()));
    }
}
