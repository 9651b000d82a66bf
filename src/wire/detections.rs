//! Parsers of detections: `label;conf;xmin;ymin;xmax;ymax|...` (wire.md section 2.1) and the third party's JSON.

use std::sync::Arc;

use nom::bytes::complete::take_till;
use nom::character::complete::{char, u32 as decimal};
use nom::combinator::opt;
use nom::multi::many0_count;
use nom::sequence::preceded;
use nom::{IResult, Parser};

use super::text::float;
use crate::frame::{BBox, Detection, LabelMap};

/// Error in a detection text. The boxes before the error have been parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetectionError {
    /// Not of the form `label;confidence;xmin;ymin;xmax;ymax`.
    #[error("expected `label;confidence;xmin;ymin;xmax;ymax` at byte {at} of the detections")]
    Malformed {
        /// Offset in the text.
        at: usize,
    },
    /// More boxes than [`Limits::boxes`](super::Limits::boxes).
    #[error("more than {limit} boxes in one frame")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// Not a JSON list of boxes.
    #[error("expected a JSON list of boxes: error at column {column} of the detections")]
    Json {
        /// Column of the JSON error, from 1.
        column: usize,
    },
}

/// Appends the boxes in `text` to `into`, at most `limit` in total.
///
/// # Errors
/// If `text` is malformed or has too many boxes. Those before the error have been appended.
pub fn parse(text: &[u8], limit: usize, into: &mut Vec<Detection>) -> Result<(), DetectionError> {
    let mut rest = text;
    while !rest.is_empty() {
        if into.len() >= limit {
            return Err(DetectionError::TooMany { limit });
        }
        let at = text.len() - rest.len();
        let (after, found) = detection(rest).map_err(|_| DetectionError::Malformed { at })?;
        rest = match after {
            [] => after,
            [b'|', more @ ..] if !more.is_empty() => more,
            _ => return Err(DetectionError::Malformed { at }),
        };
        into.push(found);
    }
    Ok(())
}

/// Returns whether `text` is a complete list of boxes with as many decimals as Luxonis' program prints, so that a list
/// truncated inside a number is rejected.
pub(super) fn is_list(text: &[u8]) -> bool {
    let decimals = |field: &[u8], n: usize| {
        field.ends_with(b"nan")
            || field.ends_with(b"inf")
            || field.iter().rev().position(|byte| *byte == b'.') == Some(n)
    };
    text.split(|byte| *byte == b'|').all(|one| {
        let mut fields = one.split(|byte| *byte == b';').skip(1);
        matches!(detection(one), Ok(([], _)))
            && fields.next().is_some_and(|confidence| decimals(confidence, 1))
            && fields.take(4).all(|edge| decimals(edge, 4))
    })
}

/// Parses one box. Ignores fields after the sixth, as Luxonis' host program does.
fn detection(input: &[u8]) -> IResult<&[u8], Detection> {
    let mut field = preceded(char(';'), float);
    let (input, label) = decimal(input)?;
    let (input, percent) = preceded(char(';'), percent).parse(input)?;
    let (input, xmin) = field.parse(input)?;
    let (input, ymin) = field.parse(input)?;
    let (input, xmax) = field.parse(input)?;
    let (input, ymax) = field.parse(input)?;
    let (input, _) =
        many0_count(preceded(char(';'), opt(take_till(|byte| byte == b';' || byte == b'|')))).parse(input)?;
    Ok((input, Detection { label, confidence: percent, bbox: BBox { xmin, ymin, xmax, ymax } }))
}

/// Parses `89.3` as 0.893, the nearest `f32`, and not 0.89300007.
fn percent(input: &[u8]) -> IResult<&[u8], f32> {
    #[allow(clippy::cast_possible_truncation)] // Rounding to the nearest f32 is intended.
    float
        .map(|percent| (f64::from(percent) * 10.0).round() as f32)
        .map(|tenths| (f64::from(tenths) / 1000.0) as f32)
        .parse(input)
}

/// A box in the third party's `DETECT` message.
#[derive(serde::Deserialize)]
struct JsonBox {
    label: JsonLabel,
    confidence: f32,
    xmin: f32,
    ymin: f32,
    xmax: f32,
    ymax: f32,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum JsonLabel {
    Number(u32),
    Name(String),
}

/// Appends the boxes in the text of a `DETECT` message to `into`. A class that has a name instead of a number gets a
/// number computed from the name, which is added to `names`.
///
/// # Errors
/// If `text` is not a JSON list of boxes, or has more than `limit`. Nothing is appended then.
pub fn parse_json(
    text: &[u8],
    limit: usize,
    into: &mut Vec<Detection>,
    names: &mut Arc<LabelMap>,
) -> Result<(), DetectionError> {
    let boxes: Vec<JsonBox> =
        serde_json::from_slice(text).map_err(|error| DetectionError::Json { column: error.column() })?;
    if boxes.len() > limit {
        return Err(DetectionError::TooMany { limit });
    }
    for found in boxes {
        let JsonBox { label, confidence, xmin, ymin, xmax, ymax } = found;
        let label = match label {
            JsonLabel::Number(label) => label,
            JsonLabel::Name(name) => {
                let label = class_number(&name);
                if names.name(label).is_none() && names.len() < limit {
                    Arc::make_mut(names).insert(label, &name);
                }
                label
            }
        };
        into.push(Detection { label, confidence, bbox: BBox { xmin, ymin, xmax, ymax } });
    }
    Ok(())
}

/// Returns the FNV-1a hash of the name, with the top bit set: networks use small class numbers.
fn class_number(name: &str) -> u32 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash | 0x8000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Detection>, (DetectionError, usize)> {
        let mut found = Vec::new();
        match parse(text.as_bytes(), 10_000, &mut found) {
            Ok(()) => Ok(found),
            Err(error) => Err((error, found.len())),
        }
    }

    #[test]
    fn boxes_printed_by_camera_are_parsed() {
        let found = read("12;100.0;-0.0123;-0.0000;1.0203;1.5000|0;50.0;0.1;0.2;0.3;0.4").expect("a list");
        assert_eq!(found[0].label, 12);
        assert_eq!(found[0].confidence.to_string(), "1");
        assert_eq!(found[0].bbox, BBox { xmin: -0.0123, ymin: -0.0, xmax: 1.0203, ymax: 1.5 });
        assert_eq!(found[1].confidence.to_string(), "0.5");
    }

    #[test]
    fn percentages_parse_to_nearest_f32() {
        for tenths in 0..=1000_u32 {
            let text = format!("1;{}.{};0;0;0;0", tenths / 10, tenths % 10);
            let expected = format!("{}", f64::from(tenths) / 1000.0);
            assert_eq!(read(&text).expect("a box")[0].confidence.to_string(), expected);
        }
    }

    #[test]
    fn truncated_list_is_not_a_list() {
        let text = "12;93.1;0.5577;0.0410;-0.6305;nan|0;50.0;0.1000;0.2000;0.3000;0.4000";
        for end in 0..text.len() {
            assert_eq!(is_list(&text.as_bytes()[..end]), end == 33, "cut at {end}");
        }
        assert!(is_list(text.as_bytes()));
    }

    #[test]
    fn special_numbers_and_extra_fields_are_accepted() {
        let found = read("4294967295;nan;nan;inf;-inf;1e3;extra;7").expect("a box");
        assert!(found[0].confidence.is_nan() && found[0].bbox.xmin.is_nan());
        assert_eq!(found[0].bbox.xmax, f32::NEG_INFINITY);
        assert_eq!(found[0].bbox.ymax, 1000.0);
        assert_eq!(read("").expect("nothing").len(), 0);
    }

    #[test]
    fn malformed_list_reports_position() {
        let good = "0;50.0;0.1;0.2;0.3;0.4";
        for (text, at, before) in [
            (format!("{good}|"), 0, 0),
            (format!("{good}|x"), 23, 1),
            (format!("{good}|{good}|1;2;3"), 46, 2),
            ("-1;50.0;0.1;0.2;0.3;0.4".into(), 0, 0),
            ("4294967296;50.0;0.1;0.2;0.3;0.4".into(), 0, 0),
            ("0;50.0;0.1;0.2;0.3".into(), 0, 0),
            ("0;;0.1;0.2;0.3;0.4".into(), 0, 0),
        ] {
            assert_eq!(read(&text), Err((DetectionError::Malformed { at }, before)), "{text}");
        }
    }

    #[test]
    fn number_of_boxes_is_limited() {
        let text = ["0;50.0;0.1;0.2;0.3;0.4"; 5].join("|");
        let mut found = Vec::new();
        assert_eq!(parse(text.as_bytes(), 4, &mut found), Err(DetectionError::TooMany { limit: 4 }));
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn json_boxes_have_numbers_or_names() {
        let (mut found, mut names) = (Vec::new(), Arc::default());
        let text = br#"[{"label": 3, "confidence": 0.5, "xmin": 0.1, "ymin": 0.2, "xmax": 0.3, "ymax": 0.4, "x": 1.0},
            {"label": "bolt", "confidence": 0.75, "xmin": 0, "ymin": 0, "xmax": 1, "ymax": 1}]"#;
        parse_json(text, 10, &mut found, &mut names).expect("a list");
        assert_eq!((found[0].label, found[0].bbox.ymax), (3, 0.4));
        assert_eq!(names.name(found[1].label), Some("bolt"));
        assert!(parse_json(b"[{}]", 10, &mut found, &mut names).is_err());
        assert!(parse_json(b"nonsense", 10, &mut found, &mut names).is_err());
        assert_eq!(parse_json(text, 1, &mut found, &mut names), Err(DetectionError::TooMany { limit: 1 }));
    }
}
