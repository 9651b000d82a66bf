//! Payload <-> image message: which message shows it, and whether that message holds every byte of it.

use foxglove::Encode as _;
use foxglove::messages::{CompressedImage, CompressedVideo, RawImage, Timestamp};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field};

use crate::convert::{Converter, PackedOrder};
use crate::frame::{Frame, Geometry, PayloadKind, PixelFormat};

/// Field number of `data` in the messages: the last one that is written, so that it can be filled in place.
const RAW_DATA: u32 = 6;
const COMPRESSED_DATA: u32 = 2;
const VIDEO_DATA: u32 = 3;

/// Which message shows a payload. Their order is that of the channel numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Raw,
    Compressed,
    Video,
}

impl Message {
    pub(super) const ALL: [Self; 3] = [Self::Raw, Self::Compressed, Self::Video];

    /// Name and descriptor of its schema.
    pub(super) fn schema(self) -> foxglove::Schema {
        let schema = match self {
            Self::Raw => RawImage::get_schema(),
            Self::Compressed => CompressedImage::get_schema(),
            Self::Video => CompressedVideo::get_schema(),
        };
        schema.expect("every message of foxglove has its schema")
    }

    /// The number of the field that holds the bytes.
    fn data(self) -> u32 {
        match self {
            Self::Raw => RAW_DATA,
            Self::Compressed => COMPRESSED_DATA,
            Self::Video => VIDEO_DATA,
        }
    }
}

/// How the payload gets into its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Byte for byte.
    AsIs,
    /// Three planes of bytes become one of triples. The inverse is exact.
    Interleaved(PackedOrder),
    /// As a picture to look at, from which the payload cannot be had back.
    Converted,
}

/// Whether [`payload`] can be had back from the message. To be asked of [`write`]'s result and of a layout that was read.
fn how(geometry: &Geometry, payload_len: usize) -> (How, &'static str) {
    use PixelFormat::*;
    let Geometry { width, height, plane_rows, .. } = *geometry;
    let whole = geometry.byte_len() == Some(payload_len);
    match geometry.format {
        Bgr888p if whole && !geometry.is_padded() => (How::Interleaved(PackedOrder::Bgr), "bgr8"),
        Rgb888p if whole && !geometry.is_padded() => (How::Interleaved(PackedOrder::Rgb), "rgb8"),
        _ if !whole || plane_rows != height => (How::Converted, "bgr8"),
        Bgr888i => (How::AsIs, "bgr8"),
        Rgb888i => (How::AsIs, "rgb8"),
        Rgba8888 => (How::AsIs, "rgba8"),
        Gray8 | Raw8 | Yuv400p => (How::AsIs, "mono8"),
        Raw16 | Raw14 | Raw12 | Raw10 => (How::AsIs, "16UC1"),
        Yuv422i if width.is_multiple_of(2) => (How::AsIs, "yuyv"),
        Nv12 if width.is_multiple_of(2) && height.is_multiple_of(2) => (How::AsIs, "nv12"),
        _ => (How::Converted, "bgr8"),
    }
}

/// An image message in memory that is used again for the next.
#[derive(Debug, Default)]
pub(super) struct Image {
    bytes: Vec<u8>,
    len: usize,
    converter: Converter,
}

impl Image {
    /// Writes the message that shows the frame. Returns which one, and whether it holds the payload exactly; `None` when
    /// no message can show it.
    pub(super) fn write(&mut self, frame: &Frame, camera: &str, time: Timestamp) -> Option<(Message, bool)> {
        let payload = frame.payload();
        let frame_id = camera.to_owned();
        let timestamp = Some(time);
        match (frame.kind, frame.geometry) {
            (_, _) if payload.is_empty() => None,
            (PayloadKind::Jpeg, _) | (PayloadKind::Raw, Some(Geometry { format: PixelFormat::Jpeg, .. })) => {
                let format = "jpeg".to_owned();
                let head = CompressedImage { timestamp, frame_id, format, ..CompressedImage::default() };
                self.begin(Message::Compressed, &head, payload.len()).copy_from_slice(payload);
                Some((Message::Compressed, true))
            }
            (PayloadKind::H264 | PayloadKind::H265, _) => {
                let format = if frame.kind == PayloadKind::H264 { "h264" } else { "h265" }.to_owned();
                let head = CompressedVideo { timestamp, frame_id, format, ..CompressedVideo::default() };
                self.begin(Message::Video, &head, payload.len()).copy_from_slice(payload);
                Some((Message::Video, true))
            }
            (PayloadKind::Raw, None) => None,
            (PayloadKind::Raw, Some(geometry)) => {
                // What claims more pixels than its payload holds is not given the memory for them.
                geometry.layout_in(payload.len()).ok()?;
                let Geometry { width, height, stride, .. } = geometry;
                let (how, encoding) = how(&geometry, payload.len());
                let step = if how == How::AsIs { stride } else { width.checked_mul(3)? };
                let encoding = encoding.to_owned();
                let head = RawImage { timestamp, frame_id, width, height, encoding, step, ..RawImage::default() };
                match how {
                    How::AsIs => {
                        self.begin(Message::Raw, &head, payload.len()).copy_from_slice(payload);
                        Some((Message::Raw, true))
                    }
                    How::Interleaved(_) | How::Converted => {
                        let order = if let How::Interleaved(order) = how { order } else { PackedOrder::Bgr };
                        let mut converter = std::mem::take(&mut self.converter);
                        let pixels = self.begin(Message::Raw, &head, step as usize * height as usize);
                        let converted = converter.packed_into(frame, order, pixels);
                        self.converter = converter;
                        converted.ok()?;
                        Some((Message::Raw, matches!(how, How::Interleaved(_))))
                    }
                }
            }
        }
    }

    /// The message that was written last.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Writes everything but the data, which is to be written to the slice that is returned: it is the last field.
    fn begin(&mut self, message: Message, head: &impl prost::Message, data_len: usize) -> &mut [u8] {
        // A dozen fields at most: nothing against the data.
        let mut front = head.encode_to_vec();
        encode_key(message.data(), WireType::LengthDelimited, &mut front);
        encode_varint(data_len as u64, &mut front);
        self.len = front.len() + data_len;
        if self.bytes.len() < self.len {
            self.bytes.resize(self.len, 0);
        }
        self.bytes[..front.len()].copy_from_slice(&front);
        &mut self.bytes[front.len()..self.len]
    }
}

/// The data of an image message, without a copy.
///
/// # Errors
/// What is wrong with the message.
fn data(message: Message, mut bytes: &[u8]) -> Result<&[u8], String> {
    let mut found: &[u8] = &[];
    while !bytes.is_empty() {
        let (number, wire_type) = decode_key(&mut bytes).map_err(|error| error.to_string())?;
        if number == message.data() && wire_type == WireType::LengthDelimited {
            let len = decode_varint(&mut bytes).map_err(|error| error.to_string())?;
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            (found, bytes) = bytes
                .split_at_checked(len)
                .ok_or_else(|| format!("its data is to have {len} bytes, and {} follow", bytes.len()))?;
        } else {
            skip_field(wire_type, number, &mut bytes, prost::encoding::DecodeContext::default())
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(found)
}

/// Appends the payload that an image message was made of, given the layout that the wire message names.
///
/// # Errors
/// What is wrong with the message.
pub(super) fn payload(
    message: Message,
    bytes: &[u8],
    geometry: Option<&Geometry>,
    len: usize,
    into: &mut Vec<u8>,
) -> Result<(), String> {
    let data = data(message, bytes)?;
    if data.len() != len {
        return Err(format!("its picture has {} bytes, and the payload had {len}", data.len()));
    }
    match (message, geometry.map(|geometry| how(geometry, len).0)) {
        (Message::Raw, Some(How::Interleaved(_))) => deinterleave(data, into),
        (Message::Raw, Some(How::Converted) | None) => return Err("its picture does not hold the payload".to_owned()),
        (Message::Raw, Some(How::AsIs)) | (Message::Compressed | Message::Video, _) => into.extend_from_slice(data),
    }
    Ok(())
}

/// Triples -> three planes, one behind the other. Four triples at a time, as words: a third of the time that bytes take.
fn deinterleave(triples: &[u8], into: &mut Vec<u8>) {
    debug_assert!(triples.len().is_multiple_of(3), "an interleaved picture is whole");
    let (at, pixels) = (into.len(), triples.len() / 3);
    into.resize(at + 3 * pixels, 0);
    let (first, others) = into[at..].split_at_mut(pixels);
    let (second, third) = others.split_at_mut(pixels);
    let (first, first_rest) = first.as_chunks_mut::<4>();
    let (second, second_rest) = second.as_chunks_mut::<4>();
    let (third, third_rest) = third.as_chunks_mut::<4>();
    let (groups, rest) = triples.as_chunks::<12>();
    for (((first, second), third), group) in first.iter_mut().zip(second).zip(third).zip(groups) {
        let word = |at: usize| u32::from_le_bytes([group[at], group[at + 1], group[at + 2], group[at + 3]]);
        let (a, b, c) = (word(0), word(4), word(8));
        *first = (a & 0xff | a >> 16 & 0xff00 | b & 0xff_0000 | (c & 0xff00) << 16).to_le_bytes();
        *second = (a >> 8 & 0xff | (b & 0xff) << 8 | b >> 8 & 0xff_0000 | (c & 0xff_0000) << 8).to_le_bytes();
        *third = (a >> 16 & 0xff | b & 0xff00 | (c & 0xff) << 16 | c & 0xff00_0000).to_le_bytes();
    }
    let rest = rest.as_chunks().0;
    for (((a, b), c), [x, y, z]) in first_rest.iter_mut().zip(second_rest).zip(third_rest).zip(rest) {
        (*a, *b, *c) = (*x, *y, *z);
    }
}
