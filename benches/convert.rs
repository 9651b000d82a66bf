//! Compares each conversion of frames with a memcpy in the same run: `cargo bench --bench convert [WORD...]`
//!
//! The memcpy moves as many bytes as the conversion: a conversion that reads 3 bytes per pixel and writes 4 is compared
//! with a copy of 3.5 bytes per pixel, which reads 3.5 and writes 3.5. The two take turns of 1 ms, so that noise of the
//! machine affects both. `ratio` is the median of copy time divided by conversion time over the turns, and `best` the
//! ratio of the shortest times. The result of every conversion is compared with `convert::reference` before it is
//! timed.
//!
//! Runs only the lines whose name contains all words of the command line.

use std::hint::black_box;
use std::time::{Duration, Instant};

use oaktap::convert::{Converter, PackedOrder, Placement, SimdLevel, Yuv420, reference};
use oaktap::frame::{Frame, Geometry, Part, PayloadKind, Picture, PixelFormat};

const SIZES: [(u32, u32); 4] = [(640, 352), (1280, 720), (1920, 1080), (3840, 2160)];
const TURN: Duration = Duration::from_millis(1);
const TURNS: usize = 301;

#[derive(Clone, Copy)]
enum Into {
    Words,
    Packed(PackedOrder),
    Encoder,
}

/// One conversion with its own buffers.
struct Conversion {
    converter: Converter,
    frame: Frame,
    into: Into,
    picture: Picture,
    bytes: Vec<u8>,
    yuv: Yuv420,
}

impl Conversion {
    fn run(&mut self) {
        match self.into {
            Into::Words => self.converter.picture(&self.frame, &mut self.picture).expect("a good frame"),
            Into::Packed(order) => {
                self.converter.packed(&self.frame, order, &mut self.bytes).expect("a good frame");
            }
            Into::Encoder => {
                self.converter.yuv420(&self.frame, &mut self.yuv).expect("a good frame");
            }
        }
    }

    /// Runs the conversion in a way that the compiler cannot optimize away.
    fn run_opaque(&mut self) {
        self.run();
        black_box(self);
    }

    /// Asserts that the last run made the same pixels as the reference.
    fn check(&self, expected: &[[u8; 3]]) {
        match self.into {
            Into::Words => {
                assert!(self.picture.words().iter().copied().eq(expected.iter().copied().map(reference::word)));
            }
            Into::Packed(PackedOrder::Rgb) => assert!(self.bytes == expected.as_flattened()),
            Into::Packed(PackedOrder::Bgr) => {
                let swapped = expected.iter().flat_map(|[r, g, b]| [*b, *g, *r]);
                assert!(self.bytes.iter().copied().eq(swapped));
            }
            Into::Encoder => {
                assert!(self.yuv.planes().concat() == reference::yuv420(expected, self.yuv.size().0));
            }
        }
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn frame(kind: PayloadKind, geometry: Geometry, payload: &[u8]) -> Frame {
    let mut frame = Frame::with_payload(payload.to_vec());
    (frame.kind, frame.geometry) = (kind, Some(geometry));
    frame
}

/// Returns the mean time of a run, in nanoseconds.
fn turn(runs: u32, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..runs {
        run();
    }
    start.elapsed().as_nanos() as f64 / f64::from(runs)
}

fn runs_in_a_turn(mut run: impl FnMut()) -> u32 {
    run();
    let one = turn(3, run);
    (TURN.as_nanos() as f64 / one).ceil().max(1.0) as u32
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn compare(name: &str, traffic: usize, turns: usize, mut convert: impl FnMut()) {
    let source = noise(traffic / 2);
    let mut target = vec![0u8; source.len()];
    let mut copy = || {
        target.copy_from_slice(black_box(&source));
        black_box(&mut target);
    };
    let (copies, conversions) = (runs_in_a_turn(&mut copy), runs_in_a_turn(&mut convert));
    let times: Vec<(f64, f64)> =
        (0..turns).map(|_| (turn(copies, &mut copy), turn(conversions, &mut convert))).collect();
    let least = |of: fn(&(f64, f64)) -> f64| times.iter().map(of).fold(f64::INFINITY, f64::min);
    let took = median(times.iter().map(|(_, conversion)| *conversion).collect());
    println!(
        "{name:<44} {:>9.1} us {:>7.2} GB/s   ratio {:.2}   best {:.2}",
        took / 1e3,
        traffic as f64 / took,
        median(times.iter().map(|(copy, conversion)| copy / conversion).collect()),
        least(|times| times.0) / least(|times| times.1),
    );
}

/// Measures the upper limit for a kernel with the same loads and stores: reads 32 bytes from each of three planes and
/// writes the bytes of 32 pixels, without any computation.
fn limit<const WRITTEN: usize>(wanted: &dyn Fn(&str) -> bool, (width, height): (u32, u32)) {
    let name = format!("limit {width}x{height} 3 -> {}", WRITTEN / 32);
    if !wanted(&name) {
        return;
    }
    let pixels = width as usize * height as usize;
    let planes = noise(3 * pixels);
    let mut out = vec![0u8; WRITTEN / 32 * pixels];
    let traffic = planes.len() + out.len();
    compare(&name, traffic, TURNS, move || {
        let [a, b, c] = [0, 1, 2].map(|plane| black_box(&planes)[plane * pixels..][..pixels].as_chunks::<32>().0);
        for (((out, a), b), c) in out.as_chunks_mut::<WRITTEN>().0.iter_mut().zip(a).zip(b).zip(c) {
            let (parts, _) = out.as_chunks_mut::<32>();
            for (part, from) in parts.iter_mut().zip([a, b, c, a]) {
                *part = *from;
            }
        }
        black_box(&mut out);
    });
}

fn raw(wanted: &dyn Fn(&str) -> bool, format: PixelFormat, (width, height): (u32, u32), level: SimdLevel) {
    for (into, into_name, bytes) in [
        (Into::Words, "u32", 4.0),
        (Into::Packed(PackedOrder::Bgr), "BGR8", 3.0),
        (Into::Packed(PackedOrder::Rgb), "RGB8", 3.0),
        (Into::Encoder, "YUV420", 1.5),
    ] {
        let name = format!("{format} {width}x{height} -> {into_name} {}", level.name());
        // RGB takes as long as BGR, so that only the most common format is measured in both. For encoders, one planar
        // and one interleaved format are enough.
        let redundant = match into {
            Into::Words | Into::Packed(PackedOrder::Bgr) => false,
            Into::Packed(PackedOrder::Rgb) => format != PixelFormat::Bgr888p,
            Into::Encoder => !matches!(format, PixelFormat::Bgr888p | PixelFormat::Bgr888i),
        };
        if !wanted(&name) || redundant {
            continue;
        }
        let geometry = Geometry::tight(format, width, height).expect("a usual size");
        let payload = noise(geometry.byte_len().expect("a raw format"));
        let expected = reference::pixels(&geometry, &payload).expect("a good payload");
        let mut conversion = Conversion {
            converter: Converter::with_level(level),
            frame: frame(PayloadKind::Raw, geometry, &payload),
            into,
            picture: Picture::default(),
            bytes: Vec::new(),
            yuv: Yuv420::default(),
        };
        conversion.run();
        conversion.check(&expected);
        let turns = if format == PixelFormat::Bgr888p { TURNS } else { TURNS / 5 };
        let written = (bytes * expected.len() as f64) as usize;
        compare(&name, payload.len() + written, turns, || conversion.run_opaque());
    }
}

/// Encodes a smooth scene in a good quality.
fn jpeg_file((width, height): (u32, u32)) -> Vec<u8> {
    let scene = image::RgbImage::from_fn(width, height, |x, y| {
        let shade = |scale: f32| (127.0 + 120.0 * (x as f32 / scale).sin() * (y as f32 / 31.0).cos()) as u8;
        image::Rgb([shade(17.0), shade(23.0), shade(41.0)])
    });
    let mut file = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 95);
    scene.write_with_encoder(encoder).expect("the picture can be encoded");
    file
}

fn jpeg(wanted: &dyn Fn(&str) -> bool, (width, height): (u32, u32)) {
    let name = format!("JPEG {width}x{height} -> u32");
    if !wanted(&name) {
        return;
    }
    let file = jpeg_file((width, height));
    let expected = image::load_from_memory(&file).expect("the file is valid").to_rgb8();
    let expected: Vec<[u8; 3]> = expected.pixels().map(|pixel| pixel.0).collect();
    let geometry = Geometry::tight(PixelFormat::Jpeg, width, height).expect("a usual size");
    let mut conversion = Conversion {
        converter: Converter::new(),
        frame: frame(PayloadKind::Jpeg, geometry, &file),
        into: Into::Words,
        picture: Picture::default(),
        bytes: Vec::new(),
        yuv: Yuv420::default(),
    };
    conversion.run();
    conversion.check(&expected);
    compare(&name, file.len() + 4 * expected.len(), 31, || conversion.run_opaque());
}

/// Compares converting all of a frame with converting it to the size of a small tile, in turns.
fn tile(wanted: &dyn Fn(&str) -> bool, format: PixelFormat, payload: &[u8], size: (u32, u32), to: (usize, usize)) {
    let name = format!("tile {format} {}x{} -> {}x{}", size.0, size.1, to.0, to.1);
    if !wanted(&name) {
        return;
    }
    let kind = if format == PixelFormat::Jpeg { PayloadKind::Jpeg } else { PayloadKind::Raw };
    let frame = frame(kind, Geometry::tight(format, size.0, size.1).expect("a usual size"), payload);
    let (mut full, mut small) = ((Converter::new(), Picture::default()), (Converter::new(), Picture::default()));
    let mut convert_full = || {
        full.0.picture(&frame, &mut full.1).expect("a good frame");
        black_box(&mut full.1);
    };
    let place = |of: (usize, usize)| Placement { part: Part::whole(of.0, of.1), size: to };
    let mut convert_small = || {
        small.0.scaled(&frame, place, &mut small.1).expect("a good frame");
        black_box(&mut small.1);
    };
    let (whole, part) = (runs_in_a_turn(&mut convert_full), runs_in_a_turn(&mut convert_small));
    let times: Vec<(f64, f64)> =
        (0..TURNS / 3).map(|_| (turn(whole, &mut convert_full), turn(part, &mut convert_small))).collect();
    let middle = |of: fn(&(f64, f64)) -> f64| median(times.iter().map(of).collect()) / 1e3;
    let (at_full, at_tile) = (middle(|times| times.0), middle(|times| times.1));
    println!("{name:<44} {at_tile:>9.1} us, all of it {at_full:.1} us: {:.1} times less", at_full / at_tile);
}

fn main() {
    // Skips `--bench`, which Cargo adds.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.iter().all(|word| name.contains(word.as_str()));
    println!("GB/s counts the bytes read and written; ratio compares with a memcpy of as many bytes.");
    for level in SimdLevel::available() {
        for size in SIZES {
            raw(&wanted, PixelFormat::Bgr888p, size, level);
        }
    }
    for size in SIZES {
        limit::<128>(&wanted, size);
        limit::<96>(&wanted, size);
    }
    let others =
        PixelFormat::ALL.into_iter().filter(|format| !matches!(format, PixelFormat::Bgr888p | PixelFormat::Jpeg));
    let mosaics = PixelFormat::MOSAICS.into_iter().step_by(4);
    for format in others.chain(mosaics) {
        for size in [SIZES[0], SIZES[2]] {
            for level in SimdLevel::available().into_iter().rev().take(2) {
                raw(&wanted, format, size, level);
            }
        }
    }
    for size in SIZES {
        jpeg(&wanted, size);
    }
    let size = (1920, 1080);
    for format in
        [PixelFormat::Bgr888p, PixelFormat::Bgr888i, PixelFormat::Nv12, PixelFormat::Gray8, PixelFormat::Raw16]
    {
        let len = Geometry::tight(format, size.0, size.1).expect("a usual size").byte_len();
        let payload = noise(len.expect("a raw format"));
        for to in [(240, 135), (640, 360)] {
            tile(&wanted, format, &payload, size, to);
        }
    }
    tile(&wanted, PixelFormat::Jpeg, &jpeg_file(size), size, (240, 135));
}
