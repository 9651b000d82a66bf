//! Converts payloads to image messages, and back where the image message holds every byte of the payload.

use foxglove::Encode as _;
use foxglove::messages::{CompressedImage, CompressedVideo, RawImage, Timestamp};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field};

use crate::convert::{Converter, PackedOrder};
use crate::frame::{BayerOrder, Frame, Geometry, MosaicSamples, PayloadKind, PixelFormat};

// Field numbers of `data` in the messages. It is written last, so that it can be filled in place.
const RAW_DATA_FIELD: u32 = 6;
const COMPRESSED_DATA_FIELD: u32 = 2;
const VIDEO_DATA_FIELD: u32 = 3;

/// Type of the image message. The order is the order of the channel numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageMessage {
    Raw,
    Compressed,
    Video,
}

impl ImageMessage {
    pub(super) const ALL: [Self; 3] = [Self::Raw, Self::Compressed, Self::Video];

    /// Returns the type for a frame; `None` if its payload cannot be shown.
    pub(crate) fn of(frame: &Frame) -> Option<Self> {
        match (frame.kind, frame.geometry) {
            _ if frame.payload().is_empty() => None,
            (PayloadKind::Jpeg, _) | (PayloadKind::Raw, Some(Geometry { format: PixelFormat::Jpeg, .. })) => {
                Some(Self::Compressed)
            }
            (PayloadKind::H264 | PayloadKind::H265, _) => Some(Self::Video),
            (PayloadKind::Raw, Some(_)) => Some(Self::Raw),
            (PayloadKind::Raw, None) => None,
        }
    }

    /// Its schema: name and descriptor.
    pub(crate) fn schema(self) -> foxglove::Schema {
        let schema = match self {
            Self::Raw => RawImage::get_schema(),
            Self::Compressed => CompressedImage::get_schema(),
            Self::Video => CompressedVideo::get_schema(),
        };
        schema.expect("foxglove has a schema for each of its messages")
    }

    /// Name of its schema.
    #[cfg(any(feature = "foxglove", feature = "zenoh"))]
    pub(super) fn schema_name(self) -> &'static str {
        match self {
            Self::Raw => "foxglove.RawImage",
            Self::Compressed => "foxglove.CompressedImage",
            Self::Video => "foxglove.CompressedVideo",
        }
    }

    /// Number of its field `data`.
    fn data_field(self) -> u32 {
        match self {
            Self::Raw => RAW_DATA_FIELD,
            Self::Compressed => COMPRESSED_DATA_FIELD,
            Self::Video => VIDEO_DATA_FIELD,
        }
    }
}

/// Form of the payload in its image message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    /// The same bytes.
    AsIs,
    /// Three planes as one plane of triples. The inverse is exact.
    Interleaved(PackedOrder),
    /// Converted to BGR. The payload cannot be rebuilt from it.
    Converted,
}

/// Returns the form in which an image message holds a payload, and the encoding that the message names. Both [`write`] and
/// [`payload`] use it, so they agree about the form.
///
/// [`write`]: ImageBuffer::write
fn packing(geometry: &Geometry, payload_len: usize) -> (Packing, &'static str) {
    use PixelFormat::*;
    const CONVERTED: (Packing, &str) = (Packing::Converted, "bgr8");
    let Geometry { width, height, plane_rows, .. } = *geometry;
    let whole = geometry.byte_len() == Some(payload_len);
    let tight = whole && !geometry.is_padded();
    // `RawImage` has a distance between rows, but none between planes.
    let fits = whole && plane_rows == height;
    let (is_exact, exact) = match geometry.format {
        Bgr888p => (tight, (Packing::Interleaved(PackedOrder::Bgr), "bgr8")),
        Rgb888p => (tight, (Packing::Interleaved(PackedOrder::Rgb), "rgb8")),
        Bgr888i => (fits, (Packing::AsIs, "bgr8")),
        Rgb888i => (fits, (Packing::AsIs, "rgb8")),
        Rgba8888 => (fits, (Packing::AsIs, "rgba8")),
        Gray8 | Raw8 | Yuv400p => (fits, (Packing::AsIs, "mono8")),
        Bayer(MosaicSamples::Raw8, order) => (fits, (Packing::AsIs, bayer_encoding(order))),
        Raw16 | Raw14 | Raw12 | Raw10 => (fits, (Packing::AsIs, "16UC1")),
        Yuv422i => (fits && width.is_multiple_of(2), (Packing::AsIs, "yuyv")),
        Nv12 => (fits && width.is_multiple_of(2) && height.is_multiple_of(2), (Packing::AsIs, "nv12")),
        // `RawImage` has no encoding for these.
        Nv21 | Yuv420p | Yuv422p | Yuv444p | Yuv444i | Pack10 | Pack12 | Rgb161616 | RgbF16p | BgrF16p | RgbF16i
        | BgrF16i | GrayF16 | Jpeg | Bayer(..) => (false, CONVERTED),
    };
    if is_exact { exact } else { CONVERTED }
}

/// Returns the encoding of 8-bit mosaics in image messages of Foxglove and ROS.
pub(crate) const fn bayer_encoding(order: BayerOrder) -> &'static str {
    match order {
        BayerOrder::Rggb => "bayer_rggb8",
        BayerOrder::Bggr => "bayer_bggr8",
        BayerOrder::Gbrg => "bayer_gbrg8",
        BayerOrder::Grbg => "bayer_grbg8",
    }
}

/// A buffer for one encoded image message, reused for the next.
#[derive(Debug, Default)]
pub(crate) struct ImageBuffer {
    bytes: Vec<u8>,
    len: usize,
    converter: Converter,
}

impl ImageBuffer {
    /// Encodes the image message of a frame. Returns its type, and whether it holds the payload exactly; `None` if the
    /// payload cannot be shown.
    pub(crate) fn write(&mut self, frame: &Frame, camera: &str, time: Timestamp) -> Option<(ImageMessage, bool)> {
        let payload = frame.payload();
        let frame_id = camera.to_owned();
        let timestamp = Some(time);
        match ImageMessage::of(frame)? {
            ImageMessage::Compressed => {
                let format = "jpeg".to_owned();
                let head = CompressedImage { timestamp, frame_id, format, ..CompressedImage::default() };
                self.begin(ImageMessage::Compressed, &head, payload.len()).copy_from_slice(payload);
                Some((ImageMessage::Compressed, true))
            }
            ImageMessage::Video => {
                let format = if frame.kind == PayloadKind::H264 { "h264" } else { "h265" }.to_owned();
                let head = CompressedVideo { timestamp, frame_id, format, ..CompressedVideo::default() };
                self.begin(ImageMessage::Video, &head, payload.len()).copy_from_slice(payload);
                Some((ImageMessage::Video, true))
            }
            ImageMessage::Raw => {
                let geometry = frame.geometry?;
                // Checked before the memory for the pixels is allocated.
                geometry.layout_in(payload.len()).ok()?;
                let Geometry { width, height, stride, .. } = geometry;
                let (packing, encoding) = packing(&geometry, payload.len());
                let step = if packing == Packing::AsIs { stride } else { width.checked_mul(3)? };
                let encoding = encoding.to_owned();
                let head = RawImage { timestamp, frame_id, width, height, encoding, step, ..RawImage::default() };
                match packing {
                    Packing::AsIs => {
                        self.begin(ImageMessage::Raw, &head, payload.len()).copy_from_slice(payload);
                        Some((ImageMessage::Raw, true))
                    }
                    Packing::Interleaved(_) | Packing::Converted => {
                        let order = if let Packing::Interleaved(order) = packing { order } else { PackedOrder::Bgr };
                        let mut converter = std::mem::take(&mut self.converter);
                        let pixels = self.begin(ImageMessage::Raw, &head, step as usize * height as usize);
                        let converted = converter.packed_into(frame, order, pixels);
                        self.converter = converter;
                        converted.ok()?;
                        Some((ImageMessage::Raw, matches!(packing, Packing::Interleaved(_))))
                    }
                }
            }
        }
    }

    /// Returns the length in bytes of the pixels or video in the image message of a frame, 0 if it has none, and whether
    /// they hold the payload exactly.
    pub(super) fn data_len(frame: &Frame) -> (usize, bool) {
        let len = frame.payload().len();
        match (frame.kind, frame.geometry) {
            (PayloadKind::Jpeg | PayloadKind::H264 | PayloadKind::H265, _) => (len, true),
            (PayloadKind::Raw, Some(Geometry { format: PixelFormat::Jpeg, .. })) => (len, true),
            (PayloadKind::Raw, None) => (0, false),
            (PayloadKind::Raw, Some(geometry)) if geometry.layout_in(len).is_err() => (0, false),
            (PayloadKind::Raw, Some(geometry)) => match packing(&geometry, len).0 {
                Packing::AsIs => (len, true),
                packing => {
                    let pixels = (geometry.width as usize).saturating_mul(geometry.height as usize);
                    (pixels.saturating_mul(3), matches!(packing, Packing::Interleaved(_)))
                }
            },
        }
    }

    /// Memory of the buffer in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The last message, encoded.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Encodes all fields before the data. The caller has to write the data to the returned slice.
    fn begin(&mut self, message: ImageMessage, head: &impl prost::Message, data_len: usize) -> &mut [u8] {
        // At most a dozen short fields, so that this allocation costs nothing beside the data.
        let mut front = head.encode_to_vec();
        encode_key(message.data_field(), WireType::LengthDelimited, &mut front);
        encode_varint(data_len as u64, &mut front);
        self.len = front.len() + data_len;
        if self.bytes.len() < self.len {
            self.bytes.resize(self.len, 0);
        }
        self.bytes[..front.len()].copy_from_slice(&front);
        &mut self.bytes[front.len()..self.len]
    }
}

/// Returns the data of an encoded image message, without a copy.
///
/// # Errors
/// The message is malformed.
fn data(message: ImageMessage, mut bytes: &[u8]) -> Result<&[u8], String> {
    let mut found: &[u8] = &[];
    while !bytes.is_empty() {
        let (number, wire_type) = decode_key(&mut bytes).map_err(|error| error.to_string())?;
        if number == message.data_field() && wire_type == WireType::LengthDelimited {
            let len = decode_varint(&mut bytes).map_err(|error| error.to_string())?;
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            (found, bytes) = bytes
                .split_at_checked(len)
                .ok_or_else(|| format!("its data should have {len} bytes, but only {} follow", bytes.len()))?;
        } else {
            skip_field(wire_type, number, &mut bytes, prost::encoding::DecodeContext::default())
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(found)
}

/// Rebuilds the payload of an image message and appends it to `into`. `geometry` and `len` are those of the wire message.
///
/// # Errors
/// The message is malformed or does not fit the wire message.
pub(super) fn payload(
    message: ImageMessage,
    bytes: &[u8],
    geometry: Option<&Geometry>,
    len: usize,
    into: &mut Vec<u8>,
) -> Result<(), String> {
    let data = data(message, bytes)?;
    if data.len() != len {
        return Err(format!("its image has {} bytes, but its payload had {len}", data.len()));
    }
    match (message, geometry.map(|geometry| packing(geometry, len).0)) {
        (ImageMessage::Raw, Some(Packing::Interleaved(_))) => deinterleave(data, into),
        (ImageMessage::Raw, Some(Packing::Converted) | None) => {
            return Err("its image does not hold the payload".to_owned());
        }
        (ImageMessage::Raw, Some(Packing::AsIs)) | (ImageMessage::Compressed | ImageMessage::Video, _) => {
            into.extend_from_slice(data);
        }
    }
    Ok(())
}

/// Converts triples to three planes, one after the other. Takes four triples at a time as words, which needs a third of
/// the time of single bytes.
fn deinterleave(triples: &[u8], into: &mut Vec<u8>) {
    debug_assert!(triples.len().is_multiple_of(3), "an interleaved image has complete triples");
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
