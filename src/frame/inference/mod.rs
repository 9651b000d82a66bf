//! Infers the layout of payloads, because the streams of the official programs do not describe it (wire.md section 6).
//!
//! In order of preference: the user's options, where a payload can have this layout; the stream's announcement (`@D`), which
//! also completes the user's options; the structure of encoded payloads, common picture sizes in landscape and portrait, common sizes with padded rows, and any other size that explains the
//! bytes much better. Among several candidates, the one whose pixels are most similar to their neighbors wins; where the
//! bytes do not decide, planar BGR does.

mod search;
mod sizes;
mod smoothness;
mod video;

use std::fmt::Write;
use std::sync::Arc;

use search::{Candidates, fits, is_much_smoother, search};
use sizes::{COMMON_FORMATS, KNOWN_SIZES, RARE_FORMATS};
use smoothness::{is_packed_422, measure};
use video::VideoSizes;

use super::geometry::Geometry;
use super::magic::{self, Encoded};
use super::pixel::PixelFormat;
use super::{Frame, Guess, PayloadKind, Size};

/// Shortest payload that has one of the known sizes in one of the formats, in bytes. Shorter ones are not examined: a
/// hostile stream can have many, each of another length.
const MIN_KNOWN_LEN: usize = 64 * 48;

/// Rows of a picture differ by less than this, in 1/256 of the range; those of encoded video, which look like noise, by
/// about 85.
const MAX_ROW_DIFFERENCE: f64 = 32.0;

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
    guess: Option<Guess>,
    /// The user states another layout than the stream.
    disputed: bool,
    because: Arc<str>,
    /// Payloads of the same length that may still change it.
    retries: u32,
}

/// The origin of a layout that need not be inferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Stream,
    Recording,
    Png,
}

/// The layout that need not be inferred, if there is one.
type Announcement = Option<(Geometry, Origin)>;

/// Infers the encoding and layout of payloads, in the order of wire.md section 6.
#[derive(Clone, Debug, Default)]
pub struct Interpreter {
    overrides: Overrides,
    announced: Announcement,
    /// Layout of the next payload, stored in a recording or known from the file that it was decoded from.
    restored: Option<(Geometry, Origin)>,
    /// Interpretations of raw payloads by announcement and length, oldest first: a camera that sends several streams announces
    /// the layout of each in turn.
    known: Vec<((Announcement, usize), Interpretation)>,
    now: Interpretation,
    /// Size of the last payload if it was video.
    video_size: Option<Size>,
    /// Size of the next payload if it is video, stored in a recording.
    restored_video: Option<Size>,
    videos: VideoSizes,
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

    /// Sets the layout stored in a recording for the next payload. It also holds if the stream announces another one before that
    /// payload: the user may have corrected it for the recording.
    pub fn restore(&mut self, geometry: Geometry) {
        self.restored = Some((geometry, Origin::Recording));
    }

    /// Sets the layout of the next payload, the pixels of a PNG file.
    pub fn decoded(&mut self, geometry: Geometry) {
        self.restored = Some((geometry, Origin::Png));
    }

    /// Sets the size of a stream of video, as announced by `@D`. It holds until the next sequence parameter set.
    pub fn announce_video(&mut self, stream: Option<&Arc<str>>, kind: PayloadKind, size: Size) {
        self.videos.announce(stream, kind, size);
    }

    /// Sets the size stored in a recording for the next payload, which is video.
    pub fn restore_video(&mut self, size: Size) {
        self.restored_video = Some(size);
    }

    fn set_announced(&mut self, geometry: Geometry, origin: Origin) {
        if self.announced != Some((geometry, origin)) {
            self.announced = Some((geometry, origin));
        }
    }

    /// Explains the interpretation of the last payload in a sentence for people; empty before the first payload.
    #[must_use]
    pub fn because(&self) -> &str {
        &self.now.because
    }

    /// Sets the kind and geometry of a frame by its payload, and the reason for them.
    pub fn interpret_frame(&mut self, frame: &mut Frame) {
        (frame.kind, frame.geometry) = self.interpret_in(frame.stream.as_ref(), frame.payload());
        frame.video_size = self.video_size.filter(|_| frame.kind.is_video());
        frame.because = Arc::clone(&self.now.because);
        frame.guess = self.now.guess;
        frame.disputed = self.now.disputed;
    }

    /// Returns the encoding of a payload, and its layout if that is known.
    pub fn interpret(&mut self, payload: &[u8]) -> (PayloadKind, Option<Geometry>) {
        self.interpret_in(None, payload)
    }

    /// `stream`: name of the stream of the payload; `None` for the first one of a camera.
    fn interpret_in(&mut self, stream: Option<&Arc<str>>, payload: &[u8]) -> (PayloadKind, Option<Geometry>) {
        let restored_video = self.restored_video.take();
        if let Some((geometry, origin)) = self.restored.take()
            && self.announced.is_none_or(|(announced, _)| announced != geometry)
        {
            self.set_announced(geometry, origin);
        }
        // Before the cache, because a damaged payload can have had the same length.
        if let Some(encoded) = self.encoded(payload) {
            let size = self.videos.of_payload(stream, encoded.kind, payload, restored_video);
            let new_size = std::mem::replace(&mut self.video_size, size) != size;
            let format = PixelFormat::Jpeg;
            let geometry =
                encoded.size.map(|(width, height)| Geometry { format, width, height, stride: 0, plane_rows: 0 });
            let is_new = self.now.kind != encoded.kind || self.now.geometry != geometry || new_size;
            if is_new || self.now.because.is_empty() {
                let mut because = explain(&encoded, self.video_size);
                let disputed = self.overrides.size.is_some_and(|size| encoded.size.is_none_or(|own| own != size));
                if disputed {
                    let _ = write!(because, "; {} is for raw pixels and is ignored", self.overrides);
                }
                let because = because.into();
                self.now =
                    Interpretation { kind: encoded.kind, geometry, disputed, because, ..Interpretation::default() };
            }
        } else if let Some(at) = self.known.iter().position(|(of, _)| *of == (self.announced, payload.len())) {
            if self.known[at].1.retries > 0 {
                let retries = self.known[at].1.retries - 1;
                let new = self.infer(payload);
                let known = &mut self.known[at].1;
                // One guess instead of another would change the layout in the middle of a stream for no reason.
                let decides = known.geometry.is_none() || new.guess != Some(Guess::ByLength);
                if new.because != known.because && new.geometry.is_some() && decides {
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
            self.known.push(((self.announced, payload.len()), self.now.clone()));
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
            Some(Candidates { geometry, .. }) => {
                measure(&geometry, payload).is_some_and(|smoothness| smoothness.rows < MAX_ROW_DIFFERENCE)
            }
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
        let given_sizes = given_size.as_ref().map(|size| [&size[..]]);
        let sizes = given_sizes.as_ref().map_or(&KNOWN_SIZES[..], |sizes| &sizes[..]);
        let others = |formats| if size.is_none() && stride.is_none() { formats } else { &[][..] };
        match format {
            Some(format) => search(sizes, &[&[format]], stride, others(&[format]), payload),
            // Planar BGR in any of the sizes first: most applications on cameras send it.
            None => {
                let formats = [&COMMON_FORMATS[..1], &COMMON_FORMATS, &RARE_FORMATS];
                let packed = &[PixelFormat::Yuv422i][..];
                let packed = || search(sizes, &[packed], stride, others(packed), payload);
                (if is_packed_422(payload) { packed() } else { None })
                    .or_else(|| search(sizes, &formats, stride, others(&COMMON_FORMATS), payload))
                    .or_else(|| search(sizes, &[&PixelFormat::ALL], stride, &[], payload))
            }
        }
    }

    /// Interprets a payload by the announcement and the user's options, which change parts of it. The user is right where
    /// both have the length of the payload.
    ///
    /// # Errors
    /// Describes the announcement if the payload has neither length. Then it is inferred.
    fn stated(&self, payload: &[u8]) -> Result<Option<Interpretation>, String> {
        let len = payload.len();
        let Some((announced, origin)) = self.announced else { return Ok(None) };
        let given = self.overrides.to_string();
        let wanted = self.overrides.applied_to(announced);
        let (origin, announces) = match origin {
            Origin::Stream => ("announced by the stream", "the stream announces"),
            Origin::Recording => ("stored in the recording", "the recording stores"),
            Origin::Png => ("decoded from a PNG file", "a PNG file has"),
        };
        let (geometry, because) = match (wanted.filter(|wanted| fits(wanted, len)), fits(&announced, len)) {
            (Some(wanted), _) if wanted == announced => {
                (announced, format!("{len} bytes are {announced}, as {origin}"))
            }
            (Some(wanted), _) => {
                (wanted, format!("{len} bytes are {wanted} ({given}), although {announces} {announced}"))
            }
            (None, true) => (
                announced,
                format!("{len} bytes are {announced}, as {origin}; {given} does not match that length and is ignored"),
            ),
            (None, false) => return Err(format!("{announces} {announced}, which does not match {len} bytes; ")),
        };
        let transposed = self.transposed_note(&geometry, payload);
        let disputed = wanted != Some(announced) || transposed.is_some();
        let because = (because + transposed.as_deref().unwrap_or_default()).into();
        Ok(Some(Interpretation { geometry: Some(geometry), disputed, because, ..Interpretation::default() }))
    }

    /// Returns the layout with the width and the format of an announcement whose height does not match. `None` if the announced size
    /// matches in another format, or if the heights differ by more than a factor of 2.
    fn near_announcement(&self, payload: &[u8]) -> Option<Geometry> {
        let (announced, _) = self.announced.filter(|_| self.overrides == Overrides::default())?;
        let (width, format, len) = (announced.width, announced.format, payload.len());
        let in_format = |format| Geometry::tight(format, width, announced.height).is_ok_and(|other| fits(&other, len));
        if announced.is_padded() || PixelFormat::ALL.into_iter().any(in_format) {
            return None;
        }
        let two_rows = Geometry::tight(format, width, 2).ok()?.byte_len()?;
        let height = u32::try_from(len.checked_mul(2)? / two_rows).ok()?;
        let near = Geometry::tight(format, width, height).ok().filter(|near| near.byte_len() == Some(len))?;
        (announced.height.div_ceil(2)..=announced.height.saturating_mul(2)).contains(&height).then_some(near)
    }

    /// Suggests to exchange width and height if that explains the bytes much better.
    fn transposed_note(&self, stated: &Geometry, payload: &[u8]) -> Option<String> {
        if stated.width == stated.height || stated.is_padded() {
            return None;
        }
        let size = (stated.height, stated.width);
        let format = self.overrides.format.or_else(|| self.announced.map(|_| stated.format));
        let other = Self::new(Overrides { size: Some(size), format, stride: None }).candidates(payload)?.geometry;
        let size = Size::new(size.0, size.1);
        let is_better = !other.is_padded() && is_much_smoother(&other, stated, payload);
        is_better.then(|| format!("; its rows are much more similar as {size}: try --size {size}"))
    }

    /// Interprets a payload that is not recognizably encoded.
    fn infer(&self, payload: &[u8]) -> Interpretation {
        let len = payload.len();
        let mut because = match self.stated(payload) {
            Ok(Some(stated)) => return stated,
            Ok(None) => String::new(),
            Err(mismatch) => mismatch,
        };
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
        let found = self.candidates(payload);
        if let Some(near) = self.near_announcement(payload)
            && found.as_ref().is_none_or(|found| !is_much_smoother(&found.geometry, &near, payload))
        {
            let _ = write!(because, "{len} bytes are interpreted as {near}, with the announced width and format");
            return Interpretation {
                geometry: Some(near),
                guess: Some(Guess::ByContent),
                disputed: true,
                because: because.into(),
                ..Interpretation::default()
            };
        }
        let Some(found) = found else {
            if format.is_none() && payload.starts_with(&[0xff, 0xd8, 0xff]) {
                let because = format!("{because}{len} bytes begin like a JPEG, but have no complete header");
                return Interpretation {
                    kind: PayloadKind::Jpeg,
                    because: because.into(),
                    ..Interpretation::default()
                };
            }
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
            if !given.is_empty()
                && let Some(Candidates { geometry, .. }) = Self::default().candidates(payload)
            {
                let _ = write!(because, "; without these options it is taken as {geometry}");
            }
            // A dark picture has no rows by which to find a size that is not in the tables: the next ones can.
            let retries = if given.is_empty() && len >= MIN_KNOWN_LEN { MAX_RETRIES } else { 0 };
            return Interpretation { because: because.into(), retries, ..Interpretation::default() };
        };
        let Candidates { geometry, others, by_rows } = found;
        let _ = write!(because, "{len} bytes are interpreted as {geometry}");
        because.push_str(match (others.is_empty(), by_rows) {
            (true, _) if !given.is_empty() => "",
            (true, true) => ", the only common size and format of that length",
            (true, false) => ", the only common size of that length; its bytes would fit others",
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
        let (guess, retries) = if by_rows { (Guess::ByContent, 0) } else { (Guess::ByLength, MAX_RETRIES) };
        let guess = (size.is_none() || format.is_none()).then_some(guess);
        let transposed = size.and_then(|_| self.transposed_note(&geometry, payload));
        because.push_str(transposed.as_deref().unwrap_or_default());
        Interpretation {
            disputed: transposed.is_some(),
            geometry: Some(geometry),
            guess,
            because: because.into(),
            retries,
            ..Interpretation::default()
        }
    }
}

impl Overrides {
    /// Returns a layout with the parts that the user states, without padding if they change the length of rows. `None` if
    /// there is no such layout of pixels.
    fn applied_to(&self, announced: Geometry) -> Option<Geometry> {
        let (width, height) = self.size.unwrap_or((announced.width, announced.height));
        let format = self.format.unwrap_or(announced.format);
        let is_same = (width, height, format) == (announced.width, announced.height, announced.format);
        let tight = if is_same { announced } else { Geometry::tight(format, width, height).ok()? };
        self.stride.map_or(Some(tight), |stride| tight.with_stride(stride).ok())
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

fn explain(encoded: &Encoded, video_size: Option<Size>) -> String {
    match (encoded.kind, encoded.size) {
        (PayloadKind::Jpeg, Some((width, height))) => format!("{width}x{height} JPEG, according to its header"),
        (kind, _) => {
            let size = video_size.map(|size| format!("{size} ")).unwrap_or_default();
            format!(
                "{size}{}, recognized by its start codes",
                if kind == PayloadKind::H265 { "H.265" } else { "H.264" }
            )
        }
    }
}

/// Returns the likeliest other format of the same length that a viewer can distinguish by wrong colors.
pub(super) fn twin(format: PixelFormat) -> Option<PixelFormat> {
    use PixelFormat::*;
    match format {
        Bgr888p => Some(Rgb888p),
        Bgr888i => Some(Rgb888i),
        Nv12 => Some(Nv21),
        Raw16 => Some(Raw10),
        BgrF16p => Some(RgbF16p),
        BgrF16i => Some(RgbF16i),
        Rgb888p | Yuv444p => Some(Bgr888p),
        Rgb888i | Yuv444i => Some(Bgr888i),
        Nv21 | Yuv420p => Some(Nv12),
        RgbF16p => Some(BgrF16p),
        RgbF16i => Some(BgrF16i),
        Yuv422i => Some(Yuv422p),
        Yuv422p => Some(Yuv422i),
        Yuv400p | Gray8 | Raw8 | Raw14 | Raw12 | Raw10 | Pack10 | Pack12 | Rgba8888 | Rgb161616 | GrayF16 | Jpeg
        | Bayer(..) => None,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod variety_tests;
