//! Tries the inference with all common sizes, formats and kinds of pictures.

use super::*;
use crate::frame::Guess;

/// Sizes of cameras and of networks, from small ones to Full HD, in landscape.
const SIZES: [(u32, u32); 45] = [
    (256, 192),
    (320, 180),
    (320, 192),
    (320, 200),
    (320, 240),
    (320, 320),
    (256, 256),
    (224, 224),
    (300, 300),
    (384, 288),
    (400, 300),
    (416, 256),
    (416, 320),
    (416, 416),
    (448, 448),
    (480, 270),
    (480, 320),
    (480, 360),
    (480, 480),
    (512, 288),
    (512, 320),
    (512, 384),
    (512, 512),
    (544, 320),
    (640, 352),
    (640, 360),
    (640, 384),
    (640, 400),
    (640, 480),
    (640, 640),
    (672, 384),
    (800, 480),
    (800, 600),
    (848, 480),
    (960, 540),
    (960, 544),
    (1024, 576),
    (1024, 768),
    (1280, 720),
    (1280, 736),
    (1280, 800),
    (1280, 960),
    (1280, 1024),
    (1440, 1080),
    (1920, 1080),
];

/// Kinds of pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Content {
    Across,
    Down,
    Diagonal,
    /// Each channel another gradient.
    Mixed,
    /// A gradient with sensor noise.
    Grainy,
    /// Rectangles of one color each.
    Flat,
    /// The left half dark, the right half bright.
    Halves,
    /// Faint shapes near black.
    Dim,
    Noise,
    Black,
}

const CONTENTS: [Content; 10] = {
    use Content::*;
    [Across, Down, Diagonal, Mixed, Grainy, Flat, Halves, Dim, Noise, Black]
};

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(limit)) as u32
    }
}

/// Draws three channels of a picture.
fn draw(content: Content, (width, height): (u32, u32), random: &mut Random) -> [Vec<u8>; 3] {
    let (w, h) = (width, height);
    let rectangles: Vec<_> = (0..12)
        .map(|_| {
            let (x, y) = (random.below(w), random.below(h));
            let corner = (x + w / 8 + random.below(w / 3), y + h / 8 + random.below(h / 3));
            ((x, y), corner, [random.below(256), random.below(256), random.below(256)])
        })
        .collect();
    let ramp = |at: u32, side: u32| 255 * at / (side - 1);
    [0, 1, 2].map(|channel| {
        let mut plane = Vec::with_capacity((w * h) as usize);
        for y in 0..h {
            for x in 0..w {
                let inside = |((x0, y0), (x1, y1), _): &&((u32, u32), (u32, u32), [u32; 3])| {
                    (*x0..*x1).contains(&x) && (*y0..*y1).contains(&y)
                };
                let over = || rectangles.iter().rfind(inside).map(|(.., color)| color[channel]);
                let value = match content {
                    Content::Across => [ramp(x, w), 255 - ramp(x, w), ramp(x, w) / 2][channel],
                    Content::Down => [ramp(y, h), 255 - ramp(y, h), ramp(y, h) / 2 + 20][channel],
                    Content::Diagonal => (ramp(x, w) + ramp(y, h)) / 2,
                    Content::Mixed => [ramp(x, w), ramp(y, h), 128][channel],
                    Content::Grainy => (ramp(x, w) / 2 + ramp(y, h) / 4 + 20 * channel as u32) + random.below(9),
                    Content::Flat => over().unwrap_or(90),
                    Content::Halves => {
                        if x < w / 2 {
                            30
                        } else {
                            200
                        }
                    }
                    Content::Dim => over().unwrap_or(60) / 24 + random.below(2),
                    Content::Noise => random.below(256),
                    Content::Black => 0,
                };
                plane.push(value.min(255) as u8);
            }
        }
        plane
    })
}

/// Arranges three channels in a format: as blue, green and red, or as luma and chroma, which is as smooth.
fn arrange([b, g, r]: &[Vec<u8>; 3], format: PixelFormat, (width, height): (u32, u32)) -> Vec<u8> {
    match format {
        PixelFormat::Bgr888p => [&b[..], g, r].concat(),
        PixelFormat::Bgr888i => b.iter().zip(g).zip(r).flat_map(|((b, g), r)| [*b, *g, *r]).collect(),
        PixelFormat::Gray8 => g.clone(),
        PixelFormat::Raw16 => {
            let samples = g.iter().map(|g| u16::from(*g) << 4 | u16::from(*g >> 4));
            samples.flat_map(u16::to_le_bytes).collect()
        }
        PixelFormat::Nv12 => {
            let mut bytes = g.clone();
            for y in (0..height as usize).step_by(2) {
                for x in (0..width as usize).step_by(2) {
                    let at = y * width as usize + x;
                    bytes.extend([b[at] / 2 + 64, 192 - r[at] / 2]);
                }
            }
            bytes
        }
        other => panic!("{other} is not drawn"),
    }
}

fn fits_format(format: PixelFormat, (width, height): (u32, u32)) -> bool {
    format != PixelFormat::Nv12 || width % 2 + height % 2 == 0
}

#[test]
fn common_sizes_are_found_in_all_kinds_of_pictures() {
    let formats =
        [PixelFormat::Bgr888p, PixelFormat::Nv12, PixelFormat::Gray8, PixelFormat::Bgr888i, PixelFormat::Raw16];
    let mut random = Random(14);
    let (mut wrong, mut tried, mut sure) = (Vec::new(), 0, 0);
    for (number, landscape) in SIZES.into_iter().enumerate() {
        for size in [landscape, (landscape.1, landscape.0)] {
            for content in CONTENTS {
                // Large pictures take long to draw: of those, some kinds each.
                let one_of = match size.0 * size.1 {
                    0..100_000 => 2,
                    100_000..300_000 => 6,
                    _ => 20,
                };
                if random.below(one_of) > 0 {
                    continue;
                }
                let picture = draw(content, size, &mut random);
                for (at, format) in formats.into_iter().enumerate() {
                    if !fits_format(format, size) || (at > 0 && (number + at) % 4 > 0) {
                        continue;
                    }
                    let payload = arrange(&picture, format, size);
                    let mut frame = Frame::with_payload(payload);
                    Interpreter::default().interpret_frame(&mut frame);
                    let expected = Geometry::tight(format, size.0, size.1).unwrap();
                    tried += 1;
                    sure += u32::from(frame.guess == Some(Guess::ByContent));
                    let decides = match content {
                        Content::Noise | Content::Black | Content::Dim => false,
                        // Rows or columns of one color each look alike in several formats.
                        Content::Across | Content::Down | Content::Halves | Content::Flat | Content::Mixed => {
                            format == PixelFormat::Bgr888p
                        }
                        Content::Diagonal | Content::Grainy => true,
                    };
                    let taken = frame.geometry;
                    let honest = || {
                        // It says that the bytes do not decide, and takes planar BGR if that is possible.
                        let planar = format != PixelFormat::Bgr888p
                            || taken.is_some_and(|taken| taken.format == PixelFormat::Bgr888p);
                        frame.guess != Some(Guess::ByContent) && planar
                    };
                    if taken != Some(expected) && (decides || !honest()) {
                        let taken = taken.map_or_else(|| "nothing".to_owned(), |taken| taken.to_string());
                        wrong.push(format!("{expected} of {content:?} is taken as {taken}: {}", frame.because));
                    }
                    let mut informed = Interpreter::default();
                    informed.announce(expected);
                    informed.interpret_frame(&mut frame);
                    if frame.disputed {
                        wrong.push(format!("{expected} of {content:?} is doubted: {}", frame.because));
                    }
                }
            }
        }
    }
    assert!(sure * 3 > tried, "content decides in {sure} of {tried} pictures only");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}
