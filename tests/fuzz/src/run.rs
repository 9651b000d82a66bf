//! Runs the decoder over a stream and checks it after every piece.

use std::sync::Arc;

use oaktap::frame::inference::Overrides;
use oaktap::frame::{Frame, Interpreter, PixelFormat, Pool, Received};
use oaktap::wire::{ByteCounts, Decoder, Event, Limits};

/// The events; lines and ledger can be compared with those of another run.
#[derive(Debug)]
pub struct Told {
    pub lines: Vec<Line>,
    pub books: ByteCounts,
    /// Confirmed frames, in order.
    pub frames: Vec<Arc<Frame>>,
}

#[derive(Debug, PartialEq)]
pub enum Line {
    Skipped { at: u64, len: u64, reason: String },
    Other(String),
}

pub const LIMITS: Limits = Limits { payload: 1 << 20, detections: 1 << 16, boxes: 1000 };

/// After this many pieces the rest is fed at once, to save time.
const PIECES: usize = 2000;

/// Feeds `bytes` to a decoder in pieces of these sizes (in turn), with a pause at `idle`. Infers the size of raw pictures
/// only with `guess`, because that takes longer than everything else.
pub fn run(bytes: &[u8], pieces: &[u16], idle: Option<usize>, guess: bool) -> Told {
    let told = Overrides { size: Some((16, 8)), format: Some(PixelFormat::Gray8), stride: None };
    let interpreter = Interpreter::new(if guess { Overrides::default() } else { told });
    let mut decoder = Decoder::new(Pool::default(), interpreter, LIMITS);
    let mut told = Told { lines: Vec::new(), books: ByteCounts::default(), frames: Vec::new() };
    let mut provisional = None;
    let (mut fed, mut turn) = (0, 0);
    while fed < bytes.len() {
        let piece = pieces.get(turn % pieces.len().max(1)).filter(|_| turn < PIECES);
        let most = piece.map_or(usize::MAX, |piece| usize::from(*piece).max(1));
        let silence = idle.filter(|at| *at > fed).unwrap_or(usize::MAX) - fed;
        assert!(!decoder.space().is_empty(), "no space at byte {fed}");
        let n = most.min(bytes.len() - fed).min(silence);
        decoder.feed(&bytes[fed..fed + n], Received::default());
        fed += n;
        turn += 1;
        told.listen(&mut decoder, bytes, &mut provisional);
        assert_eq!(told.books.received, fed as u64);
        if idle == Some(fed) {
            decoder.idle();
            told.listen(&mut decoder, bytes, &mut provisional);
        }
    }
    decoder.finish();
    told.listen(&mut decoder, bytes, &mut provisional);
    assert_eq!(told.books.pending, 0, "the stream has ended");
    assert!(provisional.is_none(), "every frame is confirmed or withdrawn");
    told
}

impl Told {
    fn listen(&mut self, decoder: &mut Decoder, bytes: &[u8], provisional: &mut Option<Arc<Frame>>) {
        while let Some(event) = decoder.poll() {
            let line = match &event {
                Event::Frame(frame) => {
                    assert!(provisional.is_none(), "a frame before the verdict on the last one");
                    as_sent(frame, bytes);
                    *provisional = Some(Arc::clone(frame));
                    let Frame { id, at, dialect, device_time, detections, geometry, kind, .. } = &**frame;
                    let len = frame.payload().len();
                    format!("Frame {id} {at} {dialect} {device_time:?} {detections:?} {geometry:?} {kind:?} {len}")
                }
                Event::Confirmed(id) => {
                    let frame = provisional.take().expect("the frame was returned before");
                    assert_eq!(frame.id, *id);
                    self.frames.push(frame);
                    format!("{event:?}")
                }
                Event::Withdrawn(id, _) => {
                    assert_eq!(provisional.take().expect("the frame was returned before").id, *id);
                    format!("{event:?}")
                }
                Event::Skipped(range) => {
                    self.skipped(range.at, range.len, format!("{:?}", range.reason));
                    continue;
                }
                told => format!("{told:?}"),
            };
            self.lines.push(Line::Other(line));
        }
        self.books = decoder.byte_counts();
        assert!(self.books.balance(), "{:?}", self.books);
        assert_eq!(decoder.is_provisional(), provisional.is_some());
    }

    /// Merges adjacent ranges: how the decoder splits them depends on the pieces.
    fn skipped(&mut self, at: u64, len: u64, reason: String) {
        assert!(len > 0, "an empty range");
        match self.lines.last_mut() {
            Some(Line::Skipped { at: before, len: more, reason: same }) if *same == reason && *before + *more == at => {
                *more += len;
            }
            _ => self.lines.push(Line::Skipped { at, len, reason }),
        }
    }

    /// Confirmed frames and skipped ranges do not overlap, and only records are between them.
    pub fn covers(&self, bytes: &[u8]) {
        let mut parts: Vec<(u64, u64)> = self.frames.iter().map(|frame| (frame.at, length(frame))).collect();
        parts.extend(self.lines.iter().filter_map(|line| match line {
            Line::Skipped { at, len, .. } => Some((*at, *len)),
            Line::Other(_) => None,
        }));
        parts.sort_unstable();
        let mut end = 0;
        let mut records = 0;
        for (at, len) in parts.into_iter().chain([(bytes.len() as u64, 0)]) {
            assert!(at >= end, "byte {at} is told twice");
            assert!((at - end).is_multiple_of(32), "{} bytes from {end} are not told", at - end);
            records += at - end;
            end = at + len;
        }
        assert_eq!(end, bytes.len() as u64, "told past the end");
        let framed: u64 = self.frames.iter().map(|frame| length(frame)).sum();
        assert_eq!(framed + self.books.skipped + records, bytes.len() as u64);
    }
}

fn length(frame: &Frame) -> u64 {
    (frame.header.len() + frame.detection_text.len() + frame.payload().len()) as u64
}

/// Checks that the frame is an unchanged part of the stream.
fn as_sent(frame: &Frame, bytes: &[u8]) {
    let at = usize::try_from(frame.at).expect("it is in memory");
    let mut rest = &bytes[at..];
    let mut take = |part: &[u8]| {
        assert!(rest.starts_with(part), "frame {} differs from what was sent", frame.id);
        rest = &rest[part.len()..];
    };
    if frame.dialect == "FRAME" && !frame.detection_text.is_empty() {
        // Two headers: the detections' header is first.
        take(&frame.header[..32]);
        take(&frame.detection_text);
        take(&frame.header[32..]);
    } else {
        take(&frame.header);
        take(&frame.detection_text);
    }
    take(frame.payload());
}
