use proptest::prelude::*;

use super::*;
use crate::frame::{BayerOrder, MosaicSamples};

/// Returns reproducible pseudo-random bytes.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn frame_of(kind: PayloadKind, geometry: Option<Geometry>, payload: &[u8]) -> Frame {
    let mut frame = Frame::with_payload(payload);
    (frame.kind, frame.geometry) = (kind, geometry);
    frame
}

fn frame(geometry: Geometry, payload: &[u8]) -> Frame {
    frame_of(PayloadKind::Raw, Some(geometry), payload)
}

fn jpeg_frame(file: &[u8]) -> Frame {
    frame_of(PayloadKind::Jpeg, None, file)
}

/// Compares all outputs, on all levels of this processor, with the reference.
fn check(geometry: Geometry, payload: &[u8]) {
    let expected = reference::pixels(&geometry, payload).unwrap();
    let frame = frame(geometry, payload);
    for level in SimdLevel::available() {
        let mut converter = Converter::with_level(level);
        let mut picture = Picture::default();
        converter.picture(&frame, &mut picture).unwrap();
        let words: Vec<u32> = expected.iter().copied().map(reference::word).collect();
        assert!(picture.words() == words, "{geometry} as words, {}", level.name());
        assert_eq!((picture.width, picture.height), (geometry.width as usize, geometry.height as usize));
        let mut bytes = Vec::new();
        let size = converter.packed(&frame, PackedOrder::Rgb, &mut bytes).unwrap();
        assert_eq!(size, (geometry.width, geometry.height));
        assert!(bytes == expected.as_flattened(), "{geometry} as RGB, {}", level.name());
        converter.packed(&frame, PackedOrder::Bgr, &mut bytes).unwrap();
        let swapped: Vec<u8> = expected.iter().flat_map(|[r, g, b]| [*b, *g, *r]).collect();
        assert!(bytes == swapped, "{geometry} as BGR, {}", level.name());
        let mut yuv = Yuv420::default();
        if !matches!(geometry.format, PixelFormat::Yuv420p | PixelFormat::Nv12 | PixelFormat::Nv21) {
            let expected = reference::yuv420(&expected, geometry.width as usize);
            assert_eq!(converter.yuv420(&frame, &mut yuv).unwrap(), size);
            assert_eq!(yuv.size(), (picture.width & !1, picture.height & !1));
            assert!(yuv.planes().concat() == expected, "{geometry} as YUV420, {}", level.name());
        }
        converter.yuv420_of(&picture, &mut yuv);
        let expected = reference::yuv420(&expected, geometry.width as usize);
        assert!(yuv.planes().concat() == expected, "{geometry} as YUV420 via a picture, {}", level.name());
    }
}

fn raw_formats() -> impl Iterator<Item = PixelFormat> {
    PixelFormat::ALL.into_iter().filter(|format| *format != PixelFormat::Jpeg).chain(mosaics())
}

/// All orders of colors, and all kinds of samples.
fn mosaics() -> impl Iterator<Item = PixelFormat> {
    let is_tested = |samples, order| samples == MosaicSamples::Raw8 || order == BayerOrder::Grbg;
    PixelFormat::MOSAICS
        .into_iter()
        .filter(move |format| matches!(*format, PixelFormat::Bayer(samples, order) if is_tested(samples, order)))
}

#[test]
fn all_formats_match_the_reference_at_all_widths() {
    for format in raw_formats() {
        for width in 1..=130 {
            let height = [1, 2, 3, 5][width as usize % 4];
            let tight = Geometry::tight(format, width, height).unwrap();
            check(tight, &noise(tight.byte_len().unwrap(), u64::from(width)));
            let padded = tight.with_stride(tight.stride + 1 + width % 7).unwrap();
            let padded = padded.with_plane_rows(height + width % 3).unwrap();
            check(padded, &noise(padded.layout().unwrap().needed, u64::from(width)));
        }
    }
}

#[test]
fn misaligned_planes_match_the_reference() {
    // With an odd stride and an odd number of rows, every row and every plane starts at another alignment.
    for stride in 97..=97 + 64 {
        for format in [PixelFormat::Bgr888p, PixelFormat::Rgb888p] {
            let geometry = Geometry::tight(format, 97, 3).unwrap().with_stride(stride).unwrap();
            check(geometry, &noise(geometry.byte_len().unwrap(), u64::from(stride)));
        }
    }
}

#[test]
fn kernels_write_exactly_their_output_at_any_alignment() {
    let planes = noise(3 * 200, 1);
    let interleaved = noise(16 + 3 * 130, 2);
    for level in SimdLevel::available() {
        for at in 0..32 {
            for len in 0..=130 {
                let [a, b, c] = [&planes[at..][..len], &planes[200 + at / 2..][..len], &planes[400..][..len]];
                let mut words = vec![7u32; 32 + 130 + 1];
                dispatch::words(level, [a, b, c], &mut words[at..at + len]);
                let mut triples = vec![[7u8; 3]; 32 + 130 + 1];
                dispatch::triples(level, [a, b, c], &mut triples[at..at + len]);
                let triples_in = &interleaved[at / 2..][..3 * len];
                let [mut of_red, mut of_blue] = [(); 2].map(|()| vec![7u32; 32 + 130 + 1]);
                dispatch::words_of(level, PackedOrder::Rgb, triples_in, &mut of_red[at..at + len]);
                dispatch::words_of(level, PackedOrder::Bgr, triples_in, &mut of_blue[at..at + len]);
                for n in 0..words.len() {
                    let inside = (at..at + len).contains(&n).then(|| n - at);
                    let triple = inside.map_or([7; 3], |n| [a[n], b[n], c[n]]);
                    let word = inside.map_or(7, |n| reference::word([c[n], b[n], a[n]]));
                    let pixel = inside.map(|n| [0, 1, 2].map(|byte| triples_in[3 * n + byte]));
                    let expected = pixel.map_or([7; 2], |[a, b, c]| [[a, b, c], [c, b, a]].map(reference::word));
                    assert_eq!([of_red[n], of_blue[n]], expected, "{}, {len} at {at}, {n}", level.name());
                    assert_eq!((words[n], triples[n]), (word, triple), "{}, {len} at {at}, {n}", level.name());
                }
            }
        }
    }
}

#[test]
fn all_chroma_values_match_the_reference() {
    let geometry = Geometry::tight(PixelFormat::Yuv444p, 256, 256).unwrap();
    let (across, down) = ((0..65536).map(|n| n as u8), (0..65536).map(|n| (n >> 8) as u8));
    for luma in (0..=255).step_by(5) {
        let payload: Vec<u8> = std::iter::repeat_n(luma, 65536).chain(across.clone()).chain(down.clone()).collect();
        check(geometry, &payload);
    }
}

#[test]
fn formats_that_are_420_are_copied_without_their_padding() {
    for (width, height) in [(64, 48), (33, 17), (1, 1), (2, 2)] {
        let tight = Geometry::tight(PixelFormat::Yuv420p, width, height).unwrap();
        for geometry in [tight, tight.with_stride(tight.stride + 10).unwrap().with_plane_rows(height + 2).unwrap()] {
            for format in [PixelFormat::Yuv420p, PixelFormat::Nv12, PixelFormat::Nv21] {
                let geometry = Geometry { format, ..geometry };
                let layout = geometry.layout().unwrap();
                let payload = noise(layout.needed, 11);
                let (w, h) = (width as usize / 2 * 2, height as usize / 2 * 2);
                let sample = |plane: usize, x: usize, y: usize| {
                    let plane = layout.planes()[plane];
                    payload[plane.offset + y * plane.stride + x]
                };
                let chroma = |second: bool, x: usize, y: usize| match format {
                    PixelFormat::Yuv420p => sample(1 + usize::from(second), x, y),
                    PixelFormat::Nv12 => sample(1, 2 * x + usize::from(second), y),
                    _ => sample(1, 2 * x + usize::from(!second), y),
                };
                let luma = (0..h).flat_map(|y| (0..w).map(move |x| (x, y))).map(|(x, y)| sample(0, x, y));
                let quarter = || (0..h / 2).flat_map(|y| (0..w / 2).map(move |x| (x, y)));
                let expected: Vec<u8> = luma
                    .chain(quarter().map(|(x, y)| chroma(false, x, y)))
                    .chain(quarter().map(|(x, y)| chroma(true, x, y)))
                    .collect();
                let mut yuv = Yuv420::default();
                let size = Converter::new().yuv420(&frame(geometry, &payload), &mut yuv).unwrap();
                assert_eq!((size, yuv.size()), ((width, height), (w, h)));
                assert!(yuv.planes().concat() == expected, "{geometry}");
            }
        }
    }
}

/// Compares with BT.601 in floating point.
#[test]
fn yuv420_is_bt601_in_video_range() {
    let mut worst = 0.0_f64;
    for color in 0..16_u32.pow(3) {
        let [r, g, b] = [color / 256, color / 16 % 16, color % 16].map(|part| (part * 17) as u8);
        let geometry = Geometry::tight(PixelFormat::Rgb888p, 2, 2).unwrap();
        let payload = [[r; 4], [g; 4], [b; 4]].concat();
        let mut yuv = Yuv420::default();
        Converter::new().yuv420(&frame(geometry, &payload), &mut yuv).unwrap();
        let found = yuv.planes().map(|plane| f64::from(plane[0]));
        let [r, g, b] = [r, g, b].map(|part| f64::from(part) / 255.0);
        let luma = 0.299 * r + 0.587 * g + 0.114 * b;
        let expected = [16.0 + 219.0 * luma, 128.0 + 224.0 * (b - luma) / 1.772, 128.0 + 224.0 * (r - luma) / 1.402];
        for (found, expected) in found.into_iter().zip(expected) {
            worst = worst.max((found - expected).abs());
        }
    }
    assert!(worst < 1.0, "{worst}");
}

#[test]
fn known_pixels_have_known_colors() {
    let one = |format, bytes: &[u8]| {
        let mut picture = Picture::default();
        Converter::new().picture(&frame(Geometry::tight(format, 1, 1).unwrap(), bytes), &mut picture).unwrap();
        picture.words()[0]
    };
    assert_eq!(one(PixelFormat::Bgr888p, &[1, 2, 3]), 0x03_02_01);
    assert_eq!(one(PixelFormat::Rgb888i, &[1, 2, 3]), 0x01_02_03);
    // BT.601 red is Y 81, U 90, V 240.
    assert_eq!(one(PixelFormat::Nv12, &[81, 90, 240]), 0xfe_00_00);
    assert_eq!(one(PixelFormat::Nv21, &[81, 240, 90]), 0xfe_00_00);
    assert_eq!(one(PixelFormat::Yuv420p, &[235, 128, 128]), 0xff_ff_ff);
    assert_eq!(one(PixelFormat::Yuv422i, &[16, 128, 99, 128]), 0);
    assert_eq!(one(PixelFormat::Raw10, &[0xff, 3]), 0xff_ff_ff);
    assert_eq!(one(PixelFormat::GrayF16, &[0x00, 0x38]), 0x80_80_80, "0.5 of 1");
    assert_eq!(one(PixelFormat::GrayF16, &[0x00, 0x58]), 0x80_80_80, "128 of 255");
    assert_eq!(one(PixelFormat::GrayF16, &[0x00, 0x7e]), 0, "not a number");
}

#[test]
fn outliers_do_not_change_the_depth_scale() {
    let geometry = Geometry::tight(PixelFormat::Raw16, 100, 10).unwrap();
    let mut samples = vec![1000u16; 1000];
    samples[0] = 0;
    samples[1] = u16::MAX;
    let payload: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    check(geometry, &payload);
    let mut picture = Picture::default();
    Converter::new().picture(&frame(geometry, &payload), &mut picture).unwrap();
    let last = reference::word(*depth::COLORS.last().unwrap());
    assert_eq!(picture.words()[0], 0);
    assert_eq!(picture.words()[1], last);
    assert_eq!(picture.words()[2], reference::word(depth::COLORS[1000 * 256 / 1024]));
}

#[test]
fn scale_of_depth_ends_at_the_power_of_two_above_99_percent() {
    let geometry = Geometry::tight(PixelFormat::Raw16, 200, 5).unwrap();
    for last in [0, 1, 255, 256, 257, 511, 512, 1023, 1024, 32767, 32768, 65535] {
        // 1000 samples, some not measured, and outliers: at most 1 % of the measured ones are left out.
        for (zeros, outliers) in [(0, 0), (0, 10), (0, 11), (500, 5), (500, 6), (1000, 0), (999, 1)] {
            let samples = (0..1000).map(|n| {
                if n < zeros {
                    0
                } else if n < zeros + outliers {
                    u16::MAX
                } else {
                    last
                }
            });
            check(geometry, &samples.flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
        }
    }
}

#[test]
fn every_sample_of_depth_has_the_color_of_the_reference_at_every_scale() {
    for last in (8..=16).map(|bits| u16::MAX >> (16 - bits)) {
        let geometry = Geometry::tight(PixelFormat::Raw16, 256, 257).unwrap();
        // The last row makes the scale end at `last`, also if the samples before it are outliers.
        let samples = (0..=u16::MAX).map(|sample| sample & last).chain([last; 256]);
        check(geometry, &samples.flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    }
}

#[test]
fn rows_of_depth_of_any_length_are_measured_alike_at_every_level() {
    // More samples than a vector of 16-bit numbers counts.
    for len in (0..70).chain([1_100_000]) {
        for row in [noise(2 * len, 7), vec![0; 2 * len]] {
            let samples = || row.as_chunks().0.iter().map(|sample| u16::from_le_bytes(*sample));
            let (zero, small) = (samples().filter(|s| *s == 0).count(), samples().filter(|s| *s <= 0x7fff).count());
            let expected = (1 + zero as u32, 2 + small as u32, samples().fold(3, u16::max));
            for level in SimdLevel::available() {
                let (mut zeros, mut below, mut max) = (1, 2, 3);
                dispatch::depth_measure(level, 0x7fff, &row, &mut zeros, &mut below, &mut max);
                assert_eq!((zeros, below, max), expected, "{len} samples, {}", level.name());
            }
        }
    }
}

#[test]
fn every_half_float_is_converted_as_the_reference_does_at_every_level() {
    let geometry = Geometry::tight(PixelFormat::GrayF16, 256, 256).unwrap();
    let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let above_one = |bits: u16| bits > 0x3c00 && bits <= 0x7c00;
    let up_to_one: Vec<u8> =
        (0..=u16::MAX).flat_map(|bits| if above_one(bits) { [0; 2] } else { bits.to_le_bytes() }).collect();
    for payload in [all, up_to_one] {
        check(geometry, &payload);
    }
}

#[test]
fn half_floats_switch_to_full_range_after_a_value_above_one() {
    let geometry = Geometry::tight(PixelFormat::GrayF16, 1, 1).unwrap();
    let mut converter = Converter::new();
    let mut shade = |bytes: [u8; 2]| {
        let mut picture = Picture::default();
        converter.picture(&frame(geometry, &bytes), &mut picture).unwrap();
        picture.words()[0] & 0xff
    };
    assert_eq!([[0, 0x3c], [0, 0x40], [0, 0x3c]].map(&mut shade), [255, 2, 1]);
}

#[test]
fn invalid_frames_are_errors() {
    let mut picture = Picture::default();
    let mut converter = Converter::new();
    let mut error = |frame: &Frame| converter.picture(frame, &mut picture).unwrap_err().to_string();
    assert_eq!(error(&Frame::default()), "cannot convert 0 bytes of unknown layout; set --size WxH and --format NAME");
    let good = Geometry::tight(PixelFormat::Bgr888p, 4, 2).unwrap();
    assert_eq!(error(&frame(good, &[0; 23])), "4x2 BGR888p needs 24 bytes, but the payload has 23");
    for geometry in [
        Geometry { width: 0, ..good },
        Geometry { height: 0, ..good },
        Geometry { stride: 3, ..good },
        Geometry { plane_rows: 1, ..good },
        Geometry { width: u32::MAX, height: u32::MAX, stride: u32::MAX, plane_rows: u32::MAX, ..good },
    ] {
        error(&frame(geometry, &[0; 24]));
    }
    assert_eq!(error(&frame_of(PayloadKind::H264, None, &[0, 0, 1])), "H264 video has no pixels before it is decoded");
    assert!(error(&jpeg_frame(&[])).starts_with("cannot decode JPEG: "));
}

/// Encodes a smooth picture as JPEG.
fn jpeg(width: u32, height: u32, gray: bool) -> Vec<u8> {
    let mut file = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 90);
    let shade = |x: u32, y: u32| (x * 255 / width.max(2)) as u8 ^ ((y * 40 / height) as u8);
    if gray {
        image::GrayImage::from_fn(width, height, |x, y| image::Luma([shade(x, y)])).write_with_encoder(encoder)
    } else {
        image::RgbImage::from_fn(width, height, |x, y| image::Rgb([shade(x, y), 128, 255 - shade(y, x)]))
            .write_with_encoder(encoder)
    }
    .unwrap();
    file
}

#[test]
fn jpegs_match_another_decoder() {
    for gray in [false, true] {
        for (width, height) in [(1, 1), (7, 3), (64, 48), (130, 97)] {
            let file = jpeg(width, height, gray);
            let expected = image::load_from_memory(&file).unwrap().to_rgb8();
            let mut bytes = Vec::new();
            let mut converter = Converter::new();
            converter.packed(&jpeg_frame(&file), PackedOrder::Rgb, &mut bytes).unwrap();
            let far = bytes.iter().zip(expected.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(bytes.len() == expected.as_raw().len() && far <= Some(6), "{width}x{height}: {far:?}");
            let mut picture = Picture::default();
            converter.picture(&jpeg_frame(&file), &mut picture).unwrap();
            assert_eq!((picture.width, picture.height), (width as usize, height as usize));
            let words: Vec<u32> = bytes.as_chunks().0.iter().map(|rgb| reference::word(*rgb)).collect();
            assert_eq!(picture.words(), words);
        }
    }
}

#[test]
fn jpegs_without_their_end_are_rejected() {
    let convert = |file: &[u8]| Converter::new().picture(&jpeg_frame(file), &mut Picture::default());
    for (width, height, gray) in [(64, 48, false), (640, 352, false), (300, 400, true)] {
        let file = jpeg(width, height, gray);
        for zeros in [0, 1, 100] {
            convert(&[&file[..], &vec![0; zeros]].concat()).expect("padded after its end");
        }
        let scan = memchr::memmem::find(&file, &[0xff, 0xda]).expect("a scan") + 14;
        for percent in [0, 1, 10, 50, 75] {
            let cut = &file[..scan + (file.len() - scan) * percent / 100];
            let error = convert(cut).expect_err("no end");
            assert!(
                matches!(error, ConvertError::JpegCutShort(JpegDefect::CutShort { file }) if file == cut.len()),
                "{error}"
            );
        }
        convert(&file[..file.len() - 1]).expect_err("half an end");
    }
}

#[test]
fn smaller_jpeg_after_a_larger_one_has_its_own_size() {
    let mut converter = Converter::new();
    let mut bytes = Vec::new();
    for (width, height) in [(130, 97), (16, 16), (64, 48)] {
        let size = converter.packed(&jpeg_frame(&jpeg(width, height, false)), PackedOrder::Rgb, &mut bytes).unwrap();
        assert_eq!((size, bytes.len() as u32), ((width, height), width * height * 3));
    }
}

#[test]
fn buffers_are_reused_between_frames() {
    let geometry = Geometry::tight(PixelFormat::GrayF16, 64, 48).unwrap();
    let frames = [frame(geometry, &noise(geometry.byte_len().unwrap(), 1)), jpeg_frame(&jpeg(64, 48, false))];
    let (mut converter, mut picture, mut bytes) = (Converter::new(), Picture::default(), Vec::new());
    let mut addresses = |frame: &Frame| {
        converter.picture(frame, &mut picture).unwrap();
        converter.packed(frame, PackedOrder::Rgb, &mut bytes).unwrap();
        let (halves, rgb) = (converter.halves.bytes(), converter.jpeg.rgb());
        (picture.words().as_ptr(), bytes.as_ptr(), halves.as_ptr(), rgb.as_ptr())
    };
    let _grown = frames.each_ref().map(&mut addresses);
    let first = addresses(&frames[0]);
    for _ in 0..3 {
        for frame in &frames {
            assert_eq!(addresses(frame), first);
        }
    }
}

#[test]
fn oversized_jpegs_are_rejected_before_allocating() {
    let mut file = jpeg(16, 16, false);
    let sof = file.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    for claim in [[0xff, 0xdc, 0xff, 0xdc], [0x10, 0, 0x10, 0]] {
        file[sof + 5..sof + 9].copy_from_slice(&claim);
        let error = Converter::new().picture(&jpeg_frame(&file), &mut Picture::default()).unwrap_err();
        assert!(matches!(error, ConvertError::JpegTooLarge { .. }), "{error}");
    }
}

/// Converts a part of a frame to a size.
fn shown(converter: &mut Converter, frame: &Frame, part: Part, size: (usize, usize)) -> Picture {
    let mut picture = Picture::default();
    converter.scaled(frame, |of| Placement { part: Part { of, ..part }, size }, &mut picture).unwrap();
    assert_eq!(((picture.width, picture.height), picture.frame_id), (size, frame.id));
    picture
}

#[test]
fn a_cropped_picture_has_the_pixels_of_the_reference() {
    let (width, height) = (67, 41);
    for format in raw_formats() {
        let geometry = Geometry::tight(format, width, height).unwrap();
        let geometry = geometry.with_stride(geometry.stride + 12).unwrap();
        let payload = noise(geometry.byte_len().unwrap(), 5);
        let expected = reference::pixels(&geometry, &payload).unwrap();
        let part = Part { x: 11.0, y: 7.0, width: 32.0, height: 20.0, ..Part::default() };
        for level in SimdLevel::available() {
            let picture = shown(&mut Converter::with_level(level), &frame(geometry, &payload), part, (32, 20));
            for (at, word) in picture.words().iter().enumerate() {
                let (x, y) = (11 + at % 32, 7 + at / 32);
                let expected = reference::word(expected[y * width as usize + x]);
                assert_eq!(*word, expected, "{format} at {x},{y}, {}", level.name());
            }
        }
    }
}

#[test]
fn a_jpeg_scaled_to_a_part_shows_that_part() {
    let (width, height) = (643, 355);
    let share = |at: u32, of: u32| (at * 255 / (of - 1)) as u8;
    let mut file = Vec::new();
    image::RgbImage::from_fn(width, height, |x, y| image::Rgb([share(x, width), share(y, height), 77]))
        .write_with_encoder(image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, 95))
        .unwrap();
    let all = Part::whole(width as usize, height as usize);
    let middle = Part { x: 200.0, y: 101.0, width: 320.0, height: 160.0, ..all };
    for (part, size) in [(all, (320, 176)), (all, (160, 88)), (all, (70, 40)), (middle, (160, 80)), (middle, (37, 19))]
    {
        let picture = shown(&mut Converter::new(), &jpeg_frame(&file), part, size);
        assert_eq!((picture.part, picture.width, picture.height), (part, size.0, size.1));
        for (at, word) in picture.words().iter().enumerate() {
            let middle = |at: usize, from: f64, len: f64, size: usize| from + (at as f64 + 0.5) * len / size as f64;
            let (x, y) = (at % size.0, at / size.0);
            let red = middle(x, part.x, part.width, size.0) / f64::from(width) * 255.0;
            let green = middle(y, part.y, part.height, size.1) / f64::from(height) * 255.0;
            let [_, r, g, b] = word.to_be_bytes().map(f64::from);
            let far = [r - red, g - green, b - 77.0];
            assert!(far.iter().all(|far| far.abs() <= 6.0), "{far:?} at {x},{y} of {size:?}, {part:?}");
        }
    }
}

#[test]
fn a_scaled_gradient_stays_a_gradient() {
    let (width, height) = (1920, 1080);
    let geometry = Geometry::tight(PixelFormat::Bgr888p, width, height).unwrap();
    let across = |x: u32| (x * 255 / (width - 1)) as u8;
    let down = |y: u32| (y * 255 / (height - 1)) as u8;
    let plane = |of: &dyn Fn(u32, u32) -> u8| -> Vec<u8> {
        (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| of(x, y)).collect()
    };
    let payload = [plane(&|x, _| across(x)), plane(&|_, y| down(y)), plane(&|_, _| 77)].concat();
    let frame = frame(geometry, &payload);
    let whole = Part::whole(width as usize, height as usize);
    for size in [(240, 135), (1919, 1079), (480, 270), (2600, 1462), (1, 1)] {
        let picture = shown(&mut Converter::new(), &frame, whole, size);
        for (at, word) in picture.words().iter().enumerate() {
            let middle = |at: usize, size: usize| (at as f64 + 0.5) / size as f64 * 255.0;
            let [_, red, green, blue] = word.to_be_bytes().map(f64::from);
            let (x, y) = (at % size.0, at / size.0);
            let far = [red - 77.0, green - middle(y, size.1), blue - middle(x, size.0)];
            assert!(far.iter().all(|far| far.abs() <= 2.0), "{word:06x} at {x},{y} of {size:?}");
        }
    }
}

#[test]
fn every_format_scales_to_the_means_of_its_pixels() {
    let (width, height) = (160, 96);
    for format in raw_formats().filter(|format| *format != PixelFormat::Raw16) {
        let geometry = Geometry::tight(format, width, height).unwrap();
        // The same in blocks of 8x8 pixels, so that every sample of a block has the color of the block.
        let mut payload = noise(geometry.byte_len().unwrap(), 9);
        let layout = geometry.layout().unwrap();
        for plane in layout.planes() {
            let row = (plane.row / 20).max(1);
            for y in 0..plane.rows {
                let block = y / (plane.rows / 12).max(1);
                for x in 0..plane.row {
                    payload[plane.offset + y * plane.stride + x] = (block * 31 + x / row * 17) as u8;
                }
            }
        }
        let frame = frame(geometry, &payload);
        let full = shown(&mut Converter::new(), &frame, Part::whole(160, 96), (160, 96));
        let small = shown(&mut Converter::new(), &frame, Part::whole(160, 96), (20, 12));
        for (at, word) in small.words().iter().enumerate() {
            let (x, y) = (at % 20 * 8, at / 20 * 8);
            let four = [(2, 2), (6, 2), (2, 6), (6, 6)].map(|(dx, dy)| full.words()[(y + dy) * 160 + x + dx]);
            for byte in 0..4 {
                let mean = four.iter().map(|word| u32::from(word.to_be_bytes()[byte])).sum::<u32>().div_ceil(4);
                // Means of luma and chroma are rounded before they become colors.
                let near = u32::from(word.to_be_bytes()[byte]).abs_diff(mean) <= 3;
                let clipped = four.iter().any(|word| [0, 255].contains(&word.to_be_bytes()[byte]));
                assert!(near || clipped, "{format} {word:06x} {four:06x?} at {x},{y}");
            }
        }
    }
}

#[test]
fn pixels_have_values_in_the_range_of_their_format() {
    let value = |format, bytes: &[u8], at| {
        Converter::new().value(&frame(Geometry::tight(format, 2, 1).unwrap(), bytes), at).unwrap()
    };
    assert_eq!(value(PixelFormat::Bgr888p, &[1, 2, 3, 4, 5, 6], (1, 0)), PixelValue::Color([6, 4, 2]));
    assert_eq!(value(PixelFormat::Gray8, &[7, 8], (0, 0)), PixelValue::Gray(7));
    assert_eq!(value(PixelFormat::Raw12, &[0, 0, 0xff, 0x0f], (1, 0)), PixelValue::Gray(4095));
    assert_eq!(value(PixelFormat::Raw16, &[0, 0, 0xd2, 4], (1, 0)), PixelValue::Depth(1234));
    assert_eq!(value(PixelFormat::Gray8, &[7, 8], (9, 9)), PixelValue::Gray(8), "clamped");
    let texts = [PixelValue::Depth(1234), PixelValue::Depth(0), PixelValue::Gray(7), PixelValue::Color([1, 2, 3])];
    let expected = ["1234 (1.23 m if depth)", "not measured", "gray 7", "rgb 1 2 3"];
    assert_eq!(texts.map(|value| value.to_string()), expected);
}

#[test]
fn mosaics_of_one_color_have_it_at_every_size() {
    for (width, height) in [(97, 33), (64, 48), (3, 2), (2, 3)] {
        for format in mosaics().filter(|format| matches!(format, PixelFormat::Bayer(MosaicSamples::Raw8, _))) {
            let PixelFormat::Bayer(_, order) = format else { panic!("{format} is a mosaic") };
            let (red_x, red_y) = order.red();
            let samples = (0..width * height).map(|at| {
                let (x, y) = ((at % width) as usize, (at / width) as usize);
                [200, 90, 30][usize::from(x % 2 != red_x) + usize::from(y % 2 != red_y)]
            });
            let payload: Vec<u8> = samples.collect();
            let frame = frame(Geometry::tight(format, width, height).unwrap(), &payload);
            let whole = Part::whole(width as usize, height as usize);
            for size in [(1, 1), (2, 1), (17, 9), (48, 17), (60, 40), (width as usize, height as usize), (250, 300)] {
                let picture = shown(&mut Converter::new(), &frame, whole, size);
                assert!(picture.words().iter().all(|word| *word == 0xc8_5a_1e), "{format} {width}x{height}, {size:?}");
            }
        }
    }
}

#[test]
fn an_edge_in_a_mosaic_is_sharp_to_one_pixel() {
    // Black left of column 4, white from there.
    let geometry = Geometry::tight("RAW8:RGGB".parse().unwrap(), 8, 4).unwrap();
    let payload: Vec<u8> = (0..32).map(|at| if at % 8 < 4 { 0 } else { 255 }).collect();
    let mut bytes = Vec::new();
    Converter::new().packed(&frame(geometry, &payload), PackedOrder::Rgb, &mut bytes).unwrap();
    let row: Vec<[u8; 3]> = bytes.as_chunks().0[8..16].to_vec();
    // The second row is green and blue in turn: red and green of column 3, and blue of column 4, are means across the edge.
    let (black, white) = ([0; 3], [255; 3]);
    assert_eq!(row, [black, black, black, [128, 64, 0], [255, 255, 128], white, white, white]);
}

#[test]
fn depth_is_not_averaged() {
    let geometry = Geometry::tight(PixelFormat::Raw16, 64, 48).unwrap();
    let samples = (0..64 * 48).map(|at| if (at + at / 64) % 2 == 0 { 0u16 } else { 1000 });
    let payload: Vec<u8> = samples.flat_map(u16::to_le_bytes).collect();
    let picture = shown(&mut Converter::new(), &frame(geometry, &payload), Part::whole(64, 48), (16, 12));
    let near = reference::word(depth::COLORS[1000 * 256 / 1024]);
    assert!(picture.words().iter().all(|word| [0, near].contains(word)), "{:06x?}", picture.words());
}

#[test]
fn enlarged_pictures_interpolate_and_then_show_pixels() {
    let geometry = Geometry::tight(PixelFormat::Gray8, 4, 1).unwrap();
    let frame = frame(geometry, &[0, 0x80, 0, 0x80]);
    let gray = |picture: &Picture| picture.words().iter().map(|word| word & 255).collect::<Vec<_>>();
    let twice = shown(&mut Converter::new(), &frame, Part::whole(4, 1), (8, 1));
    assert_eq!(gray(&twice), [0, 0x20, 0x60, 0x60, 0x20, 0x20, 0x60, 0x80]);
    let blocks = shown(&mut Converter::new(), &frame, Part::whole(4, 1), (20, 5));
    assert_eq!(gray(&blocks)[..20], [[0; 5], [0x80; 5], [0; 5], [0x80; 5]].concat());
    // Only pixels around the part are read.
    let part = Part { x: 1.0, width: 2.0, ..Part::whole(4, 1) };
    assert_eq!(gray(&shown(&mut Converter::new(), &frame, part, (4, 2)))[..4], [0x60, 0x60, 0x20, 0x20]);
}

proptest! {
    #[test]
    fn arbitrary_geometries_and_payloads_do_not_panic(
        format in prop::sample::select(PixelFormat::ALL.into_iter().chain(mosaics()).collect::<Vec<_>>()),
        width in prop_oneof![0..200u32, any::<u32>()],
        height in prop_oneof![0..9u32, any::<u32>()],
        stride in prop_oneof![0..900u32, any::<u32>()],
        plane_rows in prop_oneof![0..20u32, any::<u32>()],
        len in 0..5000usize,
        kind in prop_oneof![Just(PayloadKind::Raw), Just(PayloadKind::Jpeg)],
    ) {
        let geometry = Geometry { format, width, height, stride, plane_rows };
        let frame = frame_of(kind, Some(geometry), &noise(len, 3));
        let done = Converter::new().picture(&frame, &mut Picture::default());
        prop_assert_eq!(done.is_ok(), kind == PayloadKind::Raw && geometry.layout_in(len).is_ok());
    }

    #[test]
    fn arbitrary_parts_and_sizes_do_not_panic(
        format in prop::sample::select(raw_formats().collect::<Vec<_>>()),
        of in (1..70u32, 1..70u32),
        part in prop::array::uniform4(prop_oneof![-9.0..80.0f64, any::<f64>()]),
        size in (0..90usize, 0..90usize),
    ) {
        let geometry = Geometry::tight(format, of.0, of.1).unwrap();
        let frame = frame(geometry, &noise(geometry.byte_len().unwrap(), 3));
        let [x, y, width, height] = part;
        let part = Part { x, y, width, height, ..Part::default() };
        prop_assert_eq!(shown(&mut Converter::new(), &frame, part, size).words().len(), size.0 * size.1);
    }

    #[test]
    fn damaged_jpegs_do_not_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut file = jpeg(33, 17, false);
        for (at, with) in flips {
            let at = at.index(file.len());
            file[at] ^= with;
        }
        if is_cut {
            file.truncate(cut.index(file.len()));
        }
        let mut picture = Picture::default();
        if Converter::new().picture(&jpeg_frame(&file), &mut picture).is_ok() {
            prop_assert_eq!(picture.words().len(), picture.width * picture.height);
        }
    }
}
