//! Finds the layouts that have the length of a payload, and selects the one that explains its bytes best.

use super::sizes::{other_sizes, padded};
use super::smoothness::{ChromaOrder, chroma_order, measure};
use crate::frame::{Geometry, PixelFormat};

/// A less likely candidate wins only if its cost is below this fraction of that of the likelier one.
const CLEARLY_SMOOTHER: f64 = 0.8;
/// The same for a size that is not in the tables.
const MUCH_SMOOTHER: f64 = 0.4;
/// Rows of a picture whose size is not in the tables differ by less than this, in 1/256 of the range. Noise and damaged
/// payloads are not taken as such pictures.
const MAX_OTHER_ROW_DIFFERENCE: f64 = 16.0;

/// The layouts of a length.
pub(super) struct Candidates {
    pub(super) geometry: Geometry,
    /// Other geometries of the same length.
    pub(super) others: Vec<Geometry>,
    /// Set if the rows decided between them, or there is one only.
    pub(super) by_rows: bool,
}

/// Finds the geometries of these sizes and formats, likelier ones first, that have the length of the payload, and
/// selects the best. Considers padding only if no geometry fits without it, and with `others` also sizes that are not in
/// the tables, in the formats of the first group.
pub(super) fn search(
    sizes: &[&[(u32, u32)]],
    formats: &[&[PixelFormat]],
    stride: Option<u32>,
    others: &[PixelFormat],
    payload: &[u8],
) -> Option<Candidates> {
    let len = payload.len();
    let tight = || {
        let pairs = formats.iter().flat_map(|formats| sizes.iter().map(move |sizes| (formats, sizes)));
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
    keep_first_of_equals(&mut fitting);
    if fitting.is_empty() {
        fitting = tight().flat_map(|geometry| padded(geometry, stride)).filter(|padded| fits(padded, len)).collect();
        keep_first_of_equals(&mut fitting);
    }
    let known = fitting.len();
    fitting.extend(other_sizes(others, len));
    keep_first_of_equals(&mut fitting);
    if known == 1 && fitting.len() == 1 {
        return Some(Candidates { geometry: fitting.pop()?, others: fitting, by_rows: true });
    }
    let measured: Vec<_> = fitting.iter().map(|geometry| measure(geometry, payload)).collect();
    let mut costs: Vec<_> =
        measured.iter().map(|measured| measured.map_or(f64::INFINITY, |smoothness| smoothness.cost)).collect();
    decide_chroma(&fitting, &mut costs, payload);
    let cost = |n: usize| costs[n];
    let of_known = (1..known).fold(0, |best, n| if cost(n) < CLEARLY_SMOOTHER * cost(best) { n } else { best });
    let of_others = (known..fitting.len()).min_by(|a, b| cost(*a).total_cmp(&cost(*b))).filter(|best| {
        let is_picture = measured[*best]
            .is_some_and(|smoothness| smoothness.rows < MAX_OTHER_ROW_DIFFERENCE && !smoothness.constant_rows);
        let next = (known..fitting.len()).filter(|n| n != best).map(cost).fold(f64::INFINITY, f64::min);
        is_picture
            && cost(*best) < CLEARLY_SMOOTHER * next
            && (known == 0 || cost(*best) < MUCH_SMOOTHER * cost(of_known))
    });
    let best = of_others.or((known > 0).then_some(of_known))?;
    // Sizes that are not in the tables count, too: otherwise a flat picture of such a size would be taken for a known one
    // without doubt.
    let by_rows = (0..fitting.len()).all(|n| n == best || cost(best) < CLEARLY_SMOOTHER * cost(n));
    if best < known {
        fitting.truncate(known);
    }
    let geometry = fitting.remove(best);
    Some(Candidates { geometry, others: fitting, by_rows })
}

/// Returns whether another layout explains the bytes much better than a stated one.
pub(super) fn is_much_smoother(other: &Geometry, stated: &Geometry, payload: &[u8]) -> bool {
    let (Some(found), Some(stated)) = (measure(other, payload), measure(stated, payload)) else { return false };
    let is_picture = found.rows < MAX_OTHER_ROW_DIFFERENCE && !found.constant_rows;
    is_picture && found.cost < MUCH_SMOOTHER * stated.cost
}

/// Raises the cost of 4:2:0 layouts with the wrong order of chroma, where the bytes show the order: the planes of luma are
/// the same, and hide the difference.
fn decide_chroma(fitting: &[Geometry], costs: &mut [f64], payload: &[u8]) {
    let of = |format| (0..fitting.len()).filter(move |n| fitting[*n].format == format);
    for pairs in of(PixelFormat::Nv12) {
        let same = |n: &usize| Geometry { format: PixelFormat::Nv12, ..fitting[*n] } == fitting[pairs];
        let Some(planes) = of(PixelFormat::Yuv420p).find(same) else { continue };
        let (right, wrong) = match chroma_order(&fitting[pairs], payload) {
            Some(ChromaOrder::Planes) => (planes, pairs),
            Some(ChromaOrder::Pairs) => (pairs, planes),
            None => continue,
        };
        costs[wrong] = costs[wrong].max(2.0 * costs[right]);
    }
}

/// Returns whether a payload of this length can have the geometry; the padding of the last row may be missing.
pub(super) fn fits(geometry: &Geometry, len: usize) -> bool {
    geometry.layout().is_ok_and(|layout| (layout.needed..=layout.byte_len).contains(&len))
}

fn keep_first_of_equals(geometries: &mut Vec<Geometry>) {
    let mut seen = Vec::with_capacity(geometries.len());
    geometries.retain(|geometry| {
        let new = !seen.contains(geometry);
        if new {
            seen.push(*geometry);
        }
        new
    });
}
