//! Measures each stage alone, in memory: parse, decode, convert, overlay.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use oaktap::convert::{Converter, Placement};
use oaktap::decode::VideoDecoder;
use oaktap::frame::{Frame, Geometry, Interpreter, Overrides, PayloadKind, Picture, PixelFormat, Pool, Received};
use oaktap::overlay::{Overlay, Style};
use oaktap::sim::{Coding, Reel, SimConfig, Stream};
use oaktap::wire::{Decoder, Event, Limits};

use super::measure::{Timing, beside_memcpy, thread_cpu};
use super::report::Row;

/// Boxes in every picture.
pub(crate) const BOXES: u32 = 5;

/// The default format of the vendor's examples, and other common ones.
pub(crate) const FORMATS: [PixelFormat; 6] = [
    PixelFormat::Bgr888p,
    PixelFormat::Bgr888i,
    PixelFormat::Nv12,
    PixelFormat::Gray8,
    PixelFormat::Raw16,
    PixelFormat::Jpeg,
];

/// Divisors of the sides of a JPEG while it is decoded, as for small tiles.
const JPEG_REDUCTIONS: [usize; 3] = [2, 4, 8];

/// Twelve pictures of the simulated camera, encoded by x265 with `bframes=0:keyint=12:crf=24:aud=1`,
/// because oaktap has no encoder of H.265.
const H265_STREAM: &[u8] = include_bytes!("moving.h265");
/// The only size at which H.265 is measured.
pub(crate) const H265_SIZE: (u32, u32) = (640, 352);
/// The delimiter at the start of each picture.
const H265_DELIMITER: &[u8] = &[0, 0, 0, 1, 0x46, 1];

/// Measures each stage for about `each`, with frames of one size, and of one format or of all in [`FORMATS`] and video. Calls
/// `begins` before each stage.
pub(crate) fn measure(
    size: (u32, u32),
    format: Option<PixelFormat>,
    each: Duration,
    mut begins: impl FnMut(&str),
) -> anyhow::Result<Vec<Row>> {
    begins("parse");
    let mut rows = vec![parse(size, format.unwrap_or(FORMATS[0]), each)?];
    if format.is_none() {
        begins("decode H264");
        rows.extend(h264_frames(size)?.map(|frames| decode(size, &frames, each)).transpose()?);
        if size == H265_SIZE {
            begins("decode H265");
            rows.push(decode(size, &h265_frames(), each)?);
        }
    }
    for format in format.map_or(FORMATS.to_vec(), |format| vec![format]) {
        begins(&format!("convert {format}"));
        rows.push(convert(size, format, 1, each)?);
        for reduction in JPEG_REDUCTIONS.into_iter().filter(|_| format == PixelFormat::Jpeg) {
            rows.push(convert(size, format, reduction, each)?);
        }
    }
    begins("overlay");
    rows.push(overlay(size, each)?);
    Ok(rows)
}

fn config((width, height): (u32, u32), format: PixelFormat) -> SimConfig {
    SimConfig { size: (width, height), format: Coding::Pixels(format), boxes: BOXES, ..SimConfig::default() }
}

fn row(stage: &'static str, what: String, (width, height): (u32, u32), bytes: usize, timing: &Timing) -> Row {
    let mut row = Row {
        camera: None,
        stage,
        what,
        width,
        height,
        bytes_per_frame: bytes as u64,
        frames: timing.runs,
        frames_lost: 0,
        frames_per_s: 0.0,
        gb_per_s: 0.0,
        memcpy_share: timing.memcpy_share,
        cpu_us_per_frame: None,
        cameras_at_40_fps: None,
    };
    row.set_times(timing.seconds, thread_cpu().map(|_| timing.seconds * 1e6));
    row
}

/// Copies a message into the decoder's buffer, as a socket would, and decodes it.
fn parse(size: (u32, u32), format: PixelFormat, each: Duration) -> anyhow::Result<Row> {
    let mut stream = Stream::new(&config(size, format))?;
    let message = stream.turn().bytes();
    let mut decoder = Decoder::new(Pool::default(), Interpreter::default(), Limits::default());
    let mut confirmed = 0_u64;
    let mut run = || {
        let mut rest = message.as_slice();
        while !rest.is_empty() {
            let space = decoder.space();
            let n = space.len().min(rest.len());
            space[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            decoder.commit(n, Received::default());
            while let Some(event) = decoder.poll() {
                confirmed += u64::from(matches!(event, Event::Confirmed(_)));
            }
        }
    };
    run();
    let timing = beside_memcpy(message.len(), each, &mut run);
    decoder.finish();
    while let Some(event) = decoder.poll() {
        confirmed += u64::from(matches!(event, Event::Confirmed(_)));
    }
    anyhow::ensure!(
        confirmed > timing.runs && decoder.byte_counts().skipped == 0,
        "the decoder confirmed {confirmed} frames of more than {} and skipped {} bytes",
        timing.runs,
        decoder.byte_counts().skipped
    );
    Ok(row("parse", format.to_string(), size, message.len(), &timing))
}

/// Returns simulated frames of H.264; `None` if the simulated camera has no encoder for this size.
fn h264_frames(size: (u32, u32)) -> anyhow::Result<Option<Vec<Arc<Frame>>>> {
    let reel = Reel::new(&SimConfig { size, format: Coding::H264, boxes: BOXES, ..SimConfig::default() })?;
    if !reel.is_decodable() {
        return Ok(None);
    }
    let payload = |index: usize| reel.still(index as u64).payload.to_vec();
    Ok(Some(video_frames(PayloadKind::H264, (0..reel.frames()).map(payload))))
}

fn h265_frames() -> Vec<Arc<Frame>> {
    let starts: Vec<usize> = memchr::memmem::find_iter(H265_STREAM, H265_DELIMITER).collect();
    let ends = starts.iter().skip(1).copied().chain([H265_STREAM.len()]);
    video_frames(PayloadKind::H265, starts.iter().zip(ends).map(|(start, end)| H265_STREAM[*start..end].to_vec()))
}

fn video_frames(kind: PayloadKind, payloads: impl Iterator<Item = Vec<u8>>) -> Vec<Arc<Frame>> {
    let frames = payloads.zip(0..).map(|(payload, id)| {
        let mut frame = Frame::with_payload(payload);
        (frame.id, frame.kind) = (id, kind);
        Arc::new(frame)
    });
    frames.collect()
}

/// Decodes video to YUV420p. The frames begin with a key frame, so that they can be repeated.
fn decode(size: (u32, u32), frames: &[Arc<Frame>], each: Duration) -> anyhow::Result<Row> {
    let mut decoder = VideoDecoder::new(Pool::default());
    let (mut bytes, mut next, mut failed) = (0, frames.iter().cycle(), None);
    let mut run = || {
        let frame = next.next().expect("a reel has pictures");
        let result = decoder.decode(frame, |picture| bytes = black_box(picture.payload().len()));
        failed = failed.take().or(result.err());
    };
    run();
    let len = size.0 as usize * size.1 as usize * 3 / 2;
    let timing = beside_memcpy(len, each, &mut run);
    if let Some(error) = failed {
        return Err(error.into());
    }
    anyhow::ensure!(bytes == len, "the decoder gave pictures of {bytes} bytes: expected {len}");
    let name = frames.first().map_or("video", |frame| frame.kind.name());
    Ok(row("decode", format!("{name} to YUV420p"), size, len, &timing))
}

/// Returns a simulated frame of this format.
pub(crate) fn frame(size: (u32, u32), format: PixelFormat) -> anyhow::Result<Arc<Frame>> {
    let still = Reel::new(&config(size, format))?.still(0).clone();
    let pool = Pool::<Frame>::default();
    let mut frame = pool.lease(still.payload.len());
    frame.payload_mut(still.payload.len()).copy_from_slice(&still.payload);
    frame.detections.extend_from_slice(&still.detections);
    let overrides = Overrides { size: Some(size), format: Some(format), stride: None };
    (frame.kind, frame.geometry) = Interpreter::new(overrides).interpret(&still.payload);
    Ok(frame.seal())
}

/// Converts a payload to 0RGB words, with both sides divided by `reduction`.
fn convert(size: (u32, u32), format: PixelFormat, reduction: usize, each: Duration) -> anyhow::Result<Row> {
    let frame = frame(size, format)?;
    let mut converter = Converter::new();
    let mut picture = Picture::default();
    let place = |(width, height): (usize, usize)| Placement {
        size: (width.div_ceil(reduction), height.div_ceil(reduction)),
        ..Placement::whole(width, height)
    };
    let mut run = |picture: &mut Picture| converter.scaled(black_box(&frame), place, picture);
    run(&mut picture).with_context(|| format!("{format} {}x{}", size.0, size.1))?;
    let what = if reduction == 1 {
        check(&frame, &picture)?;
        format!("{format} to 0RGB")
    } else {
        format!("{format} to 0RGB 1/{reduction}")
    };
    let bytes = (frame.payload().len() + 4 * picture.words().len()) / 2;
    let timing = beside_memcpy(bytes, each, || {
        // Cannot fail: the same conversion succeeded above.
        let _ = run(&mut picture);
        black_box(&mut picture);
    });
    Ok(row("convert", what, size, bytes, &timing))
}

/// Compares the picture with the reference conversion, because timing a wrong one is useless.
fn check(frame: &Frame, picture: &Picture) -> anyhow::Result<()> {
    let Some(geometry @ Geometry { format, .. }) = frame.geometry.filter(|of| of.format != PixelFormat::Jpeg) else {
        return Ok(()); // The tests compare JPEG with another decoder.
    };
    let expected = oaktap::convert::reference::pixels(&geometry, frame.payload())?;
    let same =
        picture.words().iter().zip(&expected).all(|(word, [r, g, b])| *word == u32::from_be_bytes([0, *r, *g, *b]));
    anyhow::ensure!(
        same && picture.words().len() == expected.len(),
        "the conversion of {format} is wrong on this machine"
    );
    Ok(())
}

/// Draws boxes and titles on a picture.
fn overlay(size: (u32, u32), each: Duration) -> anyhow::Result<Row> {
    let frame = frame(size, PixelFormat::Bgr888p)?;
    let mut picture = Picture::default();
    Converter::new().picture(&frame, &mut picture)?;
    let mut overlay = Overlay::new(Style::default());
    let bytes = 4 * picture.words().len();
    let timing = beside_memcpy(bytes, each, || {
        overlay.draw(&mut picture, black_box(&frame.detections), None);
        black_box(&mut picture);
    });
    Ok(row("overlay", format!("{} boxes", frame.detections.len()), size, bytes, &timing))
}
