//! Sequence parameter sets of H.264: the parser reads what the writer wrote, whatever follows; and it accepts or rejects any
//! other bytes, of H.265 too.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use oaktap::frame::{PayloadKind, Sequence};

/// Values of a set in the ranges that ITU-T H.264, 7.4.2.1.1, allows.
#[derive(Arbitrary, Debug)]
struct Set {
    high: bool,
    level: u8,
    id: u8,
    chroma: u8,
    separate: bool,
    depths: (u8, u8),
    order: u8,
    offsets: Vec<i16>,
    columns: u8,
    rows: u8,
    frames_only: bool,
    crop: Option<[u8; 4]>,
    /// Bytes after the fields that are read.
    rest: Vec<u8>,
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, count: u32, value: u64) {
        for shift in (0..count).rev() {
            if self.used % 8 == 0 {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().expect("a byte") |= ((value >> shift & 1) as u8) << (7 - self.used % 8);
            self.used += 1;
        }
    }

    fn unsigned(&mut self, value: u64) {
        let bits = 64 - (value + 1).leading_zeros();
        self.put(2 * bits - 1, value + 1);
    }

    fn signed(&mut self, value: i64) {
        self.unsigned(if value > 0 { 2 * value as u64 - 1 } else { 2 * value.unsigned_abs() });
    }
}

impl Set {
    /// Returns the unit with its start code, and the values that a reader finds.
    fn written(&self) -> (Vec<u8>, Option<Sequence>) {
        let profile = if self.high { 100 } else { 66 };
        let chroma = if self.high { self.chroma % 4 } else { 1 };
        let separate = chroma == 3 && self.separate;
        let depths = if self.high { (self.depths.0 % 7, self.depths.1 % 7) } else { (0, 0) };
        let mut bits = Bits::default();
        bits.put(8, profile);
        bits.put(16, self.level.into());
        bits.unsigned(u64::from(self.id % 32));
        if self.high {
            bits.unsigned(chroma.into());
            if chroma == 3 {
                bits.put(1, separate.into());
            }
            bits.unsigned(depths.0.into());
            bits.unsigned(depths.1.into());
            bits.put(2, 0);
        }
        bits.unsigned(0);
        bits.unsigned(u64::from(self.order % 3));
        match self.order % 3 {
            0 => bits.unsigned(4),
            1 => {
                bits.put(1, 0);
                bits.signed(-1);
                bits.signed(2);
                let offsets = &self.offsets[..self.offsets.len().min(255)];
                bits.unsigned(offsets.len() as u64);
                offsets.iter().for_each(|offset| bits.signed((*offset).into()));
            }
            _ => {}
        }
        bits.unsigned(1);
        bits.put(1, 0);
        bits.unsigned(self.columns.into());
        bits.unsigned(self.rows.into());
        bits.put(1, self.frames_only.into());
        if !self.frames_only {
            bits.put(1, 1);
        }
        bits.put(1, 1);
        bits.put(1, self.crop.is_some().into());
        self.crop.iter().flatten().for_each(|side| bits.unsigned((*side).into()));
        bits.put(1, 1);
        // The fields end within the last byte: what follows is not read.
        let mut unit = vec![0, 0, 0, 1, 0x67];
        let mut zeros = 0;
        for byte in bits.bytes.iter().chain(&self.rest) {
            if zeros == 2 && *byte <= 3 {
                unit.push(3);
                zeros = 0;
            }
            unit.push(*byte);
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
        }
        let fields = if self.frames_only { 1 } else { 2 };
        let (across, down) = match (chroma, separate) {
            (1, _) => (2, 2),
            (2, _) => (2, 1),
            _ => (1, 1),
        };
        let [left, right, top, bottom] = self.crop.unwrap_or_default().map(u32::from);
        let size = (16 * (u32::from(self.columns) + 1), 16 * fields * (u32::from(self.rows) + 1));
        let width = size.0.checked_sub((left + right) * across).filter(|width| *width > 0);
        let height = size.1.checked_sub((top + bottom) * down * fields).filter(|height| *height > 0);
        let sequence = width.zip(height).map(|(width, height)| Sequence {
            width,
            height,
            profile: profile as u8,
            chroma,
            bits: (8 + depths.0, 8 + depths.1),
            interlaced: !self.frames_only,
        });
        (unit, sequence)
    }
}

fuzz_target!(|input: &[u8]| {
    for kind in [PayloadKind::H264, PayloadKind::H265] {
        let unit: &[u8] = if kind == PayloadKind::H264 { &[0, 0, 0, 1, 0x67] } else { &[0, 0, 0, 1, 0x42, 1] };
        for payload in [input.to_vec(), [unit, input].concat()] {
            if let Some(found) = Sequence::in_payload(kind, &payload) {
                assert!(found.width > 0 && found.height > 0 && found.chroma <= 3, "{found:?}");
                let cut = Sequence::in_payload(kind, &[&payload[..], &[0, 0, 0, 1, 0x65, 0x80]].concat());
                assert_eq!(cut, Some(found), "a slice after the set changes nothing");
            }
        }
    }
    let Ok(set) = Set::arbitrary_take_rest(Unstructured::new(input)) else { return };
    let (unit, expected) = set.written();
    assert_eq!(Sequence::in_payload(PayloadKind::H264, &unit), expected, "{set:?}: {unit:x?}");
});
