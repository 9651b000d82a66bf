//! Converts detections to the boxes and labels that Foxglove draws, in pixels.

use foxglove::messages::points_annotation::Type;
use foxglove::messages::{Color, ImageAnnotations, KeyValuePair, Point2, PointsAnnotation, TextAnnotation, Timestamp};

use crate::frame::{Detection, LabelMap};
use crate::overlay;

/// Returns the boxes for a picture of `size` (width, height). Leaves out boxes with a coordinate that is not finite; the
/// wire message has all of them. Returns no boxes if the size is unknown.
pub(super) fn annotations(
    time: Timestamp,
    detections: &[Detection],
    names: &LabelMap,
    size: Option<(u32, u32)>,
) -> ImageAnnotations {
    let mut all = ImageAnnotations { timestamp: Some(time), ..ImageAnnotations::default() };
    let Some((width, height)) = size else { return all };
    for Detection { label, confidence, bbox } in detections {
        let edges = [bbox.xmin, bbox.ymin, bbox.xmax, bbox.ymax];
        if edges.iter().any(|edge| !edge.is_finite()) {
            continue;
        }
        let [left, top, right, bottom] = edges.map(|edge| f64::from(edge.clamp(0.0, 1.0)));
        let (x, y) = (|part| part * f64::from(width), |part| part * f64::from(height));
        let corner = |across, down| Point2 { x: x(across), y: y(down) };
        let colour = colour(*label);
        let pair = |key: &str, value: String| KeyValuePair { key: key.to_owned(), value };
        let name = names.title(*label);
        all.points.push(PointsAnnotation {
            timestamp: Some(time),
            r#type: Type::LineLoop.into(),
            points: vec![corner(left, top), corner(right, top), corner(right, bottom), corner(left, bottom)],
            outline_color: Some(colour),
            thickness: 2.0,
            metadata: vec![
                pair("label", name.clone().into_owned()),
                pair("class", label.to_string()),
                pair("confidence", confidence.to_string()),
            ],
            ..PointsAnnotation::default()
        });
        all.texts.push(TextAnnotation {
            timestamp: Some(time),
            position: Some(corner(left, top)),
            text: format!("{name} {:.0}%", confidence * 100.0),
            font_size: 12.0,
            text_color: Some(Color { r: 1.0, g: 1.0, b: 1.0, a: 1.0 }),
            background_color: Some(Color { a: 0.6, ..colour }),
            ..TextAnnotation::default()
        });
    }
    all
}

fn colour(label: u32) -> Color {
    let [_, r, g, b] = overlay::class_color(label).to_be_bytes().map(|part| f64::from(part) / 255.0);
    Color { r, g, b, a: 1.0 }
}
