//! Either end of a link with arbitrary input: its output does not depend on the pieces, its memory is bounded by the input,
//! and each end parses its own output.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use oaktap::xlink::{EVENT_HEADER_BYTES, EventHeader, EventKind, Link, LinkError, LinkEvent};

#[derive(Arbitrary, Debug)]
struct Input {
    host: bool,
    piece: u8,
    said: Vec<Said>,
}

/// The input. Raw bytes alone would rarely contain a header.
#[derive(Arbitrary, Debug)]
enum Said {
    Raw(Vec<u8>),
    Event { id: u8, kind: u8, response: bool, name: u8, stream: u8, size: u16, flags: u8 },
    Packet { stream: u8, bytes: Vec<u8> },
}

const KINDS: [EventKind; 7] = [
    EventKind::Write,
    EventKind::Release,
    EventKind::Create,
    EventKind::Close,
    EventKind::Ping,
    EventKind::Reset,
    EventKind::ReleaseSpecific,
];

fn bytes(said: &[Said]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for said in said {
        match said {
            Said::Raw(raw) => bytes.extend_from_slice(raw),
            Said::Event { id, kind, response, name, stream, size, flags } => {
                let header = EventHeader {
                    id: i32::from(*id),
                    kind: KINDS[usize::from(*kind) % KINDS.len()],
                    response: *response,
                    name: format!("stream {name}"),
                    stream: u32::from(*stream),
                    size: u32::from(*size),
                    flags: u32::from(*flags),
                };
                bytes.extend_from_slice(&header.to_bytes());
            }
            Said::Packet { stream, bytes: payload } => {
                let header = EventHeader {
                    id: 1,
                    kind: EventKind::Write,
                    response: false,
                    name: String::new(),
                    stream: u32::from(*stream),
                    size: payload.len() as u32,
                    flags: 1,
                };
                bytes.extend_from_slice(&header.to_bytes());
                bytes.extend_from_slice(payload);
            }
        }
    }
    bytes
}

/// Events, output and result.
fn run(input: &Input, bytes: &[u8], piece: usize) -> (Vec<LinkEvent>, Vec<u8>, Option<LinkError>) {
    let mut link = if input.host { Link::host() } else { Link::device() };
    let streams = [link.open("stream 0", 1000), link.open("stream 1", 64)];
    for packet in 0..20 {
        link.send(streams[packet % 2], vec![packet as u8; 50]);
    }
    let (mut events, mut error) = (Vec::new(), None);
    for piece in bytes.chunks(piece) {
        if let Err(found) = link.handle_input(piece) {
            error = Some(found);
            break;
        }
        events.extend(std::iter::from_fn(|| link.poll()));
    }
    events.extend(std::iter::from_fn(|| link.poll()));
    let mut said = Vec::new();
    loop {
        let out = link.output();
        if out.is_empty() {
            break;
        }
        said.extend_from_slice(out);
        let n = out.len();
        link.consumed(n);
    }
    (events, said, error)
}

fuzz_target!(|input: Input| {
    let bytes = bytes(&input.said);
    let whole = run(&input, &bytes, usize::MAX);
    let pieces = run(&input, &bytes, usize::from(input.piece) + 1);
    assert_eq!(whole.2, pieces.2, "an error depends on the pieces");
    assert_eq!(whole.0, pieces.0, "events depend on the pieces");
    assert!(whole.1 == pieces.1, "what is said depends on the pieces");
    let held: usize =
        whole.0.iter().map(|event| if let LinkEvent::Packet(_, bytes) = event { bytes.len() } else { 0 }).sum();
    assert!(held <= bytes.len());
    // Its output is a sequence of events.
    let mut rest = &whole.1[..];
    while let Some((head, behind)) = rest.split_first_chunk::<EVENT_HEADER_BYTES>() {
        let header = EventHeader::parse(head).expect("it says what it understands");
        let payload = if header.kind == EventKind::Write && !header.response { header.size as usize } else { 0 };
        rest = &behind[payload..];
    }
    assert!(rest.is_empty());
});
