//! `label;conf;xmin;ymin;xmax;ymax|...` -> [`Detection`] (wire.md section 2.1), and the third party's JSON.

use std::sync::Arc;

use nom::bytes::complete::take_till;
use nom::character::complete::{char, u32 as decimal};
use nom::combinator::opt;
use nom::multi::many0_count;
use nom::sequence::preceded;
use nom::{IResult, Parser};

use super::header::float;
use crate::frame::{BBox, Detection, LabelMap};

/// Why a detection text could not be read to its end. What stood before the place has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetectionError {
    /// Not of the form `label;confidence;xmin;ymin;xmax;ymax`.
    #[error("byte {at} of the detections begins no `label;confidence;xmin;ymin;xmax;ymax`")]
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
    #[error("the detections are no JSON list of boxes (column {column})")]
    Json {
        /// Where the JSON went wrong.
        column: usize,
    },
}

/// Appends the boxes of `text` to `into`; at most `limit`.
///
/// # Errors
/// When `text` is not a list of boxes to its end; the boxes before that place have been appended.
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

/// Whether `text` is a list of boxes from its first byte to its last, written as the official program writes them: a
/// list that was cut short in the middle of a number is none.
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

/// One box. More fields may follow the sixth: the official host reads six and ignores them.
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

/// `89.3` -> 0.893: the shortest number that says so, not 0.89300007.
fn percent(input: &[u8]) -> IResult<&[u8], f32> {
    #[allow(clippy::cast_possible_truncation)] // To the nearest f32 is what is wanted.
    float
        .map(|percent| (f64::from(percent) * 10.0).round() as f32)
        .map(|tenths| (f64::from(tenths) / 1000.0) as f32)
        .parse(input)
}

/// A box of the third party's `DETECT` message.
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

/// Appends the boxes of a `DETECT` message; at most `limit`. Classes that have names instead of numbers get a number
/// that depends on the name alone, and `names` learns it.
///
/// # Errors
/// When `text` is not a JSON list of boxes, or too long a one.
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
                let label = number_of(&name);
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

/// FNV-1a over the name, above the numbers that networks use.
fn number_of(name: &str) -> u32 {
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
    fn boxes_as_the_camera_writes_them() {
        let found = read("12;100.0;-0.0123;-0.0000;1.0203;1.5000|0;50.0;0.1;0.2;0.3;0.4").expect("a list");
        assert_eq!(found[0].label, 12);
        assert_eq!(found[0].confidence.to_string(), "1");
        assert_eq!(found[0].bbox, BBox { xmin: -0.0123, ymin: -0.0, xmax: 1.0203, ymax: 1.5 });
        assert_eq!(found[1].confidence.to_string(), "0.5");
    }

    #[test]
    fn every_percentage_reads_as_the_number_it_says() {
        for tenths in 0..=1000_u32 {
            let text = format!("1;{}.{};0;0;0;0", tenths / 10, tenths % 10);
            let expected = format!("{}", f64::from(tenths) / 1000.0);
            assert_eq!(read(&text).expect("a box")[0].confidence.to_string(), expected);
        }
    }

    #[test]
    fn a_list_that_was_cut_anywhere_is_none() {
        let text = "12;93.1;0.5577;0.0410;-0.6305;nan|0;50.0;0.1000;0.2000;0.3000;0.4000";
        for end in 0..text.len() {
            assert_eq!(is_list(&text.as_bytes()[..end]), end == 33, "cut at {end}");
        }
        assert!(is_list(text.as_bytes()));
    }

    #[test]
    fn odd_numbers_and_further_fields_pass() {
        let found = read("4294967295;nan;nan;inf;-inf;1e3;extra;7").expect("a box");
        assert!(found[0].confidence.is_nan() && found[0].bbox.xmin.is_nan());
        assert_eq!(found[0].bbox.xmax, f32::NEG_INFINITY);
        assert_eq!(found[0].bbox.ymax, 1000.0);
        assert_eq!(read("").expect("nothing").len(), 0);
    }

    #[test]
    fn what_is_no_list_says_where() {
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
    fn the_number_of_boxes_is_bounded() {
        let text = ["0;50.0;0.1;0.2;0.3;0.4"; 5].join("|");
        let mut found = Vec::new();
        assert_eq!(parse(text.as_bytes(), 4, &mut found), Err(DetectionError::TooMany { limit: 4 }));
        assert_eq!(found.len(), 4);
    }

    #[test]
    fn json_boxes_with_numbers_or_names() {
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
