use super::*;
use crate::frame::PayloadKind;

/// A JPEG with this many bytes of pixels.
fn jpeg(scan: usize) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0, 0xff, 0xda, 0, 2];
    file.extend((0..scan).map(|n| (n % 200) as u8));
    file.extend([0xff, 0xd9]);
    file
}

/// Returns the payloads, and a line for each other part.
fn parse_with(boundary: Option<&str>, body: &[u8], step: usize) -> Result<(Vec<Vec<u8>>, Vec<String>), MultipartError> {
    let mut parser = Multipart::new(boundary, Pool::default(), Limits { payload: 100_000, ..Limits::default() });
    let (mut pictures, mut others, mut bytes, mut given) = (Vec::new(), Vec::new(), 0, 0);
    let mut take = |part: Part| match part {
        Part::Picture(frame) => {
            bytes += frame.header.len() + frame.payload().len();
            pictures.push(frame.payload().to_vec());
            bytes
        }
        Part::Lost { damage, len, .. } => {
            others.push(damage.to_string());
            bytes += len;
            bytes
        }
        Part::Skipped { len, reason, .. } => {
            others.push(format!("{len} {reason:?}"));
            bytes += len;
            bytes
        }
    };
    let mut taken = 0;
    for mut piece in body.chunks(step) {
        given += piece.len();
        while let Some(part) = parser.parse(&mut piece)? {
            taken = take(part);
            assert_eq!(taken + parser.held() + piece.len(), given, "every byte is counted");
        }
        assert_eq!(taken + parser.held(), given, "every byte is counted");
    }
    while let Some(part) = parser.finish() {
        taken = take(part);
    }
    assert_eq!((taken, parser.held()), (body.len(), 0), "every byte is counted");
    Ok((pictures, others))
}

/// The same with the body in pieces of several sizes.
fn parse(boundary: &str, body: &[u8]) -> (Vec<Vec<u8>>, Vec<String>) {
    let whole = parse_with(Some(boundary), body, body.len()).expect("a valid body");
    for step in [1, 2, 3, 7, 64, 1000] {
        let pieces = parse_with(Some(boundary), body, step).expect("a valid body");
        assert_eq!(pieces.0, whole.0, "in pieces of {step} bytes");
    }
    whole
}

/// A body of parts: what is before each picture, the picture, and what is after it.
fn body(before: impl Fn(usize) -> String, after: &str, pictures: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for picture in pictures {
        body.extend(before(picture.len()).into_bytes());
        body.extend_from_slice(picture);
        body.extend_from_slice(after.as_bytes());
    }
    body
}

#[test]
fn bodies_of_all_servers_are_split() {
    let pictures = [jpeg(300), jpeg(10), jpeg(5000)];
    let length = |len: usize| format!("Content-length: {len}\r\n");
    let cases: [(&str, &str, Vec<u8>); 11] = [
        (
            "Luxonis",
            "--jpgboundary",
            body(|n| format!("--jpgboundary\r\nContent-type: image/jpeg\r\n{}\r\n", length(n)), "\r\n", &pictures),
        ),
        (
            "dashes added to declared ones",
            "--jpgboundary",
            body(|n| format!("----jpgboundary\r\nContent-type: image/jpeg\r\n{}\r\n", length(n)), "\r\n", &pictures),
        ),
        ("MIME", "b", {
            let mut body = body(|_| "\r\n--b\r\nContent-Type: image/jpeg\r\n\r\n".into(), "", &pictures);
            body.extend(b"\r\n--b--\r\n");
            body
        }),
        ("LF only", "frame", body(|n| format!("--frame\nCONTENT-LENGTH:{n}\n\n"), "\n", &pictures)),
        ("LF only, no length", "frame", body(|_| "--frame\nContent-Type: image/jpeg\n\n".into(), "\n", &pictures)),
        ("no newline before it", "myboundary", body(|_| "--myboundary\r\n\r\n".into(), "", &pictures)),
        ("no dashes", "myboundary", body(|n| format!("myboundary\r\n{}\r\n", length(n)), "\r\n", &pictures)),
        ("text before the first part", "b", {
            let mut all = b"This is a stream.\r\nIt has parts.\r\n".to_vec();
            all.extend(body(|_| "--b\r\n\r\n".into(), "\r\n", &pictures));
            all
        }),
        ("blanks after it", "b", body(|n| format!("--b \t\r\ncontent-LENGTH:   {n}  \r\n\r\n"), "\r\n", &pictures)),
        ("not declared", "", body(|_| "--whatever\r\n\r\n".into(), "\r\n", &pictures)),
        ("closed after each part", "b", body(|_| "--b\r\n\r\n".into(), "\r\n--b--\r\n", &pictures)),
    ];
    for (name, boundary, body) in cases {
        let (found, others) = parse(boundary, &body);
        assert_eq!(found.len(), pictures.len(), "{name}");
        assert!(found == pictures, "{name}");
        // The last newline or the closing delimiter.
        assert!(others.iter().all(|other| other.ends_with("ForeignRecord")), "{name}: {others:?}");
    }
}

#[test]
fn a_picture_is_complete_before_the_next_one_begins() {
    for head in ["--b\r\nContent-Length: 121\r\n\r\n", "--b\r\n\r\n"] {
        let mut parser = Multipart::new(Some("b"), Pool::default(), Limits::default());
        let mut body = head.as_bytes().to_vec();
        body.extend(jpeg(100));
        let part = parser.parse(&mut &body[..]).expect("a valid body");
        assert!(matches!(part, Some(Part::Picture(_))), "{head}");
    }
}

#[test]
fn wrong_lengths_do_not_cost_a_picture() {
    let pictures = [jpeg(300), jpeg(10), jpeg(5000)];
    for wrong in [-20_i64, -2, 1, 2, 40, 5000] {
        let body = body(|n| format!("--bound\r\nContent-Length: {}\r\n\r\n", n as i64 + wrong), "\r\n", &pictures);
        let (found, _) = parse("bound", &body);
        let trimmed: Vec<&[u8]> = found.iter().map(|found| found.trim_ascii_end()).collect();
        assert!(trimmed == pictures, "{wrong}");
    }
}

#[test]
fn incomplete_and_foreign_parts_are_counted() {
    let part = |head: &str, payload: &[u8]| [b"--b\r\n", head.as_bytes(), b"\r\n\r\n", payload, b"\r\n"].concat();
    let whole = jpeg(100);
    let cut = &whole[..60];
    let body = [
        part("Content-Type: text/plain", b"hello"),
        part("Content-Length: 121", cut),
        part("Content-Type: image/jpeg\r\nContent-Length: 121", &whole),
        b"junk\r\n".to_vec(),
        part("Content-Length: 0", b""),
        part("Content-Length: 121", &whole),
        part("Content-Length: 500", cut),
    ]
    .concat();
    let (found, others) = parse_with(Some("b"), &body, body.len()).expect("a valid body");
    assert!(found == [whole.clone(), whole]);
    let expected =
        ["ForeignRecord", "next header starts after 60 of 121", "NotAHeader", "ForeignRecord", "connection ended"];
    assert_eq!(others.len(), expected.len(), "{others:?}");
    for (other, expected) in others.iter().zip(expected) {
        assert!(other.contains(expected), "{others:?}");
    }
}

#[test]
fn a_part_without_a_length_is_no_picture_until_something_ends_it() {
    for payload in [&b"pixels"[..], &jpeg(100)[..50]] {
        let open = [b"--b\r\n\r\n", payload].concat();
        let (found, others) = parse_with(Some("b"), &open, 1).expect("a valid body");
        assert!(found.is_empty() && others.iter().any(|other| other.contains("connection ended")), "{others:?}");
        let ended = [&open[..], b"\r\n--b--\r\n"].concat();
        assert!(parse_with(Some("b"), &ended, 1).expect("a valid body").0 == [payload]);
    }
}

#[test]
fn limits_end_a_body() {
    let endless = |text: &str| [text.as_bytes(), &[b'x'; 300_000]].concat();
    for (body, error) in [
        (endless(""), "no part begins in the first"),
        (endless("--b\r\nX: "), "the head of a part does not end within 16384 bytes"),
        (endless("--b\r\n\r\n"), "a part has more than 100000 bytes: expected at most 100000"),
        (endless("--b\r\nContent-Length: 99999999999\r\n\r\n"), "a part has 99999999999 bytes: expected at most"),
        (b"--b\r\nA: 1\r\n".repeat(5000), "the head of a part does not end within 16384 bytes"),
    ] {
        for step in [1, 100, body.len()] {
            let found = parse_with(Some("b"), &body, step).expect_err("an error").to_string();
            assert!(found.starts_with(error), "{found}");
        }
    }
}

#[test]
fn memory_follows_the_bytes_and_not_their_announcement() {
    let pool = Pool::bounded(1 << 20);
    let mut parser = Multipart::new(Some("b"), pool.clone(), Limits::default());
    let body = [&b"--b\r\nContent-Length: 50000000\r\n\r\n"[..], &[7; 1000]].concat();
    assert!(parser.parse(&mut &body[..]).expect("a valid body").is_none());
    assert!(pool.used() <= GROWTH_STEP, "{}", pool.used());
    let mut rest = &vec![7; 2 << 20][..];
    let part = parser.parse(&mut rest).expect("a valid body");
    assert!(matches!(part, Some(Part::Lost { damage: Damage::NoMemory { .. }, .. })), "{part:?}");
    let next = [&[7; 1000], &b"\r\n--b\r\n\r\n"[..], &jpeg(10), b"\r\n--b\r\n"].concat();
    let rest = [rest, &next[..]].concat();
    let mut rest = &rest[..];
    let parts: Vec<Part> = std::iter::from_fn(|| parser.parse(&mut rest).expect("a valid body")).collect();
    assert!(matches!(&parts[..], [Part::Skipped { reason: SkipReason::NoMemory, .. }, Part::Picture(_)]), "{parts:?}");
}

#[test]
fn boundaries_are_found_in_the_content_type() {
    for (content_type, expected) in [
        ("multipart/x-mixed-replace; boundary=--jpgboundary", Some("--jpgboundary")),
        ("multipart/x-mixed-replace;boundary=\"a b;c\"", Some("a b;c")),
        ("multipart/x-mixed-replace; charset=utf-8; BOUNDARY = frame ; x=y", Some("frame")),
        ("multipart/x-mixed-replace; a=\"x\\\"; boundary=no\"; boundary=yes", Some("yes")),
        ("multipart/x-mixed-replace; boundary=", None),
        ("multipart/x-mixed-replace", None),
    ] {
        assert_eq!(boundary(content_type).as_deref(), expected, "{content_type}");
    }
}

#[test]
fn pictures_become_frames_that_balance() {
    use crate::frame::{Interpreter, Received};
    use crate::wire::{Decoder, Event, Protocol};
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    let body = body(|n| format!("--b\r\nContent-Length: {n}\r\n\r\n"), "\r\n", &[jpeg(100), jpeg(50)]);
    let mut parser = Multipart::new(Some("b"), decoder.frames().clone(), Limits::default());
    let mut rest = &body[..];
    let now = Received { mono_ns: 5_000_000, unix_ns: 7 };
    while let Some(Part::Picture(frame)) = parser.parse(&mut rest).expect("a valid body") {
        decoder.picture(frame, Protocol::Http, now);
    }
    let events: Vec<Event> = std::iter::from_fn(|| decoder.poll()).collect();
    let [Event::Frame(first), Event::Confirmed(0), Event::Frame(second), Event::Confirmed(1)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((first.kind, first.dialect, first.device_time.0), (PayloadKind::Jpeg, "HTTP", 5000));
    assert_eq!((first.at, first.is_stale(), first.no_clock), (0, false, true));
    assert_eq!(second.at, (first.header.len() + first.payload().len()) as u64);
    let counts = decoder.byte_counts();
    assert!(counts.balance() && counts.skipped == 0, "{counts:?}");
    assert_eq!(counts.received as usize + parser.held(), body.len());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        failure_persistence: None,
        ..proptest::prelude::ProptestConfig::with_cases(2000)
    })]

    #[test]
    fn every_byte_of_any_body_is_counted(pieces in proptest::collection::vec(0_usize..14, 0..40), step in 1_usize..200) {
        let picture = jpeg(20);
        let words: [&[u8]; 14] = [
            b"--b", b"--bound", b"----bound", b"--bound--", b"\r\n", b"\n", b"\r\n\r\n", b"Content-Length: 41\r\n",
            b"Content-Length: 9\r\n", b"Content-Type: text/plain\r\n", &picture, &picture[..30], b"\0\0x", b"-",
        ];
        let body: Vec<u8> = pieces.iter().flat_map(|piece| words[*piece].iter().copied()).collect();
        for boundary in [Some("bound"), Some("--bound"), Some("b"), None] {
            // Asserts it.
            let _ = parse_with(boundary, &body, step);
        }
    }
}
