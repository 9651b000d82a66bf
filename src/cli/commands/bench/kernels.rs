//! Measures each stage alone, in memory: parse, convert, overlay.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use oaktap::convert::Converter;
use oaktap::frame::{Frame, Geometry, Interpreter, Overrides, Picture, PixelFormat, Pool, Received};
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

/// Measures each stage for about `each`, with frames of one size. Calls `begins` before each stage.
pub(crate) fn measure(
    size: (u32, u32),
    formats: &[PixelFormat],
    each: Duration,
    mut begins: impl FnMut(&str),
) -> anyhow::Result<Vec<Row>> {
    begins("parse");
    let mut rows = vec![parse(size, each)?];
    for format in formats {
        begins(&format!("convert {format}"));
        rows.push(convert(size, *format, each)?);
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
fn parse(size: (u32, u32), each: Duration) -> anyhow::Result<Row> {
    let mut stream = Stream::new(&config(size, PixelFormat::Bgr888p))?;
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
    Ok(row("parse", PixelFormat::Bgr888p.to_string(), size, message.len(), &timing))
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

/// Converts a payload to 0RGB words.
fn convert(size: (u32, u32), format: PixelFormat, each: Duration) -> anyhow::Result<Row> {
    let frame = frame(size, format)?;
    let mut converter = Converter::new();
    let mut picture = Picture::default();
    converter.picture(&frame, &mut picture).with_context(|| format!("{format} {}x{}", size.0, size.1))?;
    check(&frame, &picture)?;
    let bytes = (frame.payload().len() + 4 * picture.words().len()) / 2;
    let timing = beside_memcpy(bytes, each, || {
        // Cannot fail: the same conversion succeeded above.
        let _ = converter.picture(black_box(&frame), &mut picture);
        black_box(&mut picture);
    });
    Ok(row("convert", format!("{format} to 0RGB"), size, bytes, &timing))
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
