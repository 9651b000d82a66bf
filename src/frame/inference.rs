//! Payload -> [`Geometry`]: the stream of the official programs does not say what it carries (wire.md section 6).
//!
//! What is known better comes first: what the stream announces, what the user says, what an encoded picture says of
//! itself, the sizes that cameras usually send, the same with padded rows. Where several fit, the one with which rows
//! look most like their neighbours is taken.

use std::fmt::Write;
use std::sync::Arc;

use super::magic::{self, Encoded};
use super::pixel::{Geometry, PixelFormat};
use super::{Frame, PayloadKind};

/// Sizes that OAK cameras send, the likeliest first: that of the standalone example, inputs of common networks,
/// resolutions of sensors and of the ISP (wire.md section 6).
const USUAL_SIZES: [(u32, u32); 12] = [
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

/// Sizes that are possible, after all of the usual ones.
const RARE_SIZES: [(u32, u32); 27] = [
    (512, 512),
    (320, 320),
    (640, 360),
    (320, 240),
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

/// One format for each arrangement of bytes; the others of the same arrangement cannot be told from it.
const USUAL_FORMATS: [PixelFormat; 5] =
    [PixelFormat::Bgr888p, PixelFormat::Nv12, PixelFormat::Gray8, PixelFormat::Raw16, PixelFormat::Bgr888i];

/// Arrangements that are possible, in any size less likely than the usual ones.
const RARE_FORMATS: [PixelFormat; 5] =
    [PixelFormat::Yuv420p, PixelFormat::Rgba8888, PixelFormat::BgrF16p, PixelFormat::BgrF16i, PixelFormat::Pack10];

/// Another candidate wins only when its rows differ by less than this share of what those of the likelier one do.
const CLEARLY: f64 = 0.8;

/// Lengths that are remembered: a stream has one, or a few when it is damaged or encoded.
const REMEMBERED: usize = 8;

/// Times that a length is looked at while rows do not decide, because the first pictures of a camera are often black.
const LOOKS: u32 = 30;

/// What the user says of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Layout.
    pub format: Option<PixelFormat>,
    /// Bytes from one row of the first plane to the next.
    pub stride: Option<u32>,
}

/// What a payload was taken for, and why.
#[derive(Clone, Debug, Default)]
struct Answer {
    kind: PayloadKind,
    geometry: Option<Geometry>,
    because: Arc<str>,
    /// How often a picture of the same length may still change it.
    looks: u32,
}

/// Decides what a payload is, in the order of wire.md section 6, and remembers why.
#[derive(Clone, Debug, Default)]
pub struct Interpreter {
    overrides: Overrides,
    announced: Option<Geometry>,
    // Raw payloads by length, the oldest first: once known, they are not looked at again.
    known: Vec<(usize, Answer)>,
    now: Answer,
}

impl Interpreter {
    /// One that believes the user.
    #[must_use]
    pub fn new(overrides: Overrides) -> Self {
        Self { overrides, ..Self::default() }
    }

    /// One that has looked at this frame alone, to say why it is taken for what it is; and whether it takes it for the
    /// same.
    #[must_use]
    pub fn of(overrides: Overrides, frame: &Frame) -> (Self, bool) {
        let mut interpreter = Self::new(overrides);
        frame.geometry.filter(|_| frame.announced).inspect(|geometry| interpreter.announce(*geometry));
        let (_, geometry) = interpreter.interpret(frame.payload());
        (interpreter, geometry == frame.geometry)
    }

    /// The stream itself said what it carries (`@D`).
    pub fn announce(&mut self, geometry: Geometry) {
        if self.announced != Some(geometry) {
            self.announced = Some(geometry);
            self.known.clear();
        }
    }

    /// What was assumed of the last payload and why, as a sentence for people; empty before the first.
    /// It changes when the assumption does.
    #[must_use]
    pub fn because(&self) -> &str {
        &self.now.because
    }

    /// What the payload is; its layout when that is known.
    pub fn interpret(&mut self, payload: &[u8]) -> (PayloadKind, Option<Geometry>) {
        // First, and for every payload: a damaged one can have had the length of this.
        if let Some(encoded) = self.encoded(payload) {
            let format = PixelFormat::Jpeg;
            let geometry =
                encoded.size.map(|(width, height)| Geometry { format, width, height, stride: 0, plane_rows: 0 });
            if self.now.kind != encoded.kind || self.now.geometry != geometry || self.now.because.is_empty() {
                self.now = Answer { kind: encoded.kind, geometry, because: told(&encoded).into(), looks: 0 };
            }
        } else if let Some(at) = self.known.iter().position(|(len, _)| *len == payload.len()) {
            if self.known[at].1.looks > 0 {
                let looks = self.known[at].1.looks - 1;
                let again = self.look_at(payload);
                let answer = &mut self.known[at].1;
                if again.because != answer.because {
                    *answer = again;
                }
                answer.looks = answer.looks.min(looks);
            }
            let answer = &self.known[at].1;
            if !Arc::ptr_eq(&answer.because, &self.now.because) {
                self.now = answer.clone();
            }
        } else {
            self.now = self.look_at(payload);
            if self.known.len() == REMEMBERED {
                self.known.remove(0);
            }
            self.known.push((payload.len(), self.now.clone()));
        }
        (self.now.kind, self.now.geometry)
    }

    /// An encoded picture, unless the stream or the user says that there are only pixels.
    fn encoded(&self, payload: &[u8]) -> Option<Encoded> {
        let raw = |format| format != PixelFormat::Jpeg;
        let announced = self.announced.is_some_and(|geometry| raw(geometry.format) && fits(&geometry, payload.len()));
        let said = self.overrides.format.is_some_and(raw) || self.overrides.stride.is_some();
        if announced || said { None } else { magic::recognise(payload) }
    }

    /// A payload that does not say what it is.
    fn look_at(&self, payload: &[u8]) -> Answer {
        let len = payload.len();
        let mut because = String::new();
        if let Some(geometry) = self.announced {
            if fits(&geometry, len) {
                return Answer {
                    geometry: Some(geometry),
                    because: format!("{len} bytes are {geometry}: the stream says so").into(),
                    ..Answer::default()
                };
            }
            because = format!("the stream announces {geometry}, which {len} bytes are not; ");
        }
        let Overrides { size, format, stride } = self.overrides;
        let said = self.overrides.to_string();
        if format == Some(PixelFormat::Jpeg) {
            // Whether it is one is for the decoder to say: the user wants it tried.
            return Answer {
                kind: PayloadKind::Jpeg,
                because: format!("{because}{len} bytes are tried as a JPEG ({said})").into(),
                ..Answer::default()
            };
        }
        let said_size = size.map(|size| [size]);
        let sizes = said_size.as_ref().map_or([&USUAL_SIZES[..], &RARE_SIZES], |size| [size, &[]]);
        let found = match format {
            Some(format) => search(sizes, [&[format], &[]], stride, payload),
            None => search(sizes, [&USUAL_FORMATS, &RARE_FORMATS], stride, payload)
                .or_else(|| search(sizes, [&[], &PixelFormat::ALL], stride, payload)),
        };
        let Some(found) = found else {
            let _ = match (said.is_empty(), size, format) {
                (true, ..) => write!(
                    because,
                    "{len} bytes fit no size that is known: say what they are with --size WxH and --format NAME"
                ),
                (false, Some((width, height)), Some(format)) => {
                    let wanted = Geometry::tight(format, width, height)
                        .and_then(|tight| stride.map_or(Ok(tight), |stride| tight.with_stride(stride)));
                    match wanted.map(|geometry| (geometry, geometry.byte_len())) {
                        Ok((geometry, Some(needed))) => {
                            write!(because, "{said}: {geometry} has {needed} bytes, but the payload has {len}")
                        }
                        Ok((geometry, None)) => write!(because, "{said}: {geometry} has no fixed length"),
                        Err(error) => write!(because, "{said}: {error}"),
                    }
                }
                (false, ..) => write!(because, "{said}: no known picture of {len} bytes is like that"),
            };
            return Answer { because: because.into(), ..Answer::default() };
        };
        let Found { geometry, others, by_rows } = found;
        let _ = write!(because, "{len} bytes are taken for {geometry}");
        because.push_str(match (others.is_empty(), by_rows) {
            (true, _) if said.is_empty() => ", the only usual picture of that length",
            (true, _) => "",
            (false, true) => ", in which neighbouring rows are most alike",
            (false, false) => ", the likeliest picture of that length",
        });
        if !said.is_empty() {
            let _ = write!(because, " ({said})");
        }
        for (n, other) in others.iter().take(3).enumerate() {
            let _ = write!(because, "{} {other}", if n == 0 { "; could be" } else { " or" });
        }
        if format.is_none()
            && let Some(twin) = twin(geometry.format)
        {
            let _ = write!(because, "; if colours are wrong, try --format {twin}");
        }
        let looks = if others.is_empty() || by_rows { 0 } else { LOOKS };
        Answer { kind: PayloadKind::Raw, geometry: Some(geometry), because: because.into(), looks }
    }
}

impl std::fmt::Display for Overrides {
    /// As options of the command line; empty when there are none.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = self.size.map(|(width, height)| format!("--size {width}x{height}"));
        let format = self.format.map(|format| format!("--format {format}"));
        let stride = self.stride.map(|stride| format!("--stride {stride}"));
        f.write_str(&[size, format, stride].into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

fn told(encoded: &Encoded) -> String {
    match (encoded.kind, encoded.size) {
        (PayloadKind::Jpeg, Some((width, height))) => format!("JPEG of {width}x{height}, as its own header says"),
        (kind, _) => format!("{}, by its start codes", if kind == PayloadKind::H265 { "H.265" } else { "H.264" }),
    }
}

/// The format that looks the same in every length and every row, if colours can tell it apart.
fn twin(format: PixelFormat) -> Option<PixelFormat> {
    match format {
        PixelFormat::Bgr888p => Some(PixelFormat::Rgb888p),
        PixelFormat::Bgr888i => Some(PixelFormat::Rgb888i),
        PixelFormat::Nv12 => Some(PixelFormat::Nv21),
        PixelFormat::Raw16 => Some(PixelFormat::Raw10),
        PixelFormat::BgrF16p => Some(PixelFormat::RgbF16p),
        PixelFormat::BgrF16i => Some(PixelFormat::RgbF16i),
        _ => None,
    }
}

/// Whether a payload of this length is such a picture; the padding of the last row may be missing.
fn fits(geometry: &Geometry, len: usize) -> bool {
    geometry.layout().is_ok_and(|layout| (layout.needed..=layout.byte_len).contains(&len))
}

struct Found {
    geometry: Geometry,
    others: Vec<Geometry>,
    /// Whether it was the rows that decided between them.
    by_rows: bool,
}

/// The best of the pictures with one of these sizes and formats (the usual, then the rare) that have the length of the
/// payload: those without padding if there is one, else those with it.
fn search(
    sizes: [&[(u32, u32)]; 2],
    formats: [&[PixelFormat]; 2],
    stride: Option<u32>,
    payload: &[u8],
) -> Option<Found> {
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
    if fitting.is_empty() {
        fitting = tight().flat_map(|geometry| padded(geometry, stride)).filter(|padded| fits(padded, len)).collect();
        fitting.dedup();
    }
    if fitting.len() < 2 {
        return Some(Found { geometry: fitting.pop()?, others: fitting, by_rows: false });
    }
    let scores: Vec<f64> = fitting.iter().map(|geometry| unevenness(geometry, payload)).collect();
    let best = (1..scores.len()).fold(0, |best, n| if scores[n] < CLEARLY * scores[best] { n } else { best });
    let worse = |n: usize| n == best || scores[best] < CLEARLY * scores[n];
    let by_rows = (0..scores.len()).all(worse);
    let geometry = fitting.remove(best);
    Some(Found { geometry, others: fitting, by_rows })
}

/// The paddings that the ISP is known to use: rows to 16, 32, 64 or 128 bytes, planes of half height to 8 or 16 rows.
fn padded(geometry: Geometry, stride: Option<u32>) -> impl Iterator<Item = Geometry> {
    let to = |n: u32, multiple: u32| n.checked_next_multiple_of(multiple).unwrap_or(n);
    let rows = [1, 8, 16].map(|multiple| to(geometry.height, multiple));
    let rows = if geometry.format.has_half_rows() { rows } else { [geometry.height; 3] };
    let strides = [1, 16, 32, 64, 128].map(|multiple| stride.unwrap_or(to(geometry.stride, multiple)));
    strides.into_iter().flat_map(move |stride| {
        rows.into_iter().filter_map(move |rows| geometry.with_stride(stride).ok()?.with_plane_rows(rows).ok())
    })
}

/// How much samples differ from those below them, on the average and in 1/256 of their range: least where the geometry
/// is right, 0 where there is nothing to see.
fn unevenness(geometry: &Geometry, payload: &[u8]) -> f64 {
    // Enough to decide, and few enough to be done while the next frame is on its way.
    const ROWS: usize = 192;
    const SAMPLES: usize = 128;
    let Ok(layout) = geometry.layout_in(payload.len()) else { return f64::INFINITY };
    let (sample, scale) = if is_16_bit(geometry.format) { (2, 256.0) } else { (1, 1.0) };
    // One step for all planes, so that each counts for as much as it has bytes.
    let step = layout.planes().iter().map(|plane| plane.rows).sum::<usize>().div_ceil(ROWS);
    let (mut sum, mut count) = (0.0, 0.0);
    for plane in layout.planes().iter().filter(|plane| plane.rows > 1) {
        let value = |x: usize, y: usize| {
            let at = plane.offset + y * plane.stride + x * sample;
            let high = if sample == 2 { payload[at + 1] } else { 0 };
            u16::from_le_bytes([payload[at], high])
        };
        let samples = plane.row / sample;
        for y in (0..plane.rows - 1).step_by(step) {
            // An odd step meets all channels, however many there are.
            for x in (0..samples).step_by(samples.div_ceil(SAMPLES) | 1) {
                sum += f64::from(value(x, y).abs_diff(value(x, y + 1)));
                count += 1.0;
            }
        }
    }
    if count > 0.0 { sum / count / scale } else { f64::INFINITY }
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
    fn a_jpeg_is_one_although_damage_once_had_its_length() {
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

    /// A smooth picture with edges, in any layout: each byte depends on where in the picture it is.
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
    fn the_standalone_example_is_known_by_its_length() {
        let mut interpreter = Interpreter::default();
        assert_eq!(interpreter.because(), "");
        let (kind, geometry) = interpreter.interpret(&vec![0; 675_840]);
        assert_eq!((kind, geometry), (PayloadKind::Raw, Geometry::tight(PixelFormat::Bgr888p, 640, 352).ok()));
        assert_eq!(
            interpreter.because(),
            "675840 bytes are taken for 640x352 BGR888p, the likeliest picture of that length; could be \
             640x352 BGR888i; if colours are wrong, try --format RGB888p"
        );
    }

    #[test]
    fn featureless_payloads_take_the_likeliest_size() {
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

    #[test]
    fn padded_rows_and_planes_are_found() {
        let nv12 = Geometry::tight(PixelFormat::Nv12, 300, 300).unwrap();
        let padded = nv12.with_stride(320).unwrap().with_plane_rows(304).unwrap();
        assert_eq!(guessed(&scene(padded)), "300x300 NV12 (stride 320, planes of 304 rows)");
        let wide = Geometry::tight(PixelFormat::Gray8, 4056, 3040).unwrap().with_stride(4096).unwrap();
        assert_eq!(guessed(&vec![0; wide.byte_len().unwrap()]), wide.to_string());
    }

    #[test]
    fn unknown_lengths_are_given_up_with_advice() {
        for len in [0, 1, 31, 700_001] {
            let mut interpreter = Interpreter::default();
            assert_eq!(interpreter.interpret(&vec![7; len]), (PayloadKind::Raw, None));
            assert_eq!(
                interpreter.because(),
                format!("{len} bytes fit no size that is known: say what they are with --size WxH and --format NAME")
            );
        }
    }

    #[test]
    fn the_user_knows_better_than_the_table() {
        let payload = vec![0; 675_840];
        let said = |size, format, stride| overridden(size, format, stride).interpret(&payload).1.unwrap().to_string();
        assert_eq!(said(None, Some(PixelFormat::Rgb888i), None), "640x352 RGB888i");
        assert_eq!(said(Some((352, 640)), None, None), "352x640 BGR888p");
        assert_eq!(said(Some((600, 352)), Some(PixelFormat::Bgr888p), Some(640)), "600x352 BGR888p (stride 640)");
        assert_eq!(said(Some((630, 352)), None, None), "630x352 BGR888p (stride 640)");
    }

    #[test]
    fn a_user_who_is_wrong_is_told_the_numbers() {
        let mut interpreter = overridden(Some((640, 400)), Some(PixelFormat::Nv12), None);
        assert_eq!(interpreter.interpret(&vec![0; 675_840]), (PayloadKind::Raw, None));
        assert_eq!(
            interpreter.because(),
            "--size 640x400 --format NV12: 640x400 NV12 has 384000 bytes, but the payload has 675840"
        );
        let mut interpreter = overridden(Some((0, 0)), None, Some(u32::MAX));
        assert_eq!(interpreter.interpret(&[0; 100]), (PayloadKind::Raw, None));
    }

    #[test]
    fn the_stream_knows_best_unless_its_length_says_otherwise() {
        let mut interpreter = overridden(Some((640, 352)), None, None);
        let announced = Geometry::tight(PixelFormat::Rgb888p, 352, 640).unwrap();
        interpreter.announce(announced);
        assert_eq!(interpreter.interpret(&vec![0; 675_840]).1, Some(announced));
        assert_eq!(interpreter.because(), "675840 bytes are 352x640 RGB888p: the stream says so");
        let half = interpreter.interpret(&vec![0; 337_920]).1.unwrap();
        assert_eq!(half.to_string(), "640x352 NV12");
        assert!(interpreter.because().starts_with("the stream announces 352x640 RGB888p, which 337920 bytes are not"));
    }

    #[test]
    fn a_length_is_looked_at_once() {
        let gray = Geometry::tight(PixelFormat::Gray8, 1280, 720).unwrap();
        let mut interpreter = Interpreter::default();
        assert_eq!(interpreter.interpret(&scene(gray)).1, Some(gray));
        let because = Arc::clone(&interpreter.now.because);
        assert_eq!(interpreter.interpret(&vec![0; 921_600]).1, Some(gray), "not looked at again");
        assert!(Arc::ptr_eq(&because, &interpreter.now.because));
        for len in 1..=2 * REMEMBERED {
            interpreter.interpret(&vec![0; len]);
        }
        assert_eq!(interpreter.known.len(), REMEMBERED);
    }

    #[test]
    fn black_pictures_decide_nothing() {
        let gray = Geometry::tight(PixelFormat::Gray8, 1280, 720).unwrap();
        let scene = scene(gray);
        let mut interpreter = Interpreter::default();
        for _ in 0..LOOKS {
            assert_eq!(interpreter.interpret(&vec![0; 921_600]).1.unwrap().to_string(), "640x480 BGR888p");
        }
        assert_eq!(interpreter.clone().interpret(&scene).1, Some(gray));
        interpreter.interpret(&vec![0; 921_600]);
        assert_eq!(interpreter.interpret(&scene).1.unwrap().to_string(), "640x480 BGR888p", "not for ever");
    }

    #[test]
    fn encoded_pictures_say_what_they_are() {
        let mut file = vec![0xff, 0xd8, 0xff, 0xc0, 0, 8, 8, 0, 48, 0, 64, 3, 0xff, 0xda, 0, 2];
        file.resize(9216, 5);
        let mut interpreter = Interpreter::default();
        let (kind, geometry) = interpreter.interpret(&file);
        assert_eq!((kind, geometry.unwrap().to_string().as_str()), (PayloadKind::Jpeg, "64x48 JPEG"));
        assert_eq!(interpreter.because(), "JPEG of 64x48, as its own header says");
        file[7..11].copy_from_slice(&[1, 224, 2, 128]);
        assert_eq!(interpreter.interpret(&file).1.unwrap().to_string(), "640x480 JPEG");
        assert_eq!(interpreter.interpret(&[0, 0, 0, 1, 0x67, 0x42, 9]), (PayloadKind::H264, None));
        assert_eq!(interpreter.because(), "H.264, by its start codes");
        let mut raw = overridden(None, Some(PixelFormat::Bgr888p), None);
        assert_eq!(raw.interpret(&file).1.unwrap().to_string(), "64x48 BGR888p");
    }
}
