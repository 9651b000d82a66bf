//! Infers the layout of payloads, because the streams of the official programs do not describe it (wire.md section 6).
//!
//! In order of preference: the stream's announcement (`@D`), the user's options, the structure of encoded payloads,
//! common picture sizes in landscape and portrait, and common sizes with padded rows. Among several candidates, the one
//! whose rows are most similar to their neighbors wins.

use std::fmt::Write;
use std::sync::Arc;

use super::magic::{self, Encoded};
use super::pixel::{Geometry, PixelFormat};
use super::{Frame, PayloadKind, Size};

/// Sizes that OAK cameras send, most likely first: the standalone example, inputs of common networks, sensor and ISP
/// resolutions (wire.md section 6).
const COMMON_SIZES: [(u32, u32); 12] = [
    (640, 352),
    (640, 640),
    (416, 416),
    (512, 288),
    (300, 300),
    (640, 400),
    (640, 480),
    (1280, 720),
    (1280, 800),
    (1920, 1080),
    (3840, 2160),
    (4056, 3040),
];

/// Other possible sizes, tried after all common ones.
const RARE_SIZES: [(u32, u32); 35] = [
    (512, 512),
    (320, 320),
    (640, 360),
    (400, 300),
    (320, 240),
    (480, 270),
    (800, 480),
    (800, 600),
    (848, 480),
    (1024, 576),
    (1600, 1200),
    (1280, 1080),
    (544, 320),
    (672, 384),
    (256, 256),
    (224, 224),
    (480, 480),
    (960, 540),
    (1024, 768),
    (1024, 1024),
    (1280, 960),
    (1280, 1024),
    (1440, 1080),
    (1920, 1200),
    (1920, 1440),
    (1352, 1012),
    (1352, 1013),
    (2028, 1520),
    (2560, 1440),
    (2592, 1944),
    (4000, 3000),
    (4032, 3040),
    (4208, 3120),
    (5312, 6000),
    (64, 48),
];

/// [`COMMON_SIZES`] and [`RARE_SIZES`] of cameras that are mounted upright.
const COMMON_PORTRAIT_SIZES: [(u32, u32); COMMON_SIZES.len()] = portrait(COMMON_SIZES);
const RARE_PORTRAIT_SIZES: [(u32, u32); RARE_SIZES.len()] = portrait(RARE_SIZES);

/// Exchanges width and height. Squares stay: `search` leaves out what occurs twice.
const fn portrait<const N: usize>(mut sizes: [(u32, u32); N]) -> [(u32, u32); N] {
    let mut at = 0;
    while at < N {
        sizes[at] = (sizes[at].1, sizes[at].0);
        at += 1;
    }
    sizes
}

/// Shortest payload that has one of the known sizes in one of the formats, in bytes. Shorter ones are not examined: a
/// hostile stream can have many, each of another length.
const MIN_KNOWN_LEN: usize = 64 * 48;

/// Rows of a picture differ by less than this, in 1/256 of the range; those of encoded video, which look like noise, by
/// about 85.
const MAX_ROW_DIFFERENCE: f64 = 32.0;

/// One common format per arrangement of bytes. Formats of the same arrangement, such as RGB for BGR, look the same.
const COMMON_FORMATS: [PixelFormat; 5] =
    [PixelFormat::Bgr888p, PixelFormat::Nv12, PixelFormat::Gray8, PixelFormat::Raw16, PixelFormat::Bgr888i];

/// One format for each of the less common arrangements.
const RARE_FORMATS: [PixelFormat; 5] =
    [PixelFormat::Yuv420p, PixelFormat::Rgba8888, PixelFormat::BgrF16p, PixelFormat::BgrF16i, PixelFormat::Pack10];

/// A less likely candidate wins only if the difference of its rows is below this fraction of that of the likelier one.
const CLEARLY_SMOOTHER: f64 = 0.8;

/// Cached payload lengths. A stream has one length, or a few if it is damaged.
const MAX_KNOWN_LENGTHS: usize = 8;

/// Further payloads to examine while the rows do not decide, because the first pictures of a camera are often black.
const MAX_RETRIES: u32 = 30;

/// Layout given by the user (`--size`, `--format`, `--stride`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Pixel format.
    pub format: Option<PixelFormat>,
    /// Bytes from one row of the first plane to the next.
    pub stride: Option<u32>,
}

/// The interpretation of a payload.
#[derive(Clone, Debug, Default)]
struct Interpretation {
    kind: PayloadKind,
    geometry: Option<Geometry>,
    /// Set if neither the stream nor the user has stated the whole layout.
    guessed: bool,
    because: Arc<str>,
    /// Payloads of the same length that may still change it.
    retries: u32,
}

/// The origin of a layout that need not be inferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Stream,
    Recording,
}

/// Infers the encoding and layout of payloads, in the order of wire.md section 6.
#[derive(Clone, Debug, Default)]
pub struct Interpreter {
    overrides: Overrides,
    announced: Option<(Geometry, Origin)>,
    /// Interpretations of raw payloads by length, oldest first.
    known: Vec<(usize, Interpretation)>,
    now: Interpretation,
}

impl Interpreter {
    /// Uses the size and format given by the user instead of inferring them.
    #[must_use]
    pub fn new(overrides: Overrides) -> Self {
        Self { overrides, ..Self::default() }
    }

    /// Sets the layout announced by the stream (`@D`).
    pub fn announce(&mut self, geometry: Geometry) {
        self.set_announced(geometry, Origin::Stream);
    }

    /// Sets the layout stored in a recording, unless the stream has announced the same.
    pub fn restore(&mut self, geometry: Geometry) {
        if self.announced.is_none_or(|(announced, _)| announced != geometry) {
            self.set_announced(geometry, Origin::Recording);
        }
    }

    fn set_announced(&mut self, geometry: Geometry, origin: Origin) {
        if self.announced != Some((geometry, origin)) {
            self.announced = Some((geometry, origin));
            self.known.clear();
        }
    }

    /// Explains the interpretation of the last payload in a sentence for people; empty before the first payload.
    #[must_use]
    pub fn because(&self) -> &str {
        &self.now.because
    }

    /// Sets the kind and geometry of a frame by its payload, and the reason for them.
    pub fn interpret_frame(&mut self, frame: &mut Frame) {
        (frame.kind, frame.geometry) = self.interpret(frame.payload());
        frame.because = Arc::clone(&self.now.because);
        frame.guessed = self.now.guessed;
    }

    /// Returns the encoding of a payload, and its layout if that is known.
    pub fn interpret(&mut self, payload: &[u8]) -> (PayloadKind, Option<Geometry>) {
        // Before the cache, because a damaged payload can have had the same length.
        if let Some(encoded) = self.encoded(payload) {
            let format = PixelFormat::Jpeg;
            let geometry =
                encoded.size.map(|(width, height)| Geometry { format, width, height, stride: 0, plane_rows: 0 });
            if self.now.kind != encoded.kind || self.now.geometry != geometry || self.now.because.is_empty() {
                let because = explain(&encoded).into();
                self.now = Interpretation { kind: encoded.kind, geometry, because, ..Interpretation::default() };
            }
        } else if let Some(at) = self.known.iter().position(|(len, _)| *len == payload.len()) {
            if self.known[at].1.retries > 0 {
                let retries = self.known[at].1.retries - 1;
                let new = self.infer(payload);
                let known = &mut self.known[at].1;
                if new.because != known.because {
                    *known = new;
                }
                known.retries = known.retries.min(retries);
            }
            let known = &self.known[at].1;
            if !Arc::ptr_eq(&known.because, &self.now.because) {
                self.now = known.clone();
            }
        } else {
            self.now = self.infer(payload);
            if self.known.len() == MAX_KNOWN_LENGTHS {
                self.known.remove(0);
            }
            self.known.push((payload.len(), self.now.clone()));
        }
        (self.now.kind, self.now.geometry)
    }

    /// Recognizes an encoded payload, unless the stream or the user declares raw pixels.
    fn encoded(&self, payload: &[u8]) -> Option<Encoded> {
        let raw = |format| format != PixelFormat::Jpeg;
        let announced =
            self.announced.is_some_and(|(geometry, _)| raw(geometry.format) && fits(&geometry, payload.len()));
        let given = self.overrides.format.is_some_and(raw) || self.overrides.stride.is_some();
        let encoded = if announced || given { None } else { magic::recognize(payload) };
        encoded.filter(|encoded| !self.is_rather_raw(encoded.kind, payload))
    }

    /// Returns whether a payload is more likely a raw picture although it begins like video: dark pixels do. Its length
    /// then is that of a picture, and its rows are similar to their neighbors.
    fn is_rather_raw(&self, kind: PayloadKind, payload: &[u8]) -> bool {
        let is_video = matches!(kind, PayloadKind::H264 | PayloadKind::H265);
        if !is_video || (self.now.kind == kind && !self.now.because.is_empty()) {
            return false;
        }
        match self.candidates(payload) {
            // The user's size fits to the byte: video has any length.
            Some(_) if self.overrides.size.is_some() => true,
            Some(Candidates { geometry, .. }) => row_difference(&geometry, payload).0 < MAX_ROW_DIFFERENCE,
            None => false,
        }
    }

    /// Finds the layouts that have the length of a payload, and selects the best.
    fn candidates(&self, payload: &[u8]) -> Option<Candidates> {
        let Overrides { size, format, stride } = self.overrides;
        if size.is_none() && stride.is_none() && payload.len() < MIN_KNOWN_LEN {
            return None;
        }
        let given_size = size.map(|size| [size]);
        let known: [&[(u32, u32)]; 4] = [&COMMON_SIZES, &RARE_SIZES, &COMMON_PORTRAIT_SIZES, &RARE_PORTRAIT_SIZES];
        let sizes = given_size.as_ref().map_or(known, |size| [size, &[], &[], &[]]);
        match format {
            Some(format) => search(sizes, [&[format], &[]], stride, payload),
            None => search(sizes, [&COMMON_FORMATS, &RARE_FORMATS], stride, payload)
                .or_else(|| search(sizes, [&[], &PixelFormat::ALL], stride, payload)),
        }
    }

    /// Interprets a payload that is not recognizably encoded.
    fn infer(&self, payload: &[u8]) -> Interpretation {
        let len = payload.len();
        let mut because = String::new();
        if let Some((geometry, origin)) = self.announced {
            let (origin, announces) = match origin {
                Origin::Stream => ("announced by the stream", "the stream announces"),
                Origin::Recording => ("stored in the recording", "the recording stores"),
            };
            if fits(&geometry, len) {
                return Interpretation {
                    geometry: Some(geometry),
                    because: format!("{len} bytes are {geometry}, as {origin}").into(),
                    ..Interpretation::default()
                };
            }
            because = format!("{announces} {geometry}, which does not match {len} bytes; ");
        }
        let Overrides { size, format, stride } = self.overrides;
        let given = self.overrides.to_string();
        if format == Some(PixelFormat::Jpeg) {
            // Leave it to the JPEG decoder to reject the payload.
            return Interpretation {
                kind: PayloadKind::Jpeg,
                because: format!("{because}{len} bytes are decoded as JPEG ({given})").into(),
                ..Interpretation::default()
            };
        }
        let Some(found) = self.candidates(payload) else {
            let _ = match (given.is_empty(), size, format) {
                (true, ..) => {
                    write!(because, "{len} bytes match no known picture size; set --size WxH and --format NAME")
                }
                (false, Some((width, height)), Some(format)) => {
                    let wanted = Geometry::tight(format, width, height)
                        .and_then(|tight| stride.map_or(Ok(tight), |stride| tight.with_stride(stride)));
                    match wanted.map(|geometry| (geometry, geometry.byte_len())) {
                        Ok((geometry, Some(needed))) => {
                            write!(because, "{given}: {geometry} has {needed} bytes, but the payload has {len}")
                        }
                        Ok((geometry, None)) => write!(because, "{given}: {geometry} has no fixed length"),
                        Err(error) => write!(because, "{given}: {error}"),
                    }
                }
                (false, Some((width, height)), None) => {
                    let needs = |format| Some((format, Geometry::tight(format, width, height).ok()?.byte_len()?));
                    let needs = COMMON_FORMATS.into_iter().filter_map(needs);
                    let needs: Vec<_> = needs.map(|(format, bytes)| format!("{bytes} bytes as {format}")).collect();
                    let needs = needs.join(", ");
                    write!(because, "{given}: the picture has {needs}, but the payload has {len}")
                }
                (false, None, _) => write!(because, "{given}: no known picture size has {len} bytes"),
            };
            return Interpretation { because: because.into(), ..Interpretation::default() };
        };
        let Candidates { geometry, others, by_rows } = found;
        let _ = write!(because, "{len} bytes are interpreted as {geometry}");
        because.push_str(match (others.is_empty(), by_rows) {
            (true, _) if given.is_empty() => ", the only common picture of that length",
            (true, _) => "",
            (false, true) => ", where neighboring rows are most similar",
            (false, false) => ", the most likely picture of that length",
        });
        if !given.is_empty() {
            let _ = write!(because, " ({given})");
        }
        for (n, other) in others.iter().take(3).enumerate() {
            let _ = write!(because, "{} {other}", if n == 0 { "; could be" } else { " or" });
        }
        if format.is_none()
            && let Some(twin) = twin(geometry.format)
        {
            let _ = write!(because, "; if colors are wrong, try --format {twin}");
        }
        let retries = if others.is_empty() || by_rows { 0 } else { MAX_RETRIES };
        let guessed = size.is_none() || format.is_none();
        Interpretation { kind: PayloadKind::Raw, geometry: Some(geometry), guessed, because: because.into(), retries }
    }
}

impl std::fmt::Display for Overrides {
    /// Formats as command-line options; empty without overrides.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = self.size.map(|(width, height)| format!("--size {}", Size::new(width, height)));
        let format = self.format.map(|format| format!("--format {format}"));
        let stride = self.stride.map(|stride| format!("--stride {stride}"));
        f.write_str(&[size, format, stride].into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

fn explain(encoded: &Encoded) -> String {
    match (encoded.kind, encoded.size) {
        (PayloadKind::Jpeg, Some((width, height))) => format!("{width}x{height} JPEG, according to its header"),
        (kind, _) => {
            format!("{}, recognized by its start codes", if kind == PayloadKind::H265 { "H.265" } else { "H.264" })
        }
    }
}

/// Returns the format of the same arrangement that a viewer can distinguish by wrong colors.
fn twin(format: PixelFormat) -> Option<PixelFormat> {
    use PixelFormat::*;
    match format {
        Bgr888p => Some(Rgb888p),
        Bgr888i => Some(Rgb888i),
        Nv12 => Some(Nv21),
        Raw16 => Some(Raw10),
        BgrF16p => Some(RgbF16p),
        BgrF16i => Some(RgbF16i),
        Rgb888p | Rgb888i | Nv21 | Yuv420p | Yuv422i | Yuv422p | Yuv444p | Yuv444i | Yuv400p | Gray8 | Raw8 | Raw14
        | Raw12 | Raw10 | Pack10 | Pack12 | Rgba8888 | Rgb161616 | RgbF16p | RgbF16i | GrayF16 | Jpeg => None,
    }
}

/// Returns whether a payload of this length can have the geometry; the padding of the last row may be missing.
fn fits(geometry: &Geometry, len: usize) -> bool {
    geometry.layout().is_ok_and(|layout| (layout.needed..=layout.byte_len).contains(&len))
}

struct Candidates {
    geometry: Geometry,
    /// Other geometries of the same length.
    others: Vec<Geometry>,
    /// Set if the rows decided between them.
    by_rows: bool,
}

/// Finds the geometries of these sizes and formats (common ones, then rare ones) that have the length of the payload,
/// and selects the best. Considers padding only if no geometry fits without it.
fn search(
    sizes: [&[(u32, u32)]; 4],
    formats: [&[PixelFormat]; 2],
    stride: Option<u32>,
    payload: &[u8],
) -> Option<Candidates> {
    let len = payload.len();
    let tight = || {
        let pairs = formats.into_iter().flat_map(move |formats| sizes.into_iter().map(move |sizes| (formats, sizes)));
        pairs.flat_map(|(formats, sizes)| {
            let of = |format| sizes.iter().filter_map(move |(w, h)| Geometry::tight(format, *w, *h).ok());
            formats.iter().flat_map(move |format| of(*format))
        })
    };
    let mut fitting: Vec<Geometry> = match stride {
        Some(stride) => tight().filter_map(|geometry| geometry.with_stride(stride).ok()).collect(),
        None => tight().collect(),
    };
    fitting.retain(|geometry| fits(geometry, len));
    let mut seen = Vec::new();
    fitting.retain(|geometry| {
        !seen.contains(geometry) && {
            seen.push(*geometry);
            true
        }
    });
    if fitting.is_empty() {
        fitting = tight().flat_map(|geometry| padded(geometry, stride)).filter(|padded| fits(padded, len)).collect();
        fitting.dedup();
    }
    if fitting.len() < 2 {
        return Some(Candidates { geometry: fitting.pop()?, others: fitting, by_rows: false });
    }
    let scores: Vec<f64> = fitting
        .iter()
        .map(|geometry| {
            // A row ends where the next pixel is not similar: at other widths, the same pixels are in the middle of a row.
            let (rows, ends) = row_difference(geometry, payload);
            // Of equal rows, the shortest are the rows of the picture: longer ones consist of several.
            let tie = if ends > 1.0 { f64::from(geometry.stride) * 1e-6 } else { 0.0 };
            (rows + tie) / (1.0 + ends)
        })
        .collect();
    let best = (1..scores.len()).fold(0, |best, n| if scores[n] < CLEARLY_SMOOTHER * scores[best] { n } else { best });
    let worse = |n: usize| n == best || scores[best] < CLEARLY_SMOOTHER * scores[n];
    let by_rows = (0..scores.len()).all(worse);
    let geometry = fitting.remove(best);
    Some(Candidates { geometry, others: fitting, by_rows })
}

/// Returns the paddings that the ISP uses: rows to 16, 32, 64 or 128 bytes, planes with half rows to 8 or 16 rows.
fn padded(geometry: Geometry, stride: Option<u32>) -> impl Iterator<Item = Geometry> {
    let to = |n: u32, multiple: u32| n.checked_next_multiple_of(multiple).unwrap_or(n);
    let rows = [1, 8, 16].map(|multiple| to(geometry.height, multiple));
    let rows = if geometry.format.has_half_rows() { rows } else { [geometry.height; 3] };
    let strides = [1, 16, 32, 64, 128].map(|multiple| stride.unwrap_or(to(geometry.stride, multiple)));
    strides.into_iter().flat_map(move |stride| {
        rows.into_iter().filter_map(move |rows| geometry.with_stride(stride).ok()?.with_plane_rows(rows).ok())
    })
}

/// Returns the mean difference between vertically adjacent samples, in 1/256 of their range, and that between the last
/// sample of a row and the first of the next one. The former is lowest for the right geometry, and both are 0 for a
/// picture of one color.
fn row_difference(geometry: &Geometry, payload: &[u8]) -> (f64, f64) {
    // Enough samples to decide, and few enough to finish before the next frame arrives.
    const SAMPLED_ROWS: usize = 192;
    const SAMPLES_PER_ROW: usize = 128;
    let Ok(layout) = geometry.layout_in(payload.len()) else { return (f64::INFINITY, 0.0) };
    let (sample, scale) = if is_16_bit(geometry.format) { (2, 256.0) } else { (1, 1.0) };
    // The same step for all planes weighs each plane by its size.
    let step = layout.planes().iter().map(|plane| plane.rows).sum::<usize>().div_ceil(SAMPLED_ROWS);
    let (mut sum, mut count, mut ends, mut rows) = (0.0, 0.0, 0.0, 0.0);
    for plane in layout.planes().iter().filter(|plane| plane.rows > 1) {
        let value = |x: usize, y: usize| {
            let at = plane.offset + y * plane.stride + x * sample;
            let high = if sample == 2 { payload[at + 1] } else { 0 };
            u16::from_le_bytes([payload[at], high])
        };
        let samples = plane.row / sample;
        if samples == 0 {
            continue;
        }
        for y in (0..plane.rows - 1).step_by(step) {
            // An odd step samples all channels of interleaved formats.
            for x in (0..samples).step_by(samples.div_ceil(SAMPLES_PER_ROW) | 1) {
                sum += f64::from(value(x, y).abs_diff(value(x, y + 1)));
                count += 1.0;
            }
            ends += f64::from(value(samples - 1, y).abs_diff(value(0, y + 1)));
            rows += 1.0;
        }
    }
    if count > 0.0 { (sum / count / scale, ends / rows / scale) } else { (f64::INFINITY, 0.0) }
}

fn is_16_bit(format: PixelFormat) -> bool {
    use PixelFormat::*;
    match format {
        Raw16 | Raw14 | Raw12 | Raw10 | GrayF16 | Rgb161616 | RgbF16p | BgrF16p | RgbF16i | BgrF16i => true,
        Bgr888p | Rgb888p | Bgr888i | Rgb888i | Nv12 | Nv21 | Yuv420p | Yuv422i | Yuv422p | Yuv444p | Yuv444i
        | Yuv400p | Gray8 | Raw8 | Pack10 | Pack12 | Rgba8888 | Jpeg => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overridden(size: Option<(u32, u32)>, format: Option<PixelFormat>, stride: Option<u32>) -> Interpreter {
        Interpreter::new(Overrides { size, format, stride })
    }

    #[test]
    fn jpeg_is_recognized_even_if_a_damaged_payload_had_its_length() {
        let jpeg = crate::frame::magic::tests::jpeg(640, 352);
        let mut interpreter = Interpreter::default();
        assert_eq!(interpreter.interpret(&vec![7; jpeg.len()]).0, PayloadKind::Raw);
        assert_eq!(interpreter.interpret(&jpeg).0, PayloadKind::Jpeg);
        assert_eq!(interpreter.interpret(&vec![7; jpeg.len()]).0, PayloadKind::Raw);
    }

    fn guessed(payload: &[u8]) -> String {
        let mut interpreter = Interpreter::default();
        match interpreter.interpret(payload) {
            (PayloadKind::Raw, Some(geometry)) => geometry.to_string(),
            (kind, geometry) => format!("{kind:?} {geometry:?}"),
        }
    }

    /// Draws a smooth picture with edges in any layout: each byte depends on its position in the picture.
    fn scene(geometry: Geometry) -> Vec<u8> {
        let layout = geometry.layout().unwrap();
        let mut bytes = vec![0; layout.byte_len];
        for (number, plane) in layout.planes().iter().enumerate() {
            for y in 0..plane.rows {
                for x in 0..plane.row {
                    let (fx, fy) = (x as f64 / plane.row as f64, y as f64 / plane.rows as f64);
                    let blob = if (fx - 0.4).hypot(fy - 0.6) < 0.3 { 60.0 } else { 0.0 };
                    let shade = 90.0 + 50.0 * (7.0 * fx).sin() + 40.0 * (5.0 * fy + number as f64).cos() + blob;
                    let channel = match geometry.format {
                        PixelFormat::Bgr888i => (x % 3) as f64 * 15.0,
                        PixelFormat::Nv12 if number == 1 => (x % 2) as f64 * 30.0,
                        PixelFormat::Raw16 if x % 2 == 0 => ((x * 37 + y * 101) % 90) as f64 - 90.0,
                        _ => 0.0,
                    };
                    bytes[plane.offset + y * plane.stride + x] = (shade + channel).clamp(0.0, 255.0) as u8;
                }
            }
        }
        bytes
    }

    #[test]
    fn standalone_example_is_recognized_by_its_length() {
        let mut interpreter = Interpreter::default();
        assert_eq!(interpreter.because(), "");
        let (kind, geometry) = interpreter.interpret(&vec![0; 675_840]);
        assert_eq!((kind, geometry), (PayloadKind::Raw, Geometry::tight(PixelFormat::Bgr888p, 640, 352).ok()));
        assert_eq!(
            interpreter.because(),
            "675840 bytes are interpreted as 640x352 BGR888p, the most likely picture of that length; could be \
             640x352 BGR888i or 352x640 BGR888p or 352x640 BGR888i; if colors are wrong, try --format RGB888p"
        );
    }

    #[test]
    fn uniform_payloads_get_the_most_likely_size() {
        for (len, expected) in [
            (9216, "64x48 BGR888p"),
            (921_600, "640x480 BGR888p"),
            (1_228_800, "640x640 BGR888p"),
            (614_400, "640x640 NV12"),
            (512_000, "640x400 RAW16"),
            (1_024_000, "1280x800 GRAY8"),
            (3_110_400, "1920x1080 NV12"),
            (1_843_200, "1280x720 RAW16"),
            (36_990_720, "4056x3040 BGR888p"),
        ] {
            assert_eq!(guessed(&vec![0; len]), expected, "{len} bytes");
        }
    }

    #[test]
    fn rows_decide_between_sizes_of_equal_length() {
        use PixelFormat::*;
        for (format, width, height) in [
            (Bgr888p, 640, 480),
            (Gray8, 1280, 720),
            (Rgba8888, 640, 360),
            (Raw16, 1280, 720),
            (Nv12, 1280, 960),
            (Bgr888p, 1280, 720),
            (Gray8, 1920, 1440),
            (Nv12, 1920, 1080),
            (Bgr888p, 640, 640),
            (Gray8, 1280, 960),
            (Nv12, 640, 640),
            (Raw16, 640, 480),
            (Bgr888i, 640, 352),
            (Bgr888p, 640, 352),
        ] {
            let geometry = Geometry::tight(format, width, height).unwrap();
            assert_eq!(guessed(&scene(geometry)), geometry.to_string());
        }
    }

    /// Every known size, upright: of a camera that is mounted so, or of a network with such an input.
    #[test]
    fn rows_decide_between_landscape_and_portrait() {
        use PixelFormat::*;
        for (width, height) in COMMON_SIZES.into_iter().chain(RARE_SIZES).filter(|(w, h)| w * h < 3_000_000) {
            for (width, height) in [(height, width), (width, height)] {
                let geometry = Geometry::tight(Bgr888p, width, height).unwrap();
                assert_eq!(guessed(&scene(geometry)), geometry.to_string());
            }
        }
        for (format, width, height) in [
            (Nv12, 360, 640),
            (Nv12, 720, 1280),
            (Gray8, 480, 640),
            (Nv12, 416, 416),
            (Nv12, 1080, 1920),
            (Gray8, 800, 1280),
            (Raw16, 400, 640),
            (Bgr888i, 352, 640),
        ] {
            let geometry = Geometry::tight(format, width, height).unwrap();
            assert_eq!(guessed(&scene(geometry)), geometry.to_string());
        }
    }

    /// Patterns that test programs send: stripes, ramps, and diagonals.
    #[test]
    fn artificial_pictures_keep_their_width() {
        let patterns: [fn(usize, usize) -> usize; 4] =
            [|_, y| y / 2, |x, _| x / 2, |x, y| 40 + (x + y) % 200, |x, y| (x * x / 2 + y * y) / 900 % 200];
        for (width, height) in [(360, 640), (640, 360), (480, 640), (640, 480), (300, 400), (416, 416), (720, 1280)] {
            for (n, pattern) in patterns.iter().enumerate() {
                let plane = (0..width * height).map(|at| pattern(at % width, at / width) as u8);
                let payload: Vec<u8> = plane.cycle().take(3 * width * height).collect();
                assert_eq!(guessed(&payload), format!("{width}x{height} BGR888p"), "pattern {n}");
            }
        }
    }

    #[test]
    fn dark_beginning_of_a_raw_picture_is_not_video() {
        for start in [&[0, 0, 0, 1, 1][..], &[0, 0, 0, 1, 0x41], &[0, 0, 1, 6, 5], &[0, 0, 0, 1, 0x26, 1]] {
            let mut row = start.to_vec();
            row.extend(2..=(65 - start.len()) as u8);
            let payload = row[..64].repeat(3 * 48);
            for size in [None, Some((64, 48))] {
                let (kind, geometry) = overridden(size, None, None).interpret(&payload);
                assert_eq!(kind, PayloadKind::Raw, "{start:?} {size:?}");
                assert_eq!(geometry.unwrap().to_string(), "64x48 BGR888p");
            }
        }
        // Video of the length of a picture looks like noise.
        let mut video = vec![0, 0, 0, 1, 0x65];
        let mut state = 1u32;
        video.extend(
            std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8 | 1
            })
            .take(9216 - 5),
        );
        assert_eq!(Interpreter::default().interpret(&video), (PayloadKind::H264, None));
    }

    #[test]
    fn padded_rows_and_planes_are_found() {
        let nv12 = Geometry::tight(PixelFormat::Nv12, 300, 300).unwrap();
        let padded = nv12.with_stride(320).unwrap().with_plane_rows(304).unwrap();
        assert_eq!(guessed(&scene(padded)), "300x300 NV12 (stride 320, planes of 304 rows)");
        let wide = Geometry::tight(PixelFormat::Gray8, 4056, 3040).unwrap().with_stride(4096).unwrap();
        assert_eq!(guessed(&vec![0; wide.byte_len().unwrap()]), wide.to_string());
    }

    #[test]
    fn unknown_lengths_are_reported_with_advice() {
        for len in [0, 1, 31, 700_001] {
            let mut interpreter = Interpreter::default();
            assert_eq!(interpreter.interpret(&vec![7; len]), (PayloadKind::Raw, None));
            assert_eq!(
                interpreter.because(),
                format!("{len} bytes match no known picture size; set --size WxH and --format NAME")
            );
        }
    }

    #[test]
    fn options_override_the_table() {
        let payload = vec![0; 675_840];
        let interpreted =
            |size, format, stride| overridden(size, format, stride).interpret(&payload).1.unwrap().to_string();
        assert_eq!(interpreted(None, Some(PixelFormat::Rgb888i), None), "640x352 RGB888i");
        assert_eq!(interpreted(Some((352, 640)), None, None), "352x640 BGR888p");
        assert_eq!(
            interpreted(Some((600, 352)), Some(PixelFormat::Bgr888p), Some(640)),
            "600x352 BGR888p (stride 640)"
        );
        assert_eq!(interpreted(Some((630, 352)), None, None), "630x352 BGR888p (stride 640)");
    }

    #[test]
    fn contradicting_options_are_reported_with_both_lengths() {
        let mut interpreter = overridden(Some((640, 400)), Some(PixelFormat::Nv12), None);
        assert_eq!(interpreter.interpret(&vec![0; 675_840]), (PayloadKind::Raw, None));
        assert_eq!(
            interpreter.because(),
            "--size 640x400 --format NV12: 640x400 NV12 has 384000 bytes, but the payload has 675840"
        );
        let mut interpreter = overridden(Some((640, 400)), None, None);
        assert_eq!(interpreter.interpret(&vec![0; 675_840]).0, PayloadKind::Raw);
        assert_eq!(
            interpreter.because(),
            "--size 640x400: the picture has 768000 bytes as BGR888p, 384000 bytes as NV12, 256000 bytes as GRAY8, \
             512000 bytes as RAW16, 768000 bytes as BGR888i, but the payload has 675840"
        );
        let mut interpreter = overridden(Some((0, 0)), None, Some(u32::MAX));
        assert_eq!(interpreter.interpret(&[0; 100]), (PayloadKind::Raw, None));
    }

    #[test]
    fn announcement_overrides_options_unless_the_length_differs() {
        let mut interpreter = overridden(Some((640, 352)), None, None);
        let announced = Geometry::tight(PixelFormat::Rgb888p, 352, 640).unwrap();
        interpreter.announce(announced);
        assert_eq!(interpreter.interpret(&vec![0; 675_840]).1, Some(announced));
        assert_eq!(interpreter.because(), "675840 bytes are 352x640 RGB888p, as announced by the stream");
        let half = interpreter.interpret(&vec![0; 337_920]).1.unwrap();
        assert_eq!(half.to_string(), "640x352 NV12");
        assert!(
            interpreter
                .because()
                .starts_with("the stream announces 352x640 RGB888p, which does not match 337920 bytes;")
        );
    }

    #[test]
    fn frames_carry_the_reason_for_their_layout() {
        let stored = Geometry::tight(PixelFormat::Rgb888p, 352, 640).unwrap();
        let mut frame = Frame::with_payload(vec![0; 675_840]);
        let mut interpreter = Interpreter::default();
        let mut because = |interpreter: &mut Interpreter| {
            interpreter.interpret_frame(&mut frame);
            (frame.geometry, frame.because.to_string())
        };
        interpreter.restore(stored);
        let text = "675840 bytes are 352x640 RGB888p, as stored in the recording";
        assert_eq!(because(&mut interpreter), (Some(stored), text.to_owned()));
        interpreter.announce(stored);
        interpreter.restore(stored);
        let text = "675840 bytes are 352x640 RGB888p, as announced by the stream";
        assert_eq!(because(&mut interpreter), (Some(stored), text.to_owned()), "the announcement is kept");
    }

    #[test]
    fn known_lengths_are_not_examined_again() {
        let gray = Geometry::tight(PixelFormat::Gray8, 1280, 720).unwrap();
        let mut interpreter = Interpreter::default();
        assert_eq!(interpreter.interpret(&scene(gray)).1, Some(gray));
        let because = Arc::clone(&interpreter.now.because);
        assert_eq!(interpreter.interpret(&vec![0; 921_600]).1, Some(gray), "not examined again");
        assert!(Arc::ptr_eq(&because, &interpreter.now.because));
        for len in 1..=2 * MAX_KNOWN_LENGTHS {
            interpreter.interpret(&vec![0; len]);
        }
        assert_eq!(interpreter.known.len(), MAX_KNOWN_LENGTHS);
    }

    #[test]
    fn black_pictures_are_followed_by_retries() {
        let gray = Geometry::tight(PixelFormat::Gray8, 1280, 720).unwrap();
        let scene = scene(gray);
        let mut interpreter = Interpreter::default();
        for _ in 0..MAX_RETRIES {
            assert_eq!(interpreter.interpret(&vec![0; 921_600]).1.unwrap().to_string(), "640x480 BGR888p");
        }
        assert_eq!(interpreter.clone().interpret(&scene).1, Some(gray));
        interpreter.interpret(&vec![0; 921_600]);
        assert_eq!(
            interpreter.interpret(&scene).1.unwrap().to_string(),
            "640x480 BGR888p",
            "the number of retries is limited"
        );
    }

    #[test]
    fn encoded_payloads_are_recognized() {
        let mut file = vec![0xff, 0xd8, 0xff, 0xc0, 0, 8, 8, 0, 48, 0, 64, 3, 0xff, 0xda, 0, 2];
        file.resize(9216, 5);
        let mut interpreter = Interpreter::default();
        let (kind, geometry) = interpreter.interpret(&file);
        assert_eq!((kind, geometry.unwrap().to_string().as_str()), (PayloadKind::Jpeg, "64x48 JPEG"));
        assert_eq!(interpreter.because(), "64x48 JPEG, according to its header");
        file[7..11].copy_from_slice(&[1, 224, 2, 128]);
        assert_eq!(interpreter.interpret(&file).1.unwrap().to_string(), "640x480 JPEG");
        assert_eq!(interpreter.interpret(&[0, 0, 0, 1, 0x67, 0x42, 9]), (PayloadKind::H264, None));
        assert_eq!(interpreter.because(), "H.264, recognized by its start codes");
        let mut raw = overridden(None, Some(PixelFormat::Bgr888p), None);
        assert_eq!(raw.interpret(&file).1.unwrap().to_string(), "64x48 BGR888p");
    }
}
