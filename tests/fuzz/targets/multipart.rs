//! Multipart bodies: every byte is in one part or held, memory is bounded, and the parts of a valid body are found exactly.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use oaktap::frame::Pool;
use oaktap::wire::{Limits, Multipart, Part, boundary};
use oaktap_fuzz::memory;

const MAX_PAYLOAD: usize = 4096;

/// Parses a body in pieces of `step` bytes. Returns the payloads, or `None` if the body exceeds a limit.
fn parse(name: Option<&str>, body: &[u8], step: usize) -> Option<Vec<Vec<u8>>> {
    let mut parser = Multipart::new(name, Pool::default(), Limits { payload: MAX_PAYLOAD, ..Limits::default() });
    let (mut taken, mut given, mut pictures) = (0, 0, Vec::new());
    let mut take = |part: Part| match part {
        Part::Picture(frame) => {
            assert!(!frame.payload().is_empty() && frame.payload().len() <= MAX_PAYLOAD + 1024);
            pictures.push(frame.payload().to_vec());
            frame.header.len() + frame.payload().len()
        }
        Part::Lost { len, .. } | Part::Skipped { len, .. } => len,
    };
    for mut piece in body.chunks(step) {
        given += piece.len();
        loop {
            match parser.parse(&mut piece) {
                Err(_) => return None,
                Ok(None) => break,
                Ok(Some(part)) => taken += take(part),
            }
            assert_eq!(taken + parser.held() + piece.len(), given);
        }
        assert_eq!(taken + parser.held(), given);
    }
    while let Some(part) = parser.finish() {
        taken += take(part);
    }
    assert_eq!((taken, parser.held()), (body.len(), 0));
    Some(pictures)
}

#[derive(Arbitrary, Debug)]
struct Body<'a> {
    lf: bool,
    dashes: bool,
    preamble: bool,
    closed: bool,
    step: u8,
    parts: Vec<&'a [u8]>,
}

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        assert!(boundary(text).is_none_or(|found| !found.is_empty() && found.len() < text.len()));
    }
    let (step, body) = input.split_first().map_or((1, input), |(step, body)| (usize::from(*step) + 1, body));
    let (_, held) = memory::peak(|| {
        for name in [Some("--b"), Some("frame"), None] {
            parse(name, body, step);
        }
    });
    assert!(held <= 8 * input.len() + (1 << 20), "{held} bytes were held for a body of {}", input.len());

    let Ok(valid) = Body::arbitrary(&mut Unstructured::new(input)) else { return };
    let newline = if valid.lf { "\n" } else { "\r\n" };
    let delimiter = if valid.dashes { "----the-boundary" } else { "--the-boundary" };
    let mut body = if valid.preamble { format!("hello{newline}").into_bytes() } else { Vec::new() };
    let parts = valid.parts.iter().filter(|part| !part.is_empty() && part.len() <= MAX_PAYLOAD);
    // What a JPEG has after its end is not part of it, and no picture contains its delimiter.
    let parts =
        parts.filter(|part| !part.starts_with(&[0xff]) && !part.windows(12).any(|window| window == b"the-boundary"));
    let parts: Vec<&[u8]> = parts.copied().collect();
    for part in &parts {
        body.extend(format!("{delimiter}{newline}content-length: {}{newline}{newline}", part.len()).bytes());
        body.extend_from_slice(part);
        body.extend(newline.bytes());
    }
    if valid.closed {
        body.extend(format!("{delimiter}--{newline}").bytes());
    }
    assert_eq!(
        parse(Some("--the-boundary"), &body, usize::from(valid.step) + 1),
        Some(parts.iter().map(|part| part.to_vec()).collect())
    );
});
