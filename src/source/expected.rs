//! Whether the stream is that of the application that somebody expects, and whether it is what it says itself.

use std::sync::Arc;

use crate::device::contract::Contract;
use crate::frame::{Frame, Geometry, PayloadKind, PixelFormat};
use crate::wire::Introduction;

/// What one connection after the other is held to.
#[derive(Debug)]
pub(super) struct Expected {
    contract: Option<Contract>,
    /// What the camera said when it was looked at last, and in what that is not what was expected.
    said: (Arc<Introduction>, Vec<String>),
    /// The frame that is not decided yet, and what is wrong with it.
    frame: Option<(u64, Wrong)>,
    /// Whether a contradiction was told on this connection.
    contradicted: bool,
}

/// What is wrong with an intact frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is another application's, with all differences.
    Other(Vec<String>),
    /// It is not what its own stream says.
    Contradiction(String),
}

impl Expected {
    pub(super) fn new(contract: Option<Contract>) -> Self {
        Self { contract, said: (Arc::default(), Vec::new()), frame: None, contradicted: false }
    }

    /// Another connection.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.contract.take());
    }

    /// Whether a frame may be shown and kept.
    pub(super) fn allows(&mut self, introduction: &Arc<Introduction>, frame: &Frame) -> bool {
        self.frame = None;
        if let Some(contract) = &self.contract {
            if !Arc::ptr_eq(&self.said.0, introduction) {
                self.said = (Arc::clone(introduction), contract.contradicted_by(introduction));
            }
            let mut differences = self.said.1.clone();
            differences.extend(sent_otherwise((contract.width, contract.height), &contract.format, frame));
            if !differences.is_empty() {
                self.frame = Some((frame.id, Wrong::Other(differences)));
                return false;
            }
        }
        if let Introduction { size: Some(size), format: Some(format), .. } = &**introduction
            && !self.contradicted
        {
            let found = sent_otherwise(*size, format, frame);
            self.frame = found.map(|found| (frame.id, Wrong::Contradiction(found)));
        }
        true
    }

    /// The frame is intact: what is wrong with it. A contradiction is told once on a connection.
    pub(super) fn confirmed(&mut self, id: u64) -> Option<Wrong> {
        let (_, wrong) = self.frame.take_if(|(found, _)| *found == id)?;
        self.contradicted |= matches!(wrong, Wrong::Contradiction(_));
        Some(wrong)
    }
}

/// In what a frame cannot be one of this application.
fn sent_otherwise((width, height): (u32, u32), format: &str, frame: &Frame) -> Option<String> {
    let encoded = PayloadKind::ALL.into_iter().find(|kind| *kind != PayloadKind::Raw && kind.name() == format);
    let bytes = frame.payload().len();
    // Only when there is something to tell: this is asked of every frame.
    let found = || match frame.kind {
        PayloadKind::Raw => format!("{bytes} bytes of raw pixels"),
        kind => format!("{} of {bytes} bytes", kind.name()),
    };
    if let Some(kind) = encoded {
        let other = frame.geometry.is_some_and(|found| (found.width, found.height) != (width, height));
        return (frame.kind != kind || other).then(|| {
            let size = frame.geometry.map(|Geometry { width, height, .. }| format!(", {width}x{height}"));
            let (found, size) = (found(), size.unwrap_or_default());
            format!("expected {format} of {width}x{height} pixels, found {found}{size}")
        });
    }
    let format: PixelFormat = format.parse().ok()?;
    let whole = Geometry::tight(format, width, height).ok()?.byte_len()?;
    let padded = |found: Geometry| (found.width, found.height) == (width, height) && found.is_padded() && bytes > whole;
    let same = bytes == whole || frame.geometry.is_some_and(padded);
    (!same).then(|| format!("expected {width}x{height} {format}, which are {whole} bytes; found {}", found()))
}

#[cfg(test)]
#[allow(clippy::field_reassign_with_default)] // A frame's payload is private, so there is no other way.
mod tests {
    use super::*;
    use crate::wire::{Decoder, Limits};

    fn door() -> Contract {
        "door oaktap/1 64x48 BGR888p 12.5 abda5f13".parse().expect("a contract")
    }

    /// What a connection that says these lines has said.
    fn said(lines: &[&str]) -> Arc<Introduction> {
        let mut decoder = Decoder::new(Default::default(), Default::default(), Limits::default());
        let bytes: Vec<u8> = lines.iter().flat_map(|line| format!("{line:32}").into_bytes()).collect();
        decoder.space()[..bytes.len()].copy_from_slice(&bytes);
        decoder.commit(bytes.len(), Default::default());
        Arc::clone(decoder.introduction())
    }

    fn frame(len: usize) -> Frame {
        let mut frame = Frame::default();
        frame.payload_mut(len);
        frame
    }

    const SAME: [&str; 6] =
        ["@V 1 door", "@D 64 48 BGR888p", "@R 12.5", "@L 0 person", "@L 1 traffic light", "@C abda5f13 2"];

    #[test]
    fn the_same_application_is_let_through() {
        let mut expected = Expected::new(Some(door()));
        for lines in [&SAME[..], &[], &["@V 1 door"]] {
            let lines: Vec<_> = lines.iter().copied().chain(["@C abda5f13 2"]).filter(|_| !lines.is_empty()).collect();
            assert!(expected.allows(&said(&lines), &frame(9216)), "{lines:?}");
            assert_eq!(expected.confirmed(0), None);
        }
        assert!(Expected::new(None).allows(&said(&["@V 1 gate"]), &frame(7)));
    }

    #[test]
    fn another_one_is_not_with_every_difference() {
        let mut expected = Expected::new(Some(door()));
        let other = said(&["@V 2 gate", "@D 32 48 BGR888p", "@R 30"]);
        assert!(!expected.allows(&other, &frame(4608)));
        let Some(Wrong::Other(differences)) = expected.confirmed(0) else { panic!("{expected:?}") };
        assert_eq!(
            differences,
            [
                "expected door, found gate",
                "expected 64x48, found 32x48",
                "expected 12.5 frames/s, found 30 frames/s",
                "expected labels abda5f13, found no labels",
                "expected version 1 of the records, found 2",
                "expected 64x48 BGR888p, which are 9216 bytes; found 4608 bytes of raw pixels",
            ]
        );
    }

    #[test]
    fn without_records_the_payload_must_do() {
        let mut expected = Expected::new(Some(door()));
        let nothing = said(&[]);
        assert!(!expected.allows(&nothing, &frame(9215)));
        assert!(expected.confirmed(1).is_none(), "another frame");
        assert!(expected.allows(&nothing, &frame(9216)));
        assert!(expected.confirmed(0).is_none(), "what was withdrawn proves nothing");
        let mut jpeg = frame(9216);
        jpeg.kind = PayloadKind::Jpeg;
        let mut encoded = Expected::new(Some(Contract { format: "JPEG".to_owned(), ..door() }));
        assert!(encoded.allows(&nothing, &jpeg));
        assert!(!encoded.allows(&nothing, &frame(9216)));
        jpeg.geometry = Some(Geometry::tight(PixelFormat::Jpeg, 640, 352).unwrap_or(Geometry {
            format: PixelFormat::Jpeg,
            width: 640,
            height: 352,
            stride: 0,
            plane_rows: 0,
        }));
        assert!(!encoded.allows(&nothing, &jpeg));
        let told = "expected JPEG of 64x48 pixels, found JPEG of 9216 bytes, 640x352".to_owned();
        assert_eq!(encoded.confirmed(0), Some(Wrong::Other(vec![told])));
    }

    #[test]
    fn a_stream_that_contradicts_itself_says_so_once() {
        let mut expected = Expected::new(None);
        let said = said(&SAME);
        let mut judge = |len: usize| {
            assert!(expected.allows(&said, &frame(len)), "nobody expected anything");
            expected.confirmed(0)
        };
        let told = "expected 64x48 BGR888p, which are 9216 bytes; found 100 bytes of raw pixels".to_owned();
        assert_eq!([judge(9216), judge(100), judge(100)], [None, Some(Wrong::Contradiction(told)), None]);
    }
}
