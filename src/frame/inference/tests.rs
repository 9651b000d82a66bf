//! Tests of the inference.

use super::sizes::{COMMON_SIZES, RARE_SIZES};
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
         352x640 BGR888p or 640x352 BGR888i or 352x640 BGR888i; if colors are wrong, try --format RGB888p"
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
    assert_eq!(interpreted(Some((600, 352)), Some(PixelFormat::Bgr888p), Some(640)), "600x352 BGR888p (stride 640)");
    assert_eq!(interpreted(Some((630, 352)), None, None), "630x352 BGR888p (stride 640)");
}

#[test]
fn contradicting_options_are_reported_with_both_lengths() {
    let mut interpreter = overridden(Some((640, 400)), Some(PixelFormat::Nv12), None);
    assert_eq!(interpreter.interpret(&vec![0; 675_840]), (PayloadKind::Raw, None));
    assert_eq!(
        interpreter.because(),
        "--size 640x400 --format NV12: 640x400 NV12 has 384000 bytes, but the payload has 675840; \
         without these options it is taken as 640x352 BGR888p"
    );
    let mut interpreter = overridden(Some((640, 400)), None, None);
    assert_eq!(interpreter.interpret(&vec![0; 675_840]).0, PayloadKind::Raw);
    assert_eq!(
        interpreter.because(),
        "--size 640x400: the picture has 768000 bytes as BGR888p, 768000 bytes as BGR888i, 384000 bytes as NV12, \
         256000 bytes as GRAY8, 512000 bytes as RAW16, but the payload has 675840; without these options it is taken as \
         640x352 BGR888p"
    );
    let mut interpreter = overridden(Some((0, 0)), None, Some(u32::MAX));
    assert_eq!(interpreter.interpret(&[0; 100]), (PayloadKind::Raw, None));
}

#[test]
fn options_change_the_announcement_where_the_length_allows() {
    use PixelFormat::*;
    let announced = Geometry::tight(Rgb888p, 352, 640).unwrap();
    let stated = |size, format, stride, len: usize| {
        let mut interpreter = overridden(size, format, stride);
        interpreter.announce(announced);
        let mut frame = Frame::with_payload(vec![0; len]);
        interpreter.interpret_frame(&mut frame);
        (
            frame.geometry.map(|geometry| geometry.to_string()).unwrap_or_default(),
            frame.disputed,
            frame.because.to_string(),
        )
    };
    for (size, format, stride, found, because) in [
        (None, None, None, "352x640 RGB888p", ", as announced by the stream"),
        (Some((352, 640)), Some(Rgb888p), None, "352x640 RGB888p", ", as announced by the stream"),
        (
            Some((640, 352)),
            None,
            None,
            "640x352 RGB888p",
            " (--size 640x352), although the stream announces 352x640 RGB888p",
        ),
        (
            None,
            Some(Bgr888i),
            None,
            "352x640 BGR888i",
            " (--format BGR888i), although the stream announces 352x640 RGB888p",
        ),
        (
            Some((640, 480)),
            None,
            None,
            "352x640 RGB888p",
            ", as announced by the stream; --size 640x480 does not match that length and is ignored",
        ),
        (
            None,
            Some(Nv12),
            None,
            "352x640 RGB888p",
            ", as announced by the stream; --format NV12 does not match that length and is ignored",
        ),
        (
            None,
            None,
            Some(8),
            "352x640 RGB888p",
            ", as announced by the stream; --stride 8 does not match that length and is ignored",
        ),
    ] {
        let (geometry, disputed, text) = stated(size, format, stride, 675_840);
        assert_eq!(geometry, found);
        assert_eq!(disputed, because != ", as announced by the stream", "{text}");
        assert!(text.ends_with(because), "{text}");
    }
    assert_eq!(stated(None, None, Some(512), 3 * 512 * 640).0, "352x640 RGB888p (stride 512)");
}

#[test]
fn exchanged_width_and_height_are_noticed() {
    let picture = Geometry::tight(PixelFormat::Bgr888p, 640, 352).unwrap();
    let upright = Geometry::tight(PixelFormat::Bgr888p, 352, 640).unwrap();
    let note = "; its rows are much more similar as 640x352: try --size 640x352";
    let mut frame = Frame::with_payload(scene(picture));
    let mut check = |mut interpreter: Interpreter, expected: Geometry, is_noticed: bool| {
        interpreter.interpret_frame(&mut frame);
        let size = frame.geometry.map(|found| (found.width, found.height));
        let expected = (expected.width, expected.height);
        assert_eq!((size, frame.disputed), (Some(expected), is_noticed), "{}", frame.because);
        assert_eq!(frame.because.ends_with(note), is_noticed, "{}", frame.because);
        assert!(!is_noticed || frame.layout_note().is_some_and(|text| text.ends_with(note)));
    };
    check(overridden(Some((352, 640)), None, None), upright, true);
    check(overridden(Some((352, 640)), Some(PixelFormat::Bgr888p), None), upright, true);
    check(overridden(Some((640, 352)), None, None), picture, false);
    check(Interpreter::default(), picture, false);
    for (announced, is_noticed) in [(upright, true), (picture, false)] {
        let mut interpreter = Interpreter::default();
        interpreter.announce(announced);
        check(interpreter, announced, is_noticed);
    }
    let mut dark = Frame::with_payload(vec![16; 675_840]);
    overridden(Some((352, 640)), None, None).interpret_frame(&mut dark);
    assert!(!dark.disputed, "{}", dark.because);
}

#[test]
fn packed_422_is_not_taken_for_16_bits() {
    let picture = |width: usize, height: usize, (u, v): (u8, u8), contrast: usize| -> Vec<u8> {
        let shade = |x: usize, y: usize| (60 + (x * contrast / width) + y * contrast / height) as u8;
        let chroma = |c: u8, x: usize| c.saturating_add((x * 8 / width) as u8);
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        pixels.flat_map(|(x, y)| [shade(x, y), chroma(if x % 2 == 0 { u } else { v }, x)]).collect()
    };
    for (width, height) in [(640, 352), (640, 480), (416, 416), (640, 400), (300, 300), (512, 288), (360, 640)] {
        for chroma in [(128, 128), (90, 160), (150, 110)] {
            for contrast in [0, 60] {
                let found = guessed(&picture(width, height, chroma, contrast));
                let upright = format!("{height}x{width} YUV422i");
                let flat = contrast == 0 && found == upright;
                assert!(found == format!("{width}x{height} YUV422i") || flat, "{width}x{height} {chroma:?}: {found}");
            }
        }
    }
    for (format, width, height) in [(PixelFormat::Raw16, 640, 352), (PixelFormat::Raw16, 640, 400)] {
        let geometry = Geometry::tight(format, width, height).unwrap();
        assert_eq!(guessed(&scene(geometry)), geometry.to_string());
    }
}

#[test]
fn one_known_size_is_a_weak_guess_if_others_fit() {
    // A flat picture of 128x96 NV12, which is not in the tables.
    let mut frame = Frame::with_payload([vec![100; 128 * 96], [90, 160].repeat(128 * 24)].concat());
    Interpreter::default().interpret_frame(&mut frame);
    assert_eq!(frame.guess, Some(Guess::ByLength), "{}", frame.because);
    let note = frame.layout_note().unwrap();
    assert!(note.contains("--size WxH") && note.contains("--format "), "{note}");
    assert!(!frame.because.contains("only common size and format"), "{}", frame.because);
}

#[test]
fn a_payload_of_another_length_than_announced_is_inferred() {
    let mut interpreter = overridden(Some((640, 352)), None, None);
    let announced = Geometry::tight(PixelFormat::Rgb888p, 352, 640).unwrap();
    interpreter.announce(announced);
    let half = interpreter.interpret(&vec![0; 337_920]).1.unwrap();
    assert_eq!(half.to_string(), "640x352 NV12");
    assert!(
        interpreter.because().starts_with("the stream announces 352x640 RGB888p, which does not match 337920 bytes;")
    );
}

/// A sender that rounds the height it announces, and whose first pictures are of one color.
#[test]
fn an_announced_height_that_does_not_match_is_corrected() {
    for (announced, sent) in
        [((160, 95), (160, 96)), ((640, 350), (640, 352)), ((640, 360), (640, 352)), ((320, 240), (320, 200))]
    {
        for format in [PixelFormat::Bgr888p, PixelFormat::Gray8, PixelFormat::Raw16, PixelFormat::Rgba8888] {
            let stated = Geometry::tight(format, announced.0, announced.1).unwrap();
            let expected = Geometry::tight(format, sent.0, sent.1).unwrap();
            let mut interpreter = Interpreter::default();
            interpreter.announce(stated);
            let found = interpreter.interpret(&vec![90; expected.byte_len().unwrap()]).1;
            assert_eq!(found, Some(expected), "{announced:?} {format}");
            let because = interpreter.because();
            assert!(because.starts_with(&format!("the stream announces {stated}, which does not match")), "{because}");
            assert!(because.ends_with("with the announced width and format"), "{because}");
        }
    }
    // The size is right, and the format is not.
    let mut interpreter = Interpreter::default();
    interpreter.announce(Geometry::tight(PixelFormat::Nv12, 640, 352).unwrap());
    assert_eq!(interpreter.interpret(&vec![90; 640 * 352]).1.unwrap().to_string(), "640x352 GRAY8");
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
    let corrected = Geometry { format: PixelFormat::Bgr888p, ..stored };
    interpreter.restore(corrected);
    interpreter.announce(stored);
    let text = "675840 bytes are 352x640 BGR888p, as stored in the recording";
    assert_eq!(because(&mut interpreter), (Some(corrected), text.to_owned()), "the recorded correction is kept");
    interpreter.announce(stored);
    assert_eq!(because(&mut interpreter).0, Some(stored), "it holds for one payload");
    interpreter.decoded(corrected);
    let text = "675840 bytes are 352x640 BGR888p, as decoded from a PNG file";
    assert_eq!(because(&mut interpreter), (Some(corrected), text.to_owned()));
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
    assert_eq!(raw.interpret(&file).1.unwrap().format, PixelFormat::Bgr888p);
}

#[test]
fn size_of_video_is_kept_while_another_stream_sends_pixels() {
    const DELTA: &[u8] = &[0, 0, 0, 1, 0x61, 0x9a, 0x24];
    let mut interpreter = Interpreter::default();
    interpreter.announce_video(None, PayloadKind::H264, Size::new(64, 48));
    let mut size = |stream: Option<&str>, payload: &[u8]| {
        let mut frame = Frame { stream: stream.map(Into::into), ..Frame::with_payload(payload) };
        interpreter.interpret_frame(&mut frame);
        (frame.kind, frame.video_size)
    };
    let pixels = vec![7; 64 * 48 * 3];
    for _ in 0..3 {
        assert_eq!(size(None, DELTA), (PayloadKind::H264, Some(Size::new(64, 48))));
        assert_eq!(size(Some("depth"), &pixels), (PayloadKind::Raw, None));
    }
    assert_eq!(size(Some("side"), DELTA), (PayloadKind::H264, None), "another stream of video");
}
