//! Measures how well a layout explains the bytes of a payload: neighbors in a picture are similar.

use crate::frame::PixelFormat;
use crate::frame::geometry::{Geometry, Plane};

/// Enough samples to decide, and few enough to finish before the next frame arrives.
const SAMPLES_MAX: usize = 10_240;
/// Fewest samples of a short payload.
const SAMPLES_MIN: usize = 2048;
/// Rows with samples, over all planes.
const ROWS_MAX: usize = 160;
/// Weight of horizontal differences beside that of vertical ones: a wrong width changes the latter more.
const ACROSS_WEIGHT: f64 = 0.3;
/// Larger differences count as this one, so that a few sharp edges do not decide.
const DIFFERENCE_MAX: f64 = 48.0;
/// Least difference at an edge.
const EDGE_MIN: f64 = 2.0;
/// Rows of one color each that are searched for changes of the color inside of them.
const SEARCHED_ROWS: usize = 64;
/// Rows have one color each if horizontal differences are below this fraction of the vertical ones.
const CONSTANT_ROWS: f64 = 0.05;
/// Cost of every layout, as a fraction of the contrast of the picture, and in 1/256 of the range. It keeps differences that
/// are small beside the contrast from deciding.
const RELATIVE_FLOOR: f64 = 0.003;
const ABSOLUTE_FLOOR: f64 = 0.1;

/// The differences of a payload in one layout, in 1/256 of the range of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Smoothness {
    /// Mean difference between vertically adjacent samples.
    pub(super) rows: f64,
    /// Set if each row has one color, so that parts of rows look like rows.
    pub(super) constant_rows: bool,
    /// Lowest for the layout that explains the bytes best; 0 for a picture of one color.
    pub(super) cost: f64,
}

/// One plane, with what its samples need.
struct Samples<'a> {
    payload: &'a [u8],
    plane: Plane,
    /// Bytes per sample, 1 or 2.
    bytes: usize,
    /// Samples from one to the next of the same channel.
    step: usize,
    /// Samples in a row.
    count: usize,
}

impl<'a> Samples<'a> {
    fn new(payload: &'a [u8], format: PixelFormat, number: usize, plane: Plane) -> Self {
        let bytes = if is_16_bit(format) { 2 } else { 1 };
        Self { payload, plane, bytes, step: channel_step(format, number), count: plane.row / bytes }
    }

    /// Returns the difference between two samples at (x, y), in 1/256 of their range, at most [`DIFFERENCE_MAX`].
    fn difference(&self, a: (usize, usize), b: (usize, usize)) -> f64 {
        (self.value(a) - self.value(b)).abs().min(DIFFERENCE_MAX)
    }

    fn value(&self, (x, y): (usize, usize)) -> f64 {
        let at = self.plane.offset + y * self.plane.stride + x * self.bytes;
        match self.bytes {
            1 => f64::from(self.payload[at]),
            _ => f64::from(u16::from_le_bytes([self.payload[at], self.payload[at + 1]])) / 256.0,
        }
    }

    /// Returns the mean of the values of row `b` above those of row `a`.
    fn slope(&self, a: usize, b: usize) -> f64 {
        let mut mean = Mean::default();
        for x in (0..self.count).step_by(self.count.div_ceil(64) | 1) {
            mean.add(self.value((x, b)) - self.value((x, a)));
        }
        mean.get()
    }

    /// Returns the difference between the bytes of a 16-bit sample; 0 of an 8-bit one.
    fn between_halves(&self, x: usize, y: usize) -> f64 {
        let at = self.plane.offset + y * self.plane.stride + x * self.bytes;
        f64::from(self.payload[at].abs_diff(self.payload[at + self.bytes - 1]))
    }

    /// Returns the mean difference between two rows.
    fn between_rows(&self, a: usize, b: usize) -> f64 {
        let mut mean = Mean::default();
        for x in (0..self.count).step_by(self.count.div_ceil(64) | 1) {
            mean.add(self.difference((x, a), (x, b)));
        }
        mean.get()
    }
}

#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: f64,
    /// Number of values that are not 0.
    changes: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
        self.changes += f64::from(u8::from(value > 0.0));
    }

    /// Returns the mean; 0 of no values.
    fn get(self) -> f64 {
        if self.count > 0.0 { self.sum / self.count } else { 0.0 }
    }
}

/// An edge that goes through all rows of a picture at 1/2, 1/3 or 1/4 of its width.
#[derive(Clone, Copy, Default)]
struct Fold {
    /// Difference across the edge, and the one beside it.
    edge: Mean,
    beside: Mean,
    /// Difference between samples of a row that are apart by the width of the part.
    parts: Mean,
}

/// Mean differences between samples, by where they are.
#[derive(Default)]
struct Differences {
    /// One row apart, and one pixel apart.
    down: Mean,
    across: Mean,
    /// Half a plane apart: the contrast of the picture.
    far: Mean,
    /// The last pixel of a row and the first of the next one.
    ends: Mean,
    /// The bytes of a 16-bit sample.
    halves: Mean,
    /// Within three bytes that could be one pixel, and to the next three.
    triples: [Mean; 2],
    folds: [Fold; 3],
}

impl Differences {
    fn measure(planes: &[Samples<'_>], payload_len: usize) -> Self {
        let mut of = Self::default();
        // The same interval for all planes weighs each plane by its size.
        let interval = planes.iter().map(|samples| samples.plane.rows).sum::<usize>().div_ceil(ROWS_MAX).max(1);
        let wanted = (payload_len / 8).clamp(SAMPLES_MIN, SAMPLES_MAX) / ROWS_MAX;
        for samples in planes {
            let Samples { step, count, .. } = *samples;
            let rows = samples.plane.rows;
            // An odd interval samples all channels of interleaved formats.
            let columns = count.div_ceil(wanted) | 1;
            for (n, first) in (0..rows - 1).step_by(interval).enumerate() {
                // Not at equal distances: the colors of some pictures change at such distances only.
                let y = (first + scattered(n) % interval).min(rows - 2);
                for x in (scattered(n + 1) % columns..count - step).step_by(columns) {
                    of.down.add(samples.difference((x, y), (x, y + 1)));
                    of.across.add(samples.difference((x, y), (x + step, y)));
                    let opposite = ((x + count / 2 / step * step) % (count / step * step), (y + rows / 2) % rows);
                    of.far.add(samples.difference((x, y), opposite));
                    of.halves.add(samples.between_halves(x, y));
                }
                for x in (scattered(n) % columns * 3..count.saturating_sub(3)).step_by(columns * 6) {
                    let x = x / 3 * 3;
                    of.triples[0].add(samples.difference((x, y), (x + 1, y)));
                    of.triples[0].add(samples.difference((x + 1, y), (x + 2, y)));
                    of.triples[1].add(samples.difference((x + 2, y), (x + 3, y)));
                }
                let channel = n % step;
                of.ends.add(samples.difference((count - step + channel, y), (channel, y + 1)));
                // Chroma planes can be narrower.
                if samples.plane.offset == 0 {
                    of.fold(samples, y, channel, columns * 4);
                }
            }
        }
        of
    }

    fn fold(&mut self, samples: &Samples<'_>, y: usize, channel: usize, columns: usize) {
        let Samples { step, count, .. } = *samples;
        for (part, fold) in [2, 3, 4].into_iter().zip(&mut self.folds) {
            let width = count / part / step * step;
            let x = width + channel;
            fold.edge.add(samples.difference((x - step, y), (x, y)));
            fold.beside.add(samples.difference((x - 2 * step, y), (x - step, y)));
            fold.beside.add(samples.difference((x, y), (x + step, y)));
            for x in (y % columns..count - width).step_by(columns) {
                fold.parts.add(samples.difference((x, y), (x + width, y)));
            }
        }
    }
}

/// Returns a number that looks random, the same for the same `n`.
fn scattered(n: usize) -> usize {
    ((n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}

/// Measures a payload in a layout; `None` if the payload is too short for it.
pub(super) fn measure(geometry: &Geometry, payload: &[u8]) -> Option<Smoothness> {
    let layout = geometry.layout_in(payload.len()).ok()?;
    let planes = layout.planes().iter().enumerate();
    let planes = planes.map(|(number, plane)| Samples::new(payload, geometry.format, number, *plane));
    let planes: Vec<_> = planes.filter(|of| of.plane.rows > 1 && of.count > 8 * of.step).collect();
    let of = Differences::measure(&planes, payload.len());
    if of.down.count == 0.0 {
        return None;
    }
    let [rows, across, far, ends] = [of.down, of.across, of.far, of.ends].map(Mean::get);
    // Rows that consist of several rows of the picture have an edge where one ends and the next begins.
    let folded = of.folds.iter().filter(|fold| fold.parts.get() <= rows + 0.25);
    let folded = folded.map(|fold| (fold.edge.get() - 2.0 * fold.beside.get() - EDGE_MIN).max(0.0)).fold(0.0, f64::max);
    let constant_rows = across < CONSTANT_ROWS * rows;
    let mut cost = if constant_rows {
        // Rows of one color each. They are as similar to parts of themselves, so that shorter rows look smoother; but the
        // color changes at the ends of rows only.
        let leak = changes_inside_rows(&planes[0]);
        rows * (640.0 / f64::from(geometry.stride)).powf(1.5) * (1.0 + 4.0 * leak)
    } else {
        rows + ACROSS_WEIGHT * across
    };
    // Less than this is chance.
    cost += folded + planes_inside(&planes) + RELATIVE_FLOOR * far + ABSOLUTE_FLOOR;
    if rows * 8.0 < far {
        // A plane begins with another part of the picture than the one before ends with.
        cost *= 1.0 + planes.windows(2).filter(|pair| is_continued(&pair[0], &pair[1])).count() as f64 / 2.0;
    }
    let eight_bits = is_16_bit(geometry.format) && of.halves.get() < 0.1 * far;
    let [within, between] = of.triples;
    let steps = between.changes > 0.1 * between.count && within.get() < 0.25 * between.get();
    let gray_pixels = steps && planes.iter().all(|of| of.step == 1);
    if eight_bits || gray_pixels {
        cost *= 2.0;
    }
    // A row ends where the next pixel is not similar: at other widths, the same pixels are in the middle of a row.
    cost /= 1.0 + (ends - 2.0 * across).clamp(0.0, 30.0) / 10.0;
    Some(Smoothness { rows, constant_rows, cost })
}

/// Returns whether the bytes are those of YUV422i: luma alternates with U and V. As 16-bit samples they look smooth, too.
pub(super) fn is_packed_422(payload: &[u8]) -> bool {
    // Other layouts have an area that looks so, such as the chroma of NV12.
    let (upper, lower) = payload.split_at(payload.len() / 16 * 8);
    alternates(upper) && alternates(lower)
}

/// Returns whether luma alternates with U and V in this part of a payload.
fn alternates(part: &[u8]) -> bool {
    /// Differences of luma between neighbors above this, in 1/256 of the range, are those of other data.
    const LUMA_MAX: f64 = 16.0;
    /// Chroma of a picture has this mean: strong colors do not cover whole pictures.
    const CHROMA: std::ops::RangeInclusive<f64> = 64.0..=192.0;
    /// Chroma of a gray picture has this mean.
    const GRAY: std::ops::RangeInclusive<f64> = 120.0..=136.0;
    let groups = part.as_chunks::<8>().0;
    let interval = (groups.len() / SAMPLES_MAX).max(1);
    let (mut luma, mut level, mut luma_to_u) = (Mean::default(), Mean::default(), Mean::default());
    let (mut u, mut v, mut u_to_v) = (Mean::default(), Mean::default(), Mean::default());
    let (mut u_steps, mut v_steps) = (Mean::default(), Mean::default());
    let difference = |a: f64, b: f64| (a - b).abs().min(DIFFERENCE_MAX);
    for (n, first) in (0..groups.len()).step_by(interval).enumerate() {
        let group = groups[(first + scattered(n) % interval).min(groups.len() - 1)].map(f64::from);
        let [y0, u0, y1, v0, y2, u1, _, v1] = group;
        luma.add(difference(y0, y1));
        luma.add(difference(y1, y2));
        level.add(y0);
        luma_to_u.add(difference(y0, u0));
        u.add(u0);
        v.add(v0);
        u_to_v.add(difference(u0, v0));
        u_steps.add(difference(u0, u1));
        v_steps.add(difference(v0, v1));
    }
    let [luma, level, luma_to_u, u, v, u_to_v] = [luma, level, luma_to_u, u, v, u_to_v].map(Mean::get);
    let steps = u_steps.get().max(v_steps.get());
    let is_gray = GRAY.contains(&u) && GRAY.contains(&v);
    luma < LUMA_MAX
        && level >= 8.0
        && luma_to_u > 4.0 + 2.0 * luma
        && steps < 8.0
        && CHROMA.contains(&u)
        && CHROMA.contains(&v)
        && (is_gray || u_to_v > 4.0 + 2.0 * steps)
}

/// The order of U and V in a 4:2:0 picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChromaOrder {
    /// A plane of U, then one of V.
    Planes,
    /// Alternating U and V.
    Pairs,
}

/// Returns the order of chroma in the bytes after the luma of an NV12 layout; `None` if they do not show it, as in a
/// picture without colors.
pub(super) fn chroma_order(nv12: &Geometry, payload: &[u8]) -> Option<ChromaOrder> {
    let layout = nv12.layout_in(payload.len()).ok().filter(|_| !nv12.is_padded())?;
    let chroma = payload.get(layout.planes().get(1)?.offset..)?;
    let half = chroma.len() / 2;
    let (mut next, mut second, mut planes) = (Mean::default(), Mean::default(), Mean::default());
    let apart = |a: usize, b: usize| f64::from(chroma[a].abs_diff(chroma[b]));
    for at in (0..half.saturating_sub(2)).step_by(half.div_ceil(SAMPLES_MIN) | 1) {
        for at in [at, at + half] {
            next.add(apart(at, at + 1));
            second.add(apart(at, at + 2));
        }
        planes.add(apart(at, at + half));
    }
    let [next, second, planes] = [next, second, planes].map(Mean::get);
    if planes > 4.0 * next + 2.0 && next <= second + 0.5 {
        // Alternating U and V would differ as much as the planes do.
        Some(ChromaOrder::Planes)
    } else if next > 2.0 * second + 1.0 {
        Some(ChromaOrder::Pairs)
    } else {
        None
    }
}

/// Returns the fraction of changes between one pixel and the next that are not at the end of a row.
fn changes_inside_rows(samples: &Samples<'_>) -> f64 {
    let Samples { plane, step, count, .. } = *samples;
    let (mut inside, mut ends) = (0.0, 0.0);
    let interval = (plane.rows - 1).div_ceil(SEARCHED_ROWS);
    for (n, first) in (0..plane.rows - 1).step_by(interval).enumerate() {
        let y = (first + scattered(n) % interval).min(plane.rows - 2);
        let changes = (0..count - step).filter(|x| samples.difference((*x, y), (x + step, y)) > 0.0).count();
        inside += changes as f64 / step as f64;
        ends += f64::from(u8::from(samples.difference((count - step, y), (0, y + 1)) > 0.0));
    }
    if inside > 0.0 { inside / (inside + ends) } else { 0.0 }
}

/// Returns whether one plane continues the one before as if it were more rows of it.
fn is_continued(above: &Samples<'_>, below: &Samples<'_>) -> bool {
    let rows = above.plane.rows;
    if above.count != below.count || above.plane.offset + rows * above.plane.stride != below.plane.offset {
        return false;
    }
    if rows < 8 || below.plane.rows < 8 {
        return false;
    }
    // Four rows apart, because slight gradients do not change with each row.
    let jump = above.between_rows(rows - 1, rows + 3);
    let beside = above.between_rows(rows - 5, rows - 1).max(below.between_rows(0, 4));
    // Channels can meet at one value by chance, but then with different slopes.
    let slopes = [above.slope(rows - 8, rows - 1), below.slope(0, 7)];
    let turns = slopes[0] * slopes[1] < 0.0 && slopes[0].abs().min(slopes[1].abs()) > 0.5;
    beside > 0.0 && jump <= 1.5 * beside && !turns
}

/// Returns the difference at an edge between two rows at 1/3, 1/2 or 2/3 of the payload, if a plane has one there:
/// another plane begins at it.
fn planes_inside(planes: &[Samples<'_>]) -> f64 {
    let mut largest = 0.0f64;
    for samples in planes {
        let Plane { offset, stride, rows, .. } = samples.plane;
        for sixth in [2, 3, 4] {
            let at = samples.payload.len() * sixth / 6;
            let inside = at.checked_sub(offset).filter(|inside| inside.is_multiple_of(stride));
            let Some(y) = inside.map(|inside| inside / stride).filter(|y| (2..rows.saturating_sub(2)).contains(y))
            else {
                continue;
            };
            let beside = samples.between_rows(y - 2, y - 1).max(samples.between_rows(y, y + 1));
            largest = largest.max(samples.between_rows(y - 1, y) - 2.0 * beside - EDGE_MIN);
        }
    }
    largest
}

/// Returns the samples from one to the next of the same channel in a row.
fn channel_step(format: PixelFormat, plane: usize) -> usize {
    use PixelFormat::*;
    match format {
        Nv12 | Nv21 if plane == 1 => 2,
        Bgr888i | Rgb888i | Yuv444i | RgbF16i | BgrF16i | Pack12 => 3,
        Rgba8888 | Yuv422i => 4,
        Pack10 => 5,
        Bgr888p | Rgb888p | Nv12 | Nv21 | Yuv420p | Yuv422p | Yuv444p | Yuv400p | Gray8 | Raw8 | Raw16 | Raw14
        | Raw12 | Raw10 | Rgb161616 | RgbF16p | BgrF16p | GrayF16 | Jpeg => 1,
        // Neighbors in a mosaic have other colors. Counted as if they had the same, which compares all sizes alike.
        Bayer(samples, _) => channel_step(samples.gray(), plane),
    }
}

fn is_16_bit(format: PixelFormat) -> bool {
    use PixelFormat::*;
    match format {
        Raw16 | Raw14 | Raw12 | Raw10 | GrayF16 | Rgb161616 | RgbF16p | BgrF16p | RgbF16i | BgrF16i => true,
        Bgr888p | Rgb888p | Bgr888i | Rgb888i | Nv12 | Nv21 | Yuv420p | Yuv422i | Yuv422p | Yuv444p | Yuv444i
        | Yuv400p | Gray8 | Raw8 | Pack10 | Pack12 | Rgba8888 | Jpeg => false,
        Bayer(samples, _) => is_16_bit(samples.gray()),
    }
}
