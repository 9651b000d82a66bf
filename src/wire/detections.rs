//! Parsers of detections: `label;conf;xmin;ymin;xmax;ymax|...` (wire.md section 2.1) and the third party's JSON.

use std::sync::Arc;

use nom::character::complete::{char, multispace0, u32 as decimal};
use nom::combinator::{map_opt, recognize};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::error::Category;

use super::record::Unreadable;
use super::text::{Excerpt, LINE, float};
use crate::frame::{BBox, Detection, LabelMap, Position};

/// Error in a detection text. The boxes before the error have been parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetectionError {
    /// Not of the form `label;confidence;xmin;ymin;xmax;ymax`.
    #[error(
        "box {number} is not `label;confidence;xmin;ymin;xmax;ymax`, six numbers: found {found} at byte {at} of the \
         detections"
    )]
    Malformed {
        /// Number of the box in the text, from 1.
        number: usize,
        /// Offset in the text of the first byte that was not expected; its length, if more bytes were expected.
        at: usize,
        /// The text from there.
        found: Excerpt,
    },
    /// The number of a class does not fit into 32 bits.
    #[error("the label of box {number} is {found} at byte {at} of the detections: expected at most {}", u32::MAX)]
    LabelTooLarge {
        /// Number of the box in the text, from 1.
        number: usize,
        /// Offset of the label in the text.
        at: usize,
        /// The label.
        found: Excerpt,
    },
    /// A box begins with text instead of a number.
    #[error(
        "box {number} begins with {found} at byte {at} of the detections: expected the number of its class; send the \
         name in a record such as `@L 0 person`"
    )]
    ClassName {
        /// Number of the box in the text, from 1.
        number: usize,
        /// Offset of the box in the text.
        at: usize,
        /// The text from there.
        found: Excerpt,
    },
    /// The boxes are followed by as many other bytes as a header has.
    #[error(
        "the detections are complete {LINE} bytes before their announced length of {len}: expected their own length in \
         the header; do not count the {LINE} bytes of the header"
    )]
    CountsHeader {
        /// The announced length in bytes.
        len: usize,
    },
    /// A box is followed by something else than the next one.
    #[error("expected `|` after box {number}: found {found} at byte {at} of the detections")]
    Separator {
        /// Number of the box in the text, from 1.
        number: usize,
        /// Offset in the text of the first byte after the box.
        at: usize,
        /// The text from there.
        found: Excerpt,
    },
    /// More boxes or tracks than [`Limits::boxes`](super::Limits::boxes).
    #[error("more than {limit} boxes or tracks in one frame")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// Not of the form `[l, r, u, d] [['ID n', x, y], ...]`.
    #[error("expected `[l, r, u, d]` and `[['ID n', x, y], ...]` in the header: error at byte {at} of the lists")]
    Tracks {
        /// Offset in the text after the first 32 bytes of the header.
        at: usize,
    },
    /// A box in a record of its own was not understood. The other boxes are kept.
    #[error("{0}")]
    Record(Unreadable),
    /// Not a JSON list of boxes.
    #[error(
        "expected a JSON list of boxes, each with confidence, xmin, ymin, xmax and ymax: found {found} at byte {at} of the detections"
    )]
    Json {
        /// Offset in the text of the excerpt.
        at: usize,
        /// The text that is not JSON, or the end of the value that is not a box.
        found: Excerpt,
    },
    /// A box in JSON has neither the number nor the name of a class.
    #[error("a box has no label: expected the number or name of its class")]
    WithoutLabel,
}

/// Appends the boxes in `text` to `into`, at most `limit` in total.
///
/// Accepts spaces and line ends around separators, and a `|` after the last box: loops in Scripts write them.
///
/// # Errors
/// If `text` is malformed or has too many boxes. Those before the error have been appended.
pub fn parse(text: &[u8], limit: usize, into: &mut Vec<Detection>) -> Result<(), DetectionError> {
    let read = list(text, limit, into);
    match (read, text.split_last_chunk::<LINE>()) {
        (Err(_), Some((boxes, other))) if !other.contains(&b';') && list(boxes, limit, &mut Vec::new()).is_ok() => {
            Err(DetectionError::CountsHeader { len: text.len() })
        }
        (read, _) => read,
    }
}

/// As [`parse`], without a look at the end of the text.
fn list(text: &[u8], limit: usize, into: &mut Vec<Detection>) -> Result<(), DetectionError> {
    let mut rest = text.trim_ascii();
    for number in 1.. {
        if rest.is_empty() {
            break;
        }
        if into.len() >= limit {
            return Err(DetectionError::TooMany { limit });
        }
        let at = |from: &[u8]| text.trim_ascii_end().len() - from.len();
        let malformed = |from: &[u8]| DetectionError::Malformed { number, at: at(from), found: Excerpt::new(from) };
        let no_separator = |from: &[u8]| DetectionError::Separator { number, at: at(from), found: Excerpt::new(from) };
        let (after, found) = match detection(rest) {
            Ok(found) => found,
            Err(_) if is_name(rest) => {
                return Err(DetectionError::ClassName { number, at: at(rest), found: Excerpt::new(rest) });
            }
            Err(nom::Err::Error(error) | nom::Err::Failure(error)) => {
                let malformed = malformed(error.input);
                let too_large =
                    |label| DetectionError::LabelTooLarge { number, at: at(rest), found: Excerpt::new(label) };
                return Err(large_label(rest).map_or(malformed, too_large));
            }
            Err(nom::Err::Incomplete(_)) => return Err(malformed(rest)),
        };
        // Before the position, because the first fields of a box look like one.
        if let Some(next) = joined_box(after) {
            into.push(found);
            return Err(no_separator(next));
        }
        let (after, position) = position(after);
        into.push(Detection { position, ..found });
        if let Some(next) = joined_box(after) {
            return Err(no_separator(next));
        }
        let after = without_extra_fields(after);
        rest = match after {
            [] => after,
            [b'|', next @ ..] => next.trim_ascii_start(),
            _ => return Err(no_separator(after)),
        };
    }
    Ok(())
}

/// Returns whether the first field of a box is text: it has a letter of any script, and is not a number of Python.
fn is_name(text: &[u8]) -> bool {
    let field = text.split(|byte| *byte == b';').next().unwrap_or_default();
    let is_text = std::str::from_utf8(field).is_ok_and(|field| {
        !field.contains(char::is_control) && field.trim_start_matches(['"', '\'']).starts_with(char::is_alphabetic)
    });
    is_text && field.len() < text.len() && ![&b"nan"[..], b"inf"].contains(&field.trim_ascii())
}

/// Returns the first field of a box if it is a whole number of more than 32 bits.
fn large_label(text: &[u8]) -> Option<&[u8]> {
    let field = text.split(|byte| *byte == b';').next().unwrap_or_default();
    let digits = field.trim_ascii_end();
    let is_number = field.len() < text.len() && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    (is_number && decimal::<_, nom::error::Error<&[u8]>>(digits).is_err()).then_some(digits)
}

/// Returns whether `text` is a complete list of boxes with as many decimals as Luxonis' program prints, so that a list
/// truncated inside a number is rejected.
pub(super) fn is_list(text: &[u8]) -> bool {
    let decimals = |field: &[u8], n: usize| {
        field.ends_with(b"nan")
            || field.ends_with(b"inf")
            || field.iter().rev().position(|byte| *byte == b'.') == Some(n)
    };
    // A `|` may follow the last box.
    text.strip_suffix(b"|").unwrap_or(text).split(|byte| *byte == b'|').all(|one| {
        let mut fields = one.split(|byte| *byte == b';').skip(1);
        detection(one).is_ok_and(|(after, _)| without_extra_fields(after).is_empty())
            && fields.next().is_some_and(|confidence| decimals(confidence, 1))
            && fields.take(4).all(|edge| decimals(edge, 4))
    })
}

/// Parses one box up to its sixth field.
fn detection(input: &[u8]) -> IResult<&[u8], Detection> {
    let separator = |input| delimited(multispace0, char(';'), multispace0).parse(input) as IResult<&[u8], char>;
    let mut field = preceded(separator, float);
    let (input, label) = decimal(input)?;
    let (input, confidence) = preceded(separator, percent).parse(input)?;
    let (input, xmin) = field.parse(input)?;
    let (input, ymin) = field.parse(input)?;
    let (input, xmax) = field.parse(input)?;
    let (input, ymax) = terminated(field, multispace0).parse(input)?;
    Ok((input, Detection { label, confidence, bbox: BBox { xmin, ymin, xmax, ymax }, position: None }))
}

/// Parses the position in millimeters that may follow the sixth field: three fields that are numbers. Returns it with the
/// text after it, or all of the text if the fields are something else.
fn position(text: &[u8]) -> (&[u8], Option<Position>) {
    let field = |text| delimited((char(';'), multispace0), float, multispace0).parse(text) as IResult<&[u8], f32>;
    let (mut rest, mut mm) = (text, [0.0; 3]);
    for coordinate in &mut mm {
        let Ok((after, number)) = field(rest) else { return (text, None) };
        (rest, *coordinate) = (after, number);
    }
    // `7m` is not a number.
    if matches!(rest, [] | [b';' | b'|', ..]) { (rest, Some(Position::from_mm(mm))) } else { (text, None) }
}

/// Returns the text after further fields, which Luxonis' host program ignores, too.
fn without_extra_fields(mut text: &[u8]) -> &[u8] {
    while let [b';', field @ ..] = text {
        let end = field.iter().position(|byte| matches!(byte, b';' | b'|' | b'\r' | b'\n'));
        text = field[end.unwrap_or(field.len())..].trim_ascii_start();
    }
    text
}

/// Returns the text of a box that follows a `;` instead of a `|`. It is not taken for extra fields if it has all six fields
/// and its edges are in or near the picture.
fn joined_box(after: &[u8]) -> Option<&[u8]> {
    let next = after.strip_prefix(b";")?.trim_ascii_start();
    let (end, Detection { bbox: BBox { xmin, ymin, xmax, ymax }, .. }) = detection(next).ok()?;
    let is_near = [xmin, ymin, xmax, ymax].iter().all(|edge| (-1.0..=2.0).contains(edge));
    (is_near && matches!(end, [] | [b'|' | b';', ..])).then_some(next)
}

/// Parses `89.3` as 0.893, the nearest `f32`, and not 0.89300007.
fn percent(input: &[u8]) -> IResult<&[u8], f32> {
    #[allow(clippy::cast_possible_truncation)] // Rounding to the nearest f32 is intended.
    map_opt(recognize(float), |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok())
        .map(|percent| (percent / 100.0) as f32)
        .parse(input)
}

/// A box in the third party's `DETECT` message. Further fields are ignored.
#[derive(serde::Deserialize)]
struct JsonBox {
    label: Option<JsonLabel>,
    confidence: JsonNumber,
    xmin: JsonNumber,
    ymin: JsonNumber,
    xmax: JsonNumber,
    ymax: JsonNumber,
    x: Option<JsonNumber>,
    y: Option<JsonNumber>,
    z: Option<JsonNumber>,
}

impl JsonBox {
    /// Returns the position in millimeters; `None` without `z`, because `x` and `y` alone may be the center of the box.
    fn position(&self) -> Option<Position> {
        let number = |field: &Option<JsonNumber>| field.as_ref().map_or(f32::NAN, |JsonNumber(number)| *number);
        self.z.as_ref().map(|JsonNumber(z)| Position::from_mm([number(&self.x), number(&self.y), *z]))
    }
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum JsonLabel {
    Number(u32),
    Name(String),
    #[allow(dead_code)] // Only that it was something else.
    Other(serde::de::IgnoredAny),
}

/// A number; `NaN` if the value is something else, as in the text form.
#[derive(serde::Deserialize)]
#[serde(from = "AnyNumber")]
struct JsonNumber(f32);

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum AnyNumber {
    Number(f32),
    #[allow(dead_code)] // Only that it was something else.
    Other(serde::de::IgnoredAny),
}

impl From<AnyNumber> for JsonNumber {
    fn from(value: AnyNumber) -> Self {
        match value {
            AnyNumber::Number(number) => Self(number),
            AnyNumber::Other(_) => Self(f32::NAN),
        }
    }
}

/// Appends the boxes in the text of a `DETECT` message to `into`. A class that has a name instead of a number gets a
/// number computed from the name, which is added to `names`.
///
/// Accepts what Python's `json` writes beyond JSON: `NaN`, `Infinity` and `-Infinity`, where boxes have no depth. A
/// coordinate that is not a number becomes `NaN`, and the box is kept.
///
/// # Errors
/// If `text` is not a JSON list of boxes, or has more than `limit`. The boxes before the error have been appended; boxes
/// without a label are left out.
pub fn parse_json(
    text: &[u8],
    limit: usize,
    into: &mut Vec<Detection>,
    names: &mut Arc<LabelMap>,
) -> Result<(), DetectionError> {
    let text = without_python_numbers(text);
    let mut reader = serde_json::Deserializer::from_slice(&text);
    let boxes = JsonBoxes { limit, into, names };
    let read = boxes.deserialize(&mut reader).and_then(|end| reader.end().map(|()| end));
    match read {
        Ok(JsonEnd::Complete) => Ok(()),
        Ok(JsonEnd::TooMany) => Err(DetectionError::TooMany { limit }),
        Ok(JsonEnd::WithoutLabel) => Err(DetectionError::WithoutLabel),
        Err(error) => {
            let stopped = offset(&text, error.line(), error.column());
            let quoted = match error.classify() {
                Category::Eof => text.len()..text.len(),
                // The value before is not a box: it lacks a field.
                Category::Data if stopped > LINE => stopped - LINE..stopped,
                Category::Data => 0..text.len(),
                Category::Syntax | Category::Io => stopped.saturating_sub(1)..text.len(),
            };
            Err(DetectionError::Json { at: quoted.start, found: Excerpt::new(&text[quoted]) })
        }
    }
}

/// As [`parse`] or [`parse_json`], whichever the text looks like. Nothing but white space are no boxes.
///
/// # Errors
/// As theirs.
pub(super) fn parse_any<'a>(
    text: &[u8],
    limit: usize,
    into: &mut Vec<Detection>,
    names: impl FnOnce() -> &'a mut Arc<LabelMap>,
) -> Result<(), DetectionError> {
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Ok(()),
        Some(b'[' | b'{') => parse_json(text, limit, into, names()),
        Some(_) => parse(text, limit, into),
    }
}

/// Returns the offset of a column, both counted from 1; columns count bytes. JSON of several lines has one per box.
fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    (before + column).min(text.len())
}

/// Replaces the words `NaN`, `Infinity` and `-Infinity` outside strings by an empty list and spaces, which is valid JSON of
/// the same length and not a number. Invalid UTF-8, which can only be in names, becomes U+FFFD.
fn without_python_numbers(text: &[u8]) -> Vec<u8> {
    let mut text = String::from_utf8_lossy(text).into_owned().into_bytes();
    let mut at = 0;
    let mut in_string = false;
    while let Some(byte) = text.get(at) {
        let word = [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|word| text[at..].starts_with(word));
        at += match (in_string, *byte, word) {
            (true, b'\\', _) => 2,
            (false, _, Some(word)) => {
                text[at..at + word.len()].fill(b' ');
                text[at..at + 2].copy_from_slice(b"[]");
                word.len()
            }
            (_, byte, _) => {
                in_string ^= byte == b'"';
                1
            }
        };
    }
    text
}

/// How a list of boxes ended.
enum JsonEnd {
    Complete,
    TooMany,
    /// At least one box has no label.
    WithoutLabel,
}

/// Appends boxes one by one, so that a long list takes no memory of its own.
struct JsonBoxes<'a> {
    limit: usize,
    into: &'a mut Vec<Detection>,
    names: &'a mut Arc<LabelMap>,
}

impl<'de> DeserializeSeed<'de> for JsonBoxes<'_> {
    type Value = JsonEnd;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<JsonEnd, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for JsonBoxes<'_> {
    type Value = JsonEnd;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of boxes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut boxes: A) -> Result<JsonEnd, A::Error> {
        let (mut end, first) = (JsonEnd::Complete, self.into.len());
        while let Some(one) = boxes.next_element::<JsonBox>()? {
            if self.into.len() - first >= self.limit {
                while boxes.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                return Ok(JsonEnd::TooMany);
            }
            let position = one.position();
            let JsonBox { label, confidence, xmin, ymin, xmax, ymax, .. } = one;
            let label = match label {
                Some(JsonLabel::Number(label)) => label,
                Some(JsonLabel::Name(name)) => {
                    let label = class_number(&name);
                    if self.names.name(label).is_none() && self.names.len() < self.limit {
                        Arc::make_mut(self.names).insert(label, &name);
                    }
                    label
                }
                Some(JsonLabel::Other(_)) | None => {
                    end = JsonEnd::WithoutLabel;
                    continue;
                }
            };
            let [JsonNumber(confidence), JsonNumber(xmin), JsonNumber(ymin), JsonNumber(xmax), JsonNumber(ymax)] =
                [confidence, xmin, ymin, xmax, ymax];
            self.into.push(Detection { label, confidence, bbox: BBox { xmin, ymin, xmax, ymax }, position });
        }
        Ok(end)
    }
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
            assert_eq!(is_list(&text.as_bytes()[..end]), matches!(end, 33 | 34), "cut at {end}");
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
    fn separators_that_scripts_write_are_accepted() {
        let (one, two) = ("0;50.0;0.1;0.2;0.3;0.4", "0;50.0;0.1;0.2;0.3;0.4|1;60.0;0.5;0.6;0.7;0.8");
        for text in [
            two.to_owned(),
            format!("{two}|"),
            format!("{two};"),
            format!("{two};|"),
            format!("{two}\n"),
            format!("{two}|\r\n"),
            format!(" {two} "),
            two.replace(';', "; "),
            two.replace(';', " ; ").replace('|', " | "),
            two.replace('|', ";|"),
            two.replace('|', "|\r\n"),
            two.replace('|', "\n|"),
            two.replace('|', ";extra;7|"),
            two.replace('|', ";1203;-45;2100;0;0;12|"),
        ] {
            let mut found = read(&text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
            if let Some(position) = found[0].position.take() {
                assert_eq!(position.mm(), [1203.0, -45.0, 2100.0], "{text:?}");
            }
            assert_eq!(found, read(two).expect("two boxes"), "{text:?}");
        }
        assert_eq!(read(&format!("{one}|")).map(|found| found.len()), Ok(1));
        assert!(read(" \r\n").expect("no box").is_empty());
    }

    #[test]
    fn three_numbers_after_the_edges_are_the_position_in_millimeters() {
        let good = "0;50.0;0.1;0.2;0.3;0.4";
        let position = |fields: &str| {
            let found = read(&format!("{good}{fields}|{good}")).unwrap_or_else(|error| panic!("{fields}: {error:?}"));
            assert_eq!((found.len(), found[1].position), (2, None), "{fields}");
            found[0].position.map(|position| position.mm().map(|mm| mm.to_string()).join(" "))
        };
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(position(";-120;35.5;1237"), is("-120 35.5 1237"));
        assert_eq!(position(" ; -120 ; 35.5 ; 1237 "), is("-120 35.5 1237"));
        assert_eq!(position(";0;0;0"), is("0 0 0"));
        assert_eq!(position(";nan;inf;1e3"), is("NaN inf 1000"));
        assert_eq!(position(";1;2;3;"), is("1 2 3"));
        assert_eq!(position(";1;2;3;four;5"), is("1 2 3"), "further fields are ignored");
        for none in ["", ";", ";1", ";1;2", ";1;2;", ";1;two;3", ";a;1;2;3", ";1;2;3m", ";1;2;3 4", ";1,2,3"] {
            assert_eq!(position(none), None, "{none}");
        }
        // A `;` instead of the `|` before the next box is still found, with and without a position before it.
        for joined in [format!("{good};{good}"), format!("{good};-120;35;1237;{good}")] {
            assert!(matches!(read(&joined), Err((DetectionError::Separator { number: 1, .. }, 1))), "{joined}");
        }
    }

    #[test]
    fn json_boxes_have_positions_if_they_have_a_z() {
        let position = |members: &str| {
            let text = format!(
                r#"[{{"label": 1, "confidence": 0.5, "xmin": 0.1, "ymin": 0.2, "xmax": 0.3, "ymax": 0.4{members}}}]"#
            );
            let (read, found, _) = json(text.as_bytes());
            assert_eq!((read, found.len()), (Ok(()), 1), "{members}");
            found[0].position.map(|position| position.mm().map(|mm| mm.to_string()).join(" "))
        };
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(position(r#", "x": -120.5, "y": 35, "z": 1237"#), is("-120.5 35 1237"));
        assert_eq!(position(r#", "z": 1237"#), is("NaN NaN 1237"));
        assert_eq!(position(r#", "x": NaN, "y": "far", "z": NaN"#), is("NaN NaN NaN"));
        for none in ["", r#", "x": 0.2, "y": 0.3"#, r#", "x": 1, "y": 2, "z": null"#] {
            assert_eq!(position(none), None, "{none}");
        }
    }

    #[test]
    fn malformed_list_reports_position_and_text() {
        let good = "0;50.0;0.1;0.2;0.3;0.4";
        for (text, number, at, shown, before) in [
            (format!("{good}|x"), 2, 23, "`x`", 1),
            (format!("{good}|{good}|1;2;3"), 3, 51, "nothing", 2),
            ("-1;50.0;0.1;0.2;0.3;0.4".into(), 1, 0, "`-1;50.0;0.1;0.2;0.3;0.4`", 0),
            ("0;50.0;0.1;0.2;0.3".into(), 1, 18, "nothing", 0),
            ("0;;0.1;0.2;0.3;0.4".into(), 1, 2, "`;0.1;0.2;0.3;0.4`", 0),
            ("0,50.0,0.1,0.2,0.3,0.4".into(), 1, 1, "`,50.0,0.1,0.2,0.3,0.4`", 0),
            ("nan;50;0.1;0.2;0.3;0.4".into(), 1, 0, "`nan;50;0.1;0.2;0.3;0.4`", 0),
            (format!("{good}||{good}"), 2, 23, "`|0;50.0;0.1;0.2;0.3;0.4`", 1),
            (format!("|{good}"), 1, 0, "`|0;50.0;0.1;0.2;0.3;0.4`", 0),
            (format!("{good}\n{good}"), 1, 23, "`0;50.0;0.1;0.2;0.3;0.4`", 1),
            (format!("{good};\n{good}"), 1, 24, "`0;50.0;0.1;0.2;0.3;0.4`", 1),
            (format!("{good};{good}"), 1, 23, "`0;50.0;0.1;0.2;0.3;0.4`", 1),
            (format!("{good}/{good}"), 1, 22, "`/0;50.0;0.1;0.2;0.3;0.4`", 1),
            ("0;50.0;0,1;0,2;0,3;0,4".into(), 1, 8, "`,1;0,2;0,3;0,4`", 0),
        ] {
            let (error, found) = read(&text).expect_err(&text);
            let (DetectionError::Malformed { number: n, at: byte, found: excerpt }
            | DetectionError::Separator { number: n, at: byte, found: excerpt }) = error
            else {
                panic!("{error:?}")
            };
            assert_eq!(matches!(error, DetectionError::Separator { .. }), before == number, "{error}");
            assert_eq!((n, byte, &*excerpt.to_string(), found), (number, at, shown, before), "{text:?}");
            assert!(text[byte..].starts_with(std::str::from_utf8(excerpt.bytes()).expect("ASCII")), "{text:?}");
        }
    }

    #[test]
    fn labels_above_the_limit_are_named() {
        for (text, expected) in [
            ("4294967296;87;0.1;0.2;0.3;0.4", "the label of box 1 is `4294967296` at byte 0"),
            (
                "0;50;0.1;0.2;0.3;0.4|99999999999999999999 ;87",
                "the label of box 2 is `99999999999999999999` at byte 21",
            ),
        ] {
            let (error, _) = read(text).expect_err(text);
            assert_eq!(error.to_string(), format!("{expected} of the detections: expected at most 4294967295"));
        }
        assert!(read("4294967295;87;0.1;0.2;0.3;0.4").is_ok());
        assert!(matches!(read("4294967296"), Err((DetectionError::Malformed { .. }, 0))));
    }

    #[test]
    fn names_instead_of_class_numbers_are_named() {
        let good = "0;50.0;0.1;0.2;0.3;0.4";
        for (text, number, at, before) in [
            ("person;50;0.1;0.2;0.3;0.4".to_owned(), 1, 0, 0),
            ("\"person\";50;0.1;0.2;0.3;0.4".to_owned(), 1, 0, 0),
            ("人;50;0.1;0.2;0.3;0.4".to_owned(), 1, 0, 0),
            (format!("{good}|traffic light;50;0.1;0.2;0.3;0.4"), 2, 23, 1),
        ] {
            let (error, found) = read(&text).expect_err(&text);
            let DetectionError::ClassName { number: n, at: byte, .. } = error else { panic!("{error:?}") };
            assert_eq!((n, byte, found), (number, at, before), "{text}");
        }
    }

    #[test]
    fn length_that_counts_the_header_is_named() {
        let good = "0;50.0;0.1;0.2;0.3;0.4";
        let picture = [200, 13, 10, 7].repeat(8);
        for (boxes, count) in [(String::new(), 0), (good.to_owned(), 1), (format!("{good}|{good}|"), 2)] {
            let text = [boxes.as_bytes(), &picture[..]].concat();
            let mut found = Vec::new();
            assert_eq!(parse(&text, 9, &mut found), Err(DetectionError::CountsHeader { len: text.len() }), "{boxes}");
            assert_eq!(found.len(), count, "the boxes are kept");
            let longer = [&text[..], b"x"].concat();
            assert!(
                matches!(
                    parse(&longer, 9, &mut Vec::new()),
                    Err(DetectionError::Malformed { .. } | DetectionError::Separator { .. })
                ),
                "33 bytes"
            );
        }
    }

    #[test]
    fn decimals_of_percentages_are_kept() {
        let found =
            read("1;87.531;0;0;0;0|1;150;0;0;0;0|1;-5;0;0;0;0|1;.0;0;0;0;0").expect_err("no digit before the point");
        assert!(matches!(found, (DetectionError::Malformed { number: 4, at: 46, .. }, 3)), "{found:?}");
        let found = read("1;87.531;0;0;0;0|1;150;0;0;0;0|1;-5;0;0;0;0").expect("boxes");
        let shown: Vec<_> = found.iter().map(|found| found.confidence.to_string()).collect();
        assert_eq!(shown, ["0.87531", "1.5", "-0.05"]);
    }

    #[test]
    fn json_errors_quote_the_text_at_their_position() {
        let good = r#"{"label": 1, "confidence": 0.5, "xmin": 0.1, "ymin": 0.2, "xmax": 0.3, "ymax": 0.4}"#;
        let odd = good.replace("xmax", "width");
        for (text, shown, at) in [
            (format!("[{good},\n {good},\n oops]"), "`oops]`", 2 * good.len() + 7),
            (format!("[\n{good}\n{good}]"), "`{\"label\": 1, \"confidence\": 0.5, ...`", good.len() + 3),
            (format!("[{good}"), "nothing", good.len() + 1),
            ("Bäcker".to_owned(), "`Bäcker`", 0),
            ("{\"boxes\": []}".to_owned(), "`{\"boxes\": []}`", 0),
            (format!("[{odd}]"), "` 0.2, \"width\": 0.3, \"ymax\": 0.4}`", odd.len() + 1 - 32),
        ] {
            let (read, ..) = json(text.as_bytes());
            let Err(DetectionError::Json { at: byte, found }) = read else { panic!("{read:?}") };
            assert_eq!((&*found.to_string(), byte), (shown, at), "{text}");
            assert!(text.as_bytes()[at..].starts_with(found.bytes()), "{found}");
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
        found.clear();
        assert!(parse_json(b"[{}]", 10, &mut found, &mut names).is_err());
        assert!(parse_json(b"nonsense", 10, &mut found, &mut names).is_err());
        assert_eq!(parse_json(text, 1, &mut found, &mut names), Err(DetectionError::TooMany { limit: 1 }));
        assert_eq!(found.len(), 1);
    }

    fn json(text: &[u8]) -> (Result<(), DetectionError>, Vec<Detection>, Arc<LabelMap>) {
        let (mut found, mut names) = (Vec::new(), Arc::default());
        let read = parse_json(text, 10, &mut found, &mut names);
        (read, found, names)
    }

    #[test]
    fn json_values_that_are_not_numbers_cost_no_box() {
        let good = r#"{"label": 1, "confidence": 0.5, "xmin": 0.1, "ymin": 0.2, "xmax": 0.3, "ymax": 0.4}"#;
        for value in ["NaN", "Infinity", "-Infinity", "null", "\"0.5\"", "true", "[1, 2]", "{\"a\": [NaN]}"] {
            for key in ["z", "xmin", "ymax", "confidence"] {
                let odd = good.replacen(&format!("\"{key}\": "), "\"old\": ", 1).replacen(
                    '{',
                    &format!("{{\"{key}\": {value}, "),
                    1,
                );
                let (read, found, _) = json(format!("[{odd}, {good}]").as_bytes());
                assert_eq!((read, found.len()), (Ok(()), 2), "{key}: {value}");
                let is_odd = [found[0].confidence, found[0].bbox.xmin, found[0].bbox.ymax].map(f32::is_nan);
                assert_eq!(is_odd, [key == "confidence", key == "xmin", key == "ymax"], "{key}: {value}");
            }
        }
    }

    #[test]
    fn json_names_keep_words_and_survive_other_encodings() {
        let text = |name: &[u8]| {
            let rest = br#"", "confidence": 1, "xmin": 0, "ymin": 0, "xmax": 1, "ymax": 1}]"#;
            [&br#"[{"label": ""#[..], name, rest].concat()
        };
        for (name, expected) in [
            (&b"NaN"[..], "NaN"),
            (br#"a\" NaN \\"#, "a\" NaN \\"),
            (b"-Infinity", "-Infinity"),
            (b"caf\xe9", "caf\u{fffd}"),
        ] {
            let (read, found, names) = json(&text(name));
            assert_eq!((read, found.len()), (Ok(()), 1), "{expected}");
            assert_eq!(names.name(found[0].label), Some(expected));
        }
    }

    #[test]
    fn json_boxes_before_an_error_are_kept() {
        let good = r#"{"label": 1, "confidence": 0.5, "xmin": 0.1, "ymin": 0.2, "xmax": 0.3, "ymax": 0.4}"#;
        let unnamed = good.replacen('1', "NaN", 1);
        let (read, found, _) = json(format!("[{unnamed}, {good}]").as_bytes());
        assert_eq!((read, found.len()), (Err(DetectionError::WithoutLabel), 1));
        for broken in [format!("[{good}, {{"), format!("[{good}] x"), format!("[{good}, NaN]"), format!("[{good}")] {
            let (read, found, _) = json(broken.as_bytes());
            assert!(matches!(read, Err(DetectionError::Json { .. })) && found.len() == 1, "{broken}: {read:?}");
        }
        let deep = format!("[{}", "[".repeat(100_000));
        assert!(json(deep.as_bytes()).0.is_err());
    }
}
