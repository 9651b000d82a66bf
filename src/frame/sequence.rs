//! Reads the sequence parameter sets of video: the size of the pictures, and what a decoder has to support.

use super::{FoundSets, PayloadKind, Size, magic};

/// Longest sequence parameter set that is read, in bytes. With every optional table it has about 1 KiB.
const SET_BYTES_MAX: usize = 4096;

/// A sequence parameter set: ITU-T H.264, 7.3.2.1.1, or ITU-T H.265, 7.3.2.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Width of the shown part of a picture, in pixels.
    pub width: u32,
    /// Height of the shown part of a picture, in pixels.
    pub height: u32,
    /// `profile_idc` of H.264, `general_profile_idc` of H.265.
    pub profile: u8,
    /// `chroma_format_idc`: 0 is gray, 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
    pub chroma: u8,
    /// Bits per sample of luma and of chroma.
    pub bits: (u8, u8),
    /// Pictures may be coded as two fields (H.264).
    pub interlaced: bool,
}

impl Sequence {
    /// Reads the sequence parameter set before the picture of an access unit; `None` without a valid one.
    #[must_use]
    pub fn in_payload(kind: PayloadKind, payload: &[u8]) -> Option<Self> {
        let found = magic::parameter_sets(kind, payload);
        if found.has_sequence { Self::of(kind, &found) } else { None }
    }

    /// Returns the size of the shown part of a picture.
    #[must_use]
    pub const fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }

    /// Reads the last sequence parameter set among parameter sets; `None` without a valid one.
    #[must_use]
    pub fn of(kind: PayloadKind, sets: &FoundSets) -> Option<Self> {
        let units = sets.bytes.windows(4).enumerate().filter(|(_, window)| *window == [0, 0, 0, 1]);
        let read = |(at, _)| Self::read(kind, &sets.bytes[at + 4..]);
        units.filter_map(read).next_back()
    }

    /// Reads a unit without its start code; `None` if it is not a valid sequence parameter set.
    fn read(kind: PayloadKind, unit: &[u8]) -> Option<Self> {
        let unit = &unit[..unit.len().min(SET_BYTES_MAX)];
        let sequence = match kind {
            PayloadKind::H264 if unit.first()? & 0x1f == 7 => h264(&mut Bits::new(&unit[1..]))?,
            PayloadKind::H265 if unit.first()? >> 1 & 0x3f == 33 => h265(&mut Bits::new(unit.get(2..)?))?,
            _ => return None,
        };
        (sequence.width > 0 && sequence.height > 0 && sequence.chroma <= 3).then_some(sequence)
    }
}

/// Returns whether the first slice of an H.264 access unit is one of a B-frame (ITU-T H.264, 7.3.3), which refers to pictures
/// that are shown after it.
pub(super) fn is_b_frame(payload: &[u8]) -> bool {
    let mut starts = payload.windows(4).enumerate().filter(|(_, window)| window[..3] == [0, 0, 1]);
    let Some((at, first)) = starts.find(|(_, window)| matches!(window[3] & 0x1f, 1..=5)) else { return false };
    let mut bits = Bits::new(&payload[at + 4..]);
    let slice_type = bits.unsigned().and_then(|_| bits.unsigned());
    first[3] & 0x1f == 1 && matches!(slice_type, Some(1 | 6))
}

fn h264(bits: &mut Bits<'_>) -> Option<Sequence> {
    let profile = bits.take(8)? as u8;
    bits.skip(16)?; // Constraints and level.
    bits.unsigned()?;
    let (mut chroma, mut depths, mut separate) = (1, (8, 8), false);
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma = bits.unsigned()?;
        separate = chroma == 3 && bits.flag()?;
        depths = (bits.unsigned()?, bits.unsigned()?);
        depths = (depths.0.checked_add(8)?, depths.1.checked_add(8)?);
        bits.flag()?;
        if bits.flag()? {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.unsigned()?;
    match bits.unsigned()? {
        0 => drop(bits.unsigned()?),
        1 => {
            bits.flag()?;
            bits.unsigned()?;
            bits.unsigned()?;
            for _ in 0..bits.unsigned().filter(|offsets| *offsets <= 255)? {
                bits.unsigned()?;
            }
        }
        _ => {}
    }
    bits.unsigned()?;
    bits.flag()?;
    let columns = bits.unsigned()?.checked_add(1)?.checked_mul(16)?;
    let rows = bits.unsigned()?.checked_add(1)?.checked_mul(16)?;
    let frames_only = bits.flag()?;
    let rows = rows.checked_mul(if frames_only { 1 } else { 2 })?;
    if !frames_only {
        bits.flag()?;
    }
    bits.flag()?;
    let subsampled = if separate { 0 } else { chroma };
    let (across, down) = (if matches!(subsampled, 1 | 2) { 2 } else { 1 }, if subsampled == 1 { 2 } else { 1 });
    let down = if frames_only { down } else { 2 * down };
    let (width, height) = cropped(bits, (columns, rows), (across, down))?;
    Some(Sequence {
        width,
        height,
        profile,
        chroma: u8::try_from(chroma).ok()?,
        bits: (u8::try_from(depths.0).ok()?, u8::try_from(depths.1).ok()?),
        interlaced: !frames_only,
    })
}

/// Skips a scaling list (ITU-T H.264, 7.3.2.1.1.1).
fn scaling_list(bits: &mut Bits<'_>, values: usize) -> Option<()> {
    let (mut last, mut next) = (8, 8);
    for _ in 0..values {
        if next != 0 {
            next = (last + bits.signed()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

fn h265(bits: &mut Bits<'_>) -> Option<Sequence> {
    bits.skip(4)?;
    let sub_layers = bits.take(3)?;
    bits.skip(1 + 3)?;
    let profile = bits.take(5)? as u8;
    bits.skip(32 + 48 + 8)?;
    let mut layers = [(false, false); 7];
    let layers = layers.get_mut(..sub_layers as usize)?;
    for layer in layers.iter_mut() {
        *layer = (bits.flag()?, bits.flag()?);
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers))?;
    }
    for (has_profile, has_level) in layers {
        bits.skip(88 * u32::from(*has_profile) + 8 * u32::from(*has_level))?;
    }
    bits.unsigned()?;
    let chroma = bits.unsigned()?;
    let separate = chroma == 3 && bits.flag()?;
    let (columns, rows) = (bits.unsigned()?, bits.unsigned()?);
    let subsampled = if separate { 0 } else { chroma };
    let unit = (if matches!(subsampled, 1 | 2) { 2 } else { 1 }, if subsampled == 1 { 2 } else { 1 });
    let (width, height) = cropped(bits, (columns, rows), unit)?;
    let depths = (bits.unsigned()?.checked_add(8)?, bits.unsigned()?.checked_add(8)?);
    Some(Sequence {
        width,
        height,
        profile,
        chroma: u8::try_from(chroma).ok()?,
        bits: (u8::try_from(depths.0).ok()?, u8::try_from(depths.1).ok()?),
        interlaced: false,
    })
}

/// Reads the cropping, whose four sides count in units of pixels, and applies it to a size.
fn cropped(bits: &mut Bits<'_>, (width, height): (u32, u32), (across, down): (u32, u32)) -> Option<(u32, u32)> {
    if !bits.flag()? {
        return Some((width, height));
    }
    let [left, right, top, bottom] = [bits.unsigned()?, bits.unsigned()?, bits.unsigned()?, bits.unsigned()?];
    let sides = |a: u32, b: u32, unit: u32| a.checked_add(b)?.checked_mul(unit);
    Some((width.checked_sub(sides(left, right, across)?)?, height.checked_sub(sides(top, bottom, down)?)?))
}

/// Reads bits from a unit, without the bytes that escape start codes (00 00 03).
struct Bits<'a> {
    bytes: &'a [u8],
    zeros: u8,
    now: u8,
    left: u32,
}

impl<'a> Bits<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, zeros: 0, now: 0, left: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        if self.zeros >= 2 && byte == 3 {
            self.zeros = 0;
            return self.byte();
        }
        self.zeros = if byte == 0 { self.zeros.saturating_add(1) } else { 0 };
        Some(byte)
    }

    fn flag(&mut self) -> Option<bool> {
        if self.left == 0 {
            (self.now, self.left) = (self.byte()?, 8);
        }
        self.left -= 1;
        Some(self.now >> self.left & 1 == 1)
    }

    /// Reads an unsigned number of at most 32 bits.
    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |number, _| Some(number << 1 | u32::from(self.flag()?)))
    }

    fn skip(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.flag().map(drop))
    }

    /// Reads a number in Exp-Golomb code (ITU-T H.264, 9.1). Larger ones than 2^32 - 2 are invalid.
    fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        if zeros > 31 {
            return None;
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }

    fn signed(&mut self) -> Option<i32> {
        let code = self.unsigned()?;
        let size = i32::try_from(code.div_ceil(2)).ok()?;
        Some(if code % 2 == 1 { size } else { -size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequence parameter sets that x264 and x265 wrote.
    const SETS: [(PayloadKind, &[u8], Sequence); 8] = [
        (
            PayloadKind::H264,
            &[
                0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0xff, 0xc0, 0x00, 0xc0, 0x01, 0x04, 0x00,
                0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20,
            ],
            Sequence { width: 1920, height: 1080, profile: 66, chroma: 1, bits: (8, 8), interlaced: false },
        ),
        (
            PayloadKind::H264,
            &[
                0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x2d, 0xbf, 0xf0, 0x00, 0xb0, 0x00, 0xf1, 0x00, 0x00,
                0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x3c, 0x0f, 0x16, 0x2d, 0x96,
            ],
            Sequence { width: 640, height: 352, profile: 100, chroma: 1, bits: (8, 8), interlaced: false },
        ),
        (
            PayloadKind::H264,
            &[
                0x67, 0x6e, 0x00, 0x0a, 0xa6, 0xcd, 0x94, 0x72, 0xf8, 0x88, 0x8f, 0xfc, 0x00, 0xb0, 0x00, 0xc4, 0x40,
                0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0f, 0x03, 0xc4, 0x89, 0x65, 0x80,
            ],
            Sequence { width: 98, height: 66, profile: 110, chroma: 1, bits: (10, 10), interlaced: false },
        ),
        (
            PayloadKind::H264,
            &[
                0x67, 0x64, 0x00, 0x15, 0xac, 0xd9, 0x41, 0x41, 0x0f, 0xcb, 0x80, 0x88, 0x00, 0x00, 0x03, 0x00, 0x08,
                0x00, 0x00, 0x03, 0x01, 0xe0, 0xf8, 0xa1, 0x4c, 0xb0,
            ],
            Sequence { width: 320, height: 240, profile: 100, chroma: 1, bits: (8, 8), interlaced: true },
        ),
        (
            PayloadKind::H264,
            &[
                0x67, 0x7a, 0x00, 0x0a, 0xbc, 0xd9, 0x44, 0x7b, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00,
                0x03, 0x03, 0xc0, 0xf1, 0x22, 0x59, 0x60,
            ],
            Sequence { width: 64, height: 48, profile: 122, chroma: 2, bits: (8, 8), interlaced: false },
        ),
        (
            PayloadKind::H265,
            &[
                0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00,
                0x78, 0xa0, 0x03, 0xc0, 0x80, 0x10, 0xe5, 0x96, 0x56, 0x69, 0x24, 0xca, 0xff, 0xf0, 0x00, 0x30, 0x00,
                0x46, 0x80, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x0f, 0x04,
            ],
            Sequence { width: 1920, height: 1080, profile: 1, chroma: 1, bits: (8, 8), interlaced: false },
        ),
        (
            PayloadKind::H265,
            &[
                0x42, 0x01, 0x01, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00,
                0x1e, 0xa0, 0x11, 0x20, 0x69, 0xc9, 0x23, 0x65, 0x95, 0x9a, 0x49, 0x32, 0xbf, 0xfc, 0x03, 0x10, 0x03,
                0x0d, 0xa0, 0x20, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x00, 0x03, 0x03, 0xc1,
            ],
            Sequence { width: 130, height: 98, profile: 2, chroma: 1, bits: (10, 10), interlaced: false },
        ),
        (
            PayloadKind::H265,
            &[
                0x42, 0x01, 0x01, 0x04, 0x08, 0x00, 0x00, 0x03, 0x00, 0x9e, 0x08, 0x00, 0x00, 0x03, 0x00, 0x00, 0x1e,
                0x90, 0x04, 0x10, 0x62, 0xcb, 0x2b, 0x35, 0xc9, 0x95, 0xe0, 0x2d, 0x01, 0x00, 0x00, 0x03, 0x00, 0x01,
                0x00, 0x00, 0x03, 0x00, 0x1e, 0x08,
            ],
            Sequence { width: 64, height: 48, profile: 4, chroma: 3, bits: (8, 8), interlaced: false },
        ),
    ];

    fn sets(unit: &[u8]) -> FoundSets {
        FoundSets { bytes: [&[0, 0, 0, 1], unit].concat(), has_sequence: true, has_picture: false }
    }

    #[test]
    fn sizes_and_profiles_of_encoders_are_read() {
        for (kind, unit, expected) in SETS {
            assert_eq!(Sequence::of(kind, &sets(unit)), Some(expected));
            let twice = [&sets(SETS[1].1).bytes[..], &sets(unit).bytes].concat();
            assert_eq!(
                Sequence::of(kind, &FoundSets { bytes: twice, has_sequence: true, has_picture: false }),
                Some(expected),
                "the last"
            );
        }
    }

    #[test]
    fn damaged_parameter_sets_are_rejected_or_read_but_never_overrun() {
        for (kind, unit, _) in SETS {
            assert!((0..5).all(|len| Sequence::read(kind, &unit[..len]).is_none()));
            for at in 1..unit.len() {
                for value in [0, 0xff, 0x80, unit[at] ^ 1] {
                    let mut damaged = unit.to_vec();
                    damaged[at] = value;
                    let _ = Sequence::of(kind, &sets(&damaged));
                }
            }
        }
    }

    #[test]
    fn a_crop_larger_than_the_picture_is_rejected() {
        // 1 flag, then 0, 31, 0, 0 in units of 2 pixels.
        let crop = [0b1100_0001, 0b0000_0110];
        assert_eq!(cropped(&mut Bits::new(&crop), (62, 16), (2, 2)), Some((0, 16)));
        assert_eq!(cropped(&mut Bits::new(&crop), (61, 16), (2, 2)), None);
    }
}
