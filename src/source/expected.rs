//! Checks that a stream is from the expected application, and that its frames match its own records.

use std::sync::Arc;

use crate::device::contract::Contract;
use crate::frame::{Frame, Geometry, PayloadKind, PixelFormat};
use crate::wire::Introduction;

/// Checks each frame of a connection.
#[derive(Debug)]
pub(super) struct Expected {
    contract: Option<Contract>,
    /// The introduction that was checked last, with its differences from the contract.
    checked: (Arc<Introduction>, Vec<String>),
    /// Id and mismatch of a frame that is not confirmed yet.
    unconfirmed: Option<(u64, Mismatch)>,
    /// Set once a contradiction was reported on this connection.
    contradicted: bool,
    /// The camera does not begin with its description, but repeats it: we may join at any frame.
    joins_late: bool,
    /// Arrival of the first frame before the description.
    joined_ns: Option<u64>,
}

/// A camera that repeats its description has sent it within this time.
const DESCRIPTION_WAIT_NS: u64 = 5_000_000_000;

/// Mismatch of an intact frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// The frame is from another application than expected; lists all differences.
    UnexpectedApplication(Vec<String>),
    /// The frame does not match the records of its own stream.
    Contradiction(String),
}

impl Expected {
    pub(super) fn new(contract: Option<Contract>) -> Self {
        let checked = (Arc::default(), Vec::new());
        Self { contract, checked, unconfirmed: None, contradicted: false, joins_late: false, joined_ns: None }
    }

    /// Does not deliver or judge frames before the description, for at most 5 s.
    pub(super) fn joining_late(self, joins_late: bool) -> Self {
        Self { joins_late, ..self }
    }

    /// Prepares for the next connection.
    pub(super) fn restart(&mut self) {
        *self = Self::new(self.contract.take()).joining_late(self.joins_late);
    }

    /// Returns whether a frame may be delivered. Its mismatch is reported by [`Self::confirmed`], because a frame that is
    /// withdrawn proves nothing.
    pub(super) fn allows(&mut self, introduction: &Arc<Introduction>, frame: &Frame) -> bool {
        self.unconfirmed = None;
        if let Some(contract) = &self.contract {
            if self.joins_late && introduction.app.is_none() {
                let now_ns = frame.received.mono_ns;
                if now_ns.saturating_sub(*self.joined_ns.get_or_insert(now_ns)) < DESCRIPTION_WAIT_NS {
                    return false;
                }
            }
            if !Arc::ptr_eq(&self.checked.0, introduction) {
                self.checked = (Arc::clone(introduction), contract.differences_to(introduction));
            }
            let mut differences = self.checked.1.clone();
            differences.extend(difference((contract.width, contract.height), &contract.format, frame));
            if !differences.is_empty() {
                self.unconfirmed = Some((frame.id, Mismatch::UnexpectedApplication(differences)));
                return false;
            }
        }
        if let Introduction { size: Some(size), format: Some(format), .. } = &**introduction
            && !self.contradicted
        {
            let found = difference(*size, format, frame);
            self.unconfirmed = found.map(|found| (frame.id, Mismatch::Contradiction(found)));
        }
        true
    }

    /// Returns the mismatch of a frame that was confirmed. Returns only the first contradiction of a connection.
    pub(super) fn confirmed(&mut self, id: u64) -> Option<Mismatch> {
        let (_, mismatch) = self.unconfirmed.take_if(|(unconfirmed, _)| *unconfirmed == id)?;
        self.contradicted |= matches!(mismatch, Mismatch::Contradiction(_));
        Some(mismatch)
    }
}

/// Describes why a frame cannot have this size and format; `None` if it can.
fn difference((width, height): (u32, u32), format: &str, frame: &Frame) -> Option<String> {
    let encoded = PayloadKind::ALL.into_iter().find(|kind| *kind != PayloadKind::Raw && kind.name() == format);
    let bytes = frame.payload().len();
    // A closure, because every frame is checked and few differ.
    let found = || match (frame.kind, frame.geometry) {
        (PayloadKind::Raw, _) => format!("{bytes} bytes of raw pixels"),
        (kind, Some(Geometry { width, height, .. })) => format!("{width}x{height} {} ({bytes} bytes)", kind.name()),
        (kind, None) => format!("{} ({bytes} bytes)", kind.name()),
    };
    if let Some(kind) = encoded {
        let other_size = frame.geometry.is_some_and(|found| (found.width, found.height) != (width, height));
        return (frame.kind != kind || other_size)
            .then(|| format!("expected {width}x{height} {format}, found {}", found()));
    }
    let format: PixelFormat = format.parse().ok()?;
    let tight_len = Geometry::tight(format, width, height).ok()?.byte_len()?;
    let is_padded =
        |found: Geometry| (found.width, found.height) == (width, height) && found.is_padded() && bytes > tight_len;
    let same = bytes == tight_len || frame.geometry.is_some_and(is_padded);
    (!same).then(|| format!("expected {width}x{height} {format} ({tight_len} bytes), found {}", found()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Decoder, Limits};

    fn door() -> Contract {
        "door oaktap/1 64x48 BGR888p 12.5 abda5f13".parse().expect("a contract")
    }

    /// Returns the introduction of a connection that sends these records.
    fn introduction(lines: &[&str]) -> Arc<Introduction> {
        let mut decoder = Decoder::new(Default::default(), Default::default(), Limits::default());
        let bytes: Vec<u8> = lines.iter().flat_map(|line| format!("{line:32}").into_bytes()).collect();
        decoder.feed(&bytes, Default::default());
        Arc::clone(decoder.introduction())
    }

    fn frame(len: usize) -> Frame {
        Frame::with_payload(vec![0; len])
    }

    const SAME: [&str; 6] =
        ["@V 1 door", "@D 64 48 BGR888p", "@R 12.5", "@L 0 person", "@L 1 traffic light", "@C abda5f13 2"];

    #[test]
    fn the_expected_application_is_allowed() {
        let mut expected = Expected::new(Some(door()));
        for lines in [&SAME[..], &["@V 1 door", "@C abda5f13 2"]] {
            assert!(expected.allows(&introduction(lines), &frame(9216)), "{lines:?}");
            assert_eq!(expected.confirmed(0), None);
        }
        assert!(Expected::new(None).allows(&introduction(&["@V 1 gate"]), &frame(7)));
    }

    #[test]
    fn frames_before_a_repeated_description_wait_for_it() {
        let mut expected = Expected::new(Some(door())).joining_late(true);
        let at = |mono_ns| {
            let mut frame = frame(9216);
            frame.received.mono_ns = mono_ns;
            frame
        };
        for ns in [7, 5_000_000_006] {
            assert!(!expected.allows(&introduction(&[]), &at(ns)));
            assert_eq!(expected.confirmed(0), None);
        }
        assert!(expected.allows(&introduction(&SAME), &at(5_000_000_006)));
        assert!(!expected.allows(&introduction(&[]), &at(5_000_000_007)));
        assert!(matches!(expected.confirmed(0), Some(Mismatch::UnexpectedApplication(_))));
        // Other applications are found at once.
        expected.restart();
        assert!(!expected.allows(&introduction(&["@V 1 gate"]), &at(7)));
        assert!(matches!(expected.confirmed(0), Some(Mismatch::UnexpectedApplication(_))));
    }

    #[test]
    fn another_application_is_rejected_with_every_difference() {
        let mut expected = Expected::new(Some(door()));
        let other = introduction(&["@V 2 gate", "@D 32 48 BGR888p", "@R 30"]);
        assert!(!expected.allows(&other, &frame(4608)));
        let Some(Mismatch::UnexpectedApplication(differences)) = expected.confirmed(0) else { panic!("{expected:?}") };
        assert_eq!(
            differences,
            [
                "expected door, found gate",
                "expected 64x48, found 32x48",
                "expected 12.5 frames/s, found 30 frames/s",
                "expected labels abda5f13, found no labels",
                "expected version 1 of the records, found 2",
                "expected 64x48 BGR888p (9216 bytes), found 4608 bytes of raw pixels",
            ]
        );
    }

    #[test]
    fn a_stream_that_does_not_name_its_application_is_rejected() {
        for lines in [&[][..], &["@D 64 48 BGR888p"], &["@R 12.5", "@C abda5f13 2"]] {
            let mut expected = Expected::new(Some(door()));
            assert!(!expected.allows(&introduction(lines), &frame(9216)), "{lines:?}");
            let difference = "expected door, found an application that does not identify itself".to_owned();
            assert_eq!(expected.confirmed(0), Some(Mismatch::UnexpectedApplication(vec![difference])), "{lines:?}");
        }
    }

    #[test]
    fn the_payload_must_have_the_expected_format() {
        let mut expected = Expected::new(Some(door()));
        let named = introduction(&["@V 1 door", "@C abda5f13 2"]);
        assert!(!expected.allows(&named, &frame(9215)));
        assert!(expected.confirmed(1).is_none(), "another frame");
        assert!(expected.allows(&named, &frame(9216)));
        assert!(expected.confirmed(0).is_none(), "not confirmed after the next frame");
        let mut jpeg = frame(9216);
        jpeg.kind = PayloadKind::Jpeg;
        let mut encoded = Expected::new(Some(Contract { format: "JPEG".to_owned(), ..door() }));
        assert!(encoded.allows(&named, &jpeg));
        assert!(!encoded.allows(&named, &frame(9216)));
        jpeg.geometry = Some(Geometry::tight(PixelFormat::Jpeg, 640, 352).unwrap_or(Geometry {
            format: PixelFormat::Jpeg,
            width: 640,
            height: 352,
            stride: 0,
            plane_rows: 0,
        }));
        assert!(!encoded.allows(&named, &jpeg));
        let difference = "expected 64x48 JPEG, found 640x352 JPEG (9216 bytes)".to_owned();
        assert_eq!(encoded.confirmed(0), Some(Mismatch::UnexpectedApplication(vec![difference])));
    }

    #[test]
    fn a_contradiction_is_reported_once_per_connection() {
        let mut expected = Expected::new(None);
        let introduction = introduction(&SAME);
        let mut check = |len: usize| {
            assert!(expected.allows(&introduction, &frame(len)), "no application is expected");
            expected.confirmed(0)
        };
        let found = "expected 64x48 BGR888p (9216 bytes), found 100 bytes of raw pixels".to_owned();
        assert_eq!([check(9216), check(100), check(100)], [None, Some(Mismatch::Contradiction(found)), None]);
    }
}
