//! Any stream in any pieces gives the same events, a balanced ledger, and frames and skipped ranges that cover the input.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};
use oaktap_fuzz::{memory, run, stream::Stream};

#[derive(Arbitrary, Debug)]
struct Cuts {
    pieces: Vec<u16>,
    idle: Option<u16>,
    /// Sizes are inferred in one of 16 runs.
    guess: u8,
}

/// Inputs that begin with `#` are bytes of a connection (the captures); all others generate a stream.
fn read(input: &[u8]) -> arbitrary::Result<(Vec<u8>, Option<Vec<oaktap_fuzz::stream::Sent>>, Cuts)> {
    if let [b'#', piece, stream @ ..] = input {
        return Ok((stream.to_vec(), None, Cuts { pieces: vec![u16::from(*piece)], idle: None, guess: 0 }));
    }
    let mut input = Unstructured::new(input);
    let cuts = Cuts::arbitrary(&mut input)?;
    let (bytes, sent) = Stream::arbitrary_take_rest(input)?.bytes();
    Ok((bytes, sent, cuts))
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok((bytes, sent, cuts)) = read(input) else { return Corpus::Reject };
    let idle = cuts.idle.map(usize::from);
    let guess = cuts.guess % 16 == 1;
    let (whole, held) = memory::peak(|| run::run(&bytes, &[], idle, guess));
    // The kept frames, a few of the largest buffers, and the events.
    assert!(
        held <= 16 * bytes.len() + 4 * run::LIMITS.payload,
        "{held} bytes were held for a stream of {}",
        bytes.len()
    );
    whole.covers(&bytes);
    let pieces = run::run(&bytes, &cuts.pieces, idle, guess);
    assert_eq!((&whole.lines, whole.books), (&pieces.lines, pieces.books), "pieces of {:?}", cuts.pieces);
    if let (Some(sent), None) = (sent, idle) {
        assert_eq!(whole.frames.len(), sent.len(), "{:?}", whole.lines);
        for (frame, sent) in whole.frames.iter().zip(&sent) {
            assert!(frame.payload() == sent.payload, "frame {}", frame.id);
            assert_eq!(frame.detection_text, sent.detections);
            assert_eq!(frame.device_time.0, sent.micros);
        }
    }
    Corpus::Keep
});
