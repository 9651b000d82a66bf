//! Parser of the lists in `ABCDE-256` headers: `[l, r, u, d]` and `[['ID 0', 54, 105], ...]` (wire.md section 2.3).
//!
//! Luxonis' host program evaluates them as Python, and so runs whatever a peer sends. This parser accepts the two lists
//! exactly as Python prints them, and nothing else.

use nom::bytes::complete::tag;
use nom::character::complete::{char, i32 as signed, u32 as decimal};
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

use super::detections::DetectionError;
use super::text::number;
use crate::frame::Track;

/// Side of the picture in whose pixels the camera sends centers.
pub(super) const SIDE: f32 = 300.0;

/// Appends the tracks in the text of a header after its first 32 bytes to `into`, at most `limit` in total.
///
/// # Errors
/// If the text is not of the form above, or has more tracks. Those before the error have been appended.
pub(super) fn parse(text: &[u8], limit: usize, into: &mut Vec<Track>) -> Result<(), DetectionError> {
    let malformed = |rest: &[u8]| DetectionError::Tracks { at: text.len() - rest.len() };
    let (rest, ()) = counters(text).map_err(|_| malformed(text))?;
    let mut rest = rest.trim_ascii_start();
    let mut before: &[u8] = b"[";
    loop {
        let after = rest.strip_prefix(before).ok_or_else(|| malformed(rest))?;
        rest = match track(after) {
            Ok(_) if into.len() >= limit => return Err(DetectionError::TooMany { limit }),
            Ok((rest, found)) => {
                into.push(found);
                rest
            }
            // Only the empty list has no track after its bracket.
            Err(_) if before == b"[" => after,
            Err(_) => return Err(malformed(after)),
        };
        if let Some(padding) = rest.strip_prefix(b"]") {
            let is_padding = padding.iter().all(|byte| *byte == b' ');
            return if is_padding { Ok(()) } else { Err(malformed(padding)) };
        }
        before = if before == b"[" && rest.len() == after.len() { return Err(malformed(rest)) } else { b", " };
    }
}

/// Parses the list of four counters.
fn counters(input: &[u8]) -> IResult<&[u8], ()> {
    let mut next = preceded(tag(&b", "[..]), number);
    let (input, _) = preceded(char('['), number).parse(input)?;
    let (input, _) = next.parse(input)?;
    let (input, _) = next.parse(input)?;
    let (input, _) = next.parse(input)?;
    let (input, _) = char(']').parse(input)?;
    Ok((input, ()))
}

/// Parses one track: `['ID 0', 54, 105]`.
fn track(input: &[u8]) -> IResult<&[u8], Track> {
    let (input, id) = delimited(tag(&b"['ID "[..]), decimal, char('\'')).parse(input)?;
    let (input, x) = preceded(tag(&b", "[..]), signed).parse(input)?;
    let (input, y) = delimited(tag(&b", "[..]), signed, char(']')).parse(input)?;
    #[allow(clippy::cast_precision_loss)] // Pixels of a small picture.
    Ok((input, Track { id, x: x as f32 / SIDE, y: y as f32 / SIDE }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode;

    fn read(text: &str) -> Result<Vec<Track>, DetectionError> {
        let mut found = Vec::new();
        parse(text.as_bytes(), 20, &mut found).map(|()| found)
    }

    #[test]
    fn tracks_printed_by_python_are_parsed() {
        let text = format!("{:16}{:208}", "[3, 14, 0, 0]", "[['ID 0', 54, 105], ['ID 4294967295', -3, 300]]");
        let expected = [Track { id: 0, x: 0.18, y: 0.35 }, Track { id: u32::MAX, x: -0.01, y: 1.0 }];
        assert_eq!(read(&text).as_deref(), Ok(&expected[..]));
        assert_eq!(
            read("[1000, 100, 0, 0][['ID 0', 54, 105], ['ID 4294967295', -3, 300]]").expect("unpadded"),
            expected
        );
        assert_eq!(read(&format!("{:16}{:208}", "[0, 0, 0, 0]", "[]")), Ok(Vec::new()));
        let header = encode::abcde256(crate::frame::DeviceTime(5), 958, [1, 2, 3, 4], &expected);
        let mut found = Vec::new();
        parse(&header[32..], 20, &mut found).expect("what the encoder writes");
        assert_eq!(found, expected);
    }

    #[test]
    fn everything_else_is_an_error_where_it_starts() {
        for (text, at) in [
            ("", 0),
            ("[0, 0, 0, 0]", 12),
            ("[0, 0, 0]      []", 0),
            ("[0, 0, 0, 0]    [['ID 0', 54, 105]", 34),
            ("[0, 0, 0, 0]    [['ID 0', 54, 105] ]", 34),
            ("[0, 0, 0, 0]    [['ID 0', 54, 105], ]", 36),
            ("[0, 0, 0, 0]    [['ID 0', 54, 105],['ID 1', 5, 10]]", 34),
            ("[0, 0, 0, 0]    [['ID 0', 54, 105]] x", 35),
            ("[0, 0, 0, 0]    [['ID 0', 5.4, 105]]", 17),
            ("[0, 0, 0, 0]    [['ID 0', 99999999999, 105]]", 17),
            ("[0, 0, 0, 0]    [['ID -1', 54, 105]]", 17),
            ("[0, 0, 0, 0]    [[\"ID 0\", 54, 105]]", 17),
            ("[0, 0, 0, 0]    [['Person 0', 54, 105]]", 17),
            ("[0, 0, 0, 0]    [__import__('os').system('true')]", 17),
            ("[0, 0, 0, 0]    [[[[[[[[[[[]]]]]]]]]]]", 17),
        ] {
            assert_eq!(read(text), Err(DetectionError::Tracks { at }), "{text}");
        }
    }

    #[test]
    fn the_number_of_tracks_is_limited() {
        let tracks = |count: usize| format!("[0, 0, 0, 0]    [{}]", vec!["['ID 7', 1, 2]"; count].join(", "));
        assert_eq!(read(&tracks(20)).map(|found| found.len()), Ok(20));
        assert_eq!(read(&tracks(21)), Err(DetectionError::TooMany { limit: 20 }));
    }
}
