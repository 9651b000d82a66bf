//! Parser of the lists in `ABCDE-256` headers: `[l, r, u, d]` and `[['ID 0', 54, 105], ...]` (wire.md section 2.3).
//!
//! Luxonis' host program evaluates them as Python, and so runs whatever a peer sends. This parser accepts the two lists
//! exactly as Python prints them, and nothing else.

use nom::bytes::complete::tag;
use nom::character::complete::{char, digit1};
use nom::combinator::{map_opt, opt, recognize};
use nom::sequence::{delimited, pair, preceded};
use nom::{IResult, Parser};

use super::detections::DetectionError;
use crate::frame::{Counters, Track};

/// Side of the picture in whose pixels the camera sends centers.
pub(super) const SIDE: f32 = 300.0;

/// Appends the tracks in the text of a header after its first 32 bytes to `into`, at most `limit` in total, and sets the counters.
///
/// # Errors
/// If the text is not of the form above, or has more tracks. The counters and the tracks before the error have been set.
pub(super) fn parse(
    text: &[u8],
    limit: usize,
    into: &mut Vec<Track>,
    counted: &mut Option<Counters>,
) -> Result<(), DetectionError> {
    let malformed = |rest: &[u8]| DetectionError::Tracks { at: text.len() - rest.len() };
    let (rest, found) = counters(text).map_err(|_| malformed(text))?;
    *counted = Some(found);
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

/// Parses an unsigned number as Python prints it: without leading zeros.
fn decimal(input: &[u8]) -> IResult<&[u8], u32> {
    map_opt(digit1, printed).parse(input)
}

/// Parses a number as Python prints it: without leading zeros, and never `-0`.
fn signed(input: &[u8]) -> IResult<&[u8], i32> {
    let number = recognize(pair(opt(char('-')), digit1));
    map_opt(number, |text: &[u8]| if text == b"-0" { None } else { printed(text) }).parse(input)
}

fn printed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_printed = digits.len() == 1 || !digits.starts_with(b"0");
    std::str::from_utf8(text).ok().filter(|_| is_printed)?.parse().ok()
}

/// Parses the list of four counters.
fn counters(input: &[u8]) -> IResult<&[u8], Counters> {
    let mut next = preceded(tag(&b", "[..]), decimal);
    let (input, left) = preceded(char('['), decimal).parse(input)?;
    let (input, right) = next.parse(input)?;
    let (input, up) = next.parse(input)?;
    let (input, down) = next.parse(input)?;
    let (input, _) = char(']').parse(input)?;
    Ok((input, Counters { left, right, up, down }))
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
        parse(text.as_bytes(), 20, &mut found, &mut None).map(|()| found)
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
        let sent = Counters { left: 1, right: 2, up: 3, down: u32::MAX };
        let header = encode::abcde256(crate::frame::DeviceTime(5), 958, sent, &expected);
        let (mut found, mut counted) = (Vec::new(), None);
        parse(&header[32..], 20, &mut found, &mut counted).expect("the encoder's text");
        assert_eq!((found, counted), (expected.to_vec(), Some(sent)));
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
            ("[0, 0, 0, 0]    [['ID 01', 54, 105]]", 17),
            ("[0, 0, 0, 0]    [['ID 1', -0, 105]]", 17),
            ("[0, 00, 0, 0]   []", 0),
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

    #[test]
    fn counters_before_an_error_are_kept() {
        let counted = |text: &str| {
            let mut counted = None;
            let _ = parse(text.as_bytes(), 20, &mut Vec::new(), &mut counted);
            counted
        };
        let some = Some(Counters { left: 3, right: 14, up: 0, down: 7 });
        assert_eq!(counted("[3, 14, 0, 7]    []"), some);
        assert_eq!(counted("[3, 14, 0, 7]    [nonsense]"), some);
        for none in ["[3, 14, 0]       []", "[3, 14, 0, -7]   []", "[3, 14, 0, 4294967296] []", "(3, 14, 0, 7)"] {
            assert_eq!(counted(none), None, "{none}");
        }
    }

    proptest::proptest! {
        /// Python prints a list in one way only. So a text is accepted exactly if it equals the parsed values, printed again;
        /// anything else is an error within the text.
        #[test]
        fn accepted_texts_are_those_that_python_prints(
            parts in proptest::collection::vec(
                "[0-9]{1,4}|, |\\[|\\]|'ID |'| |-|(\\['ID [0-9]{1,3}', -?[0-9]{1,4}, [0-9]{1,4}\\](, )?)",
                0..12,
            ),
            counted in "\\[[0-9]{1,2}, [0-9]{1,11}, 0, 0\\] {0,5}",
            is_list: bool,
        ) {
            let text = if is_list { format!("{counted}[{}]  ", parts.concat()) } else { parts.concat() };
            let (mut found, mut counted) = (Vec::new(), None);
            match parse(text.as_bytes(), 20, &mut found, &mut counted) {
                Ok(()) => {
                    let Counters { left, right, up, down } = counted.expect("counters are first");
                    let center = |share: f32| (share * SIDE).round() as i32;
                    let print = |Track { id, x, y }: &Track| format!("['ID {id}', {}, {}]", center(*x), center(*y));
                    let printed = found.iter().map(print).collect::<Vec<_>>().join(", ");
                    let after = text.strip_prefix(&format!("[{left}, {right}, {up}, {down}]"));
                    let list = after.map(|after| after.trim_matches(' '));
                    proptest::prop_assert_eq!(list, Some(&*format!("[{printed}]")), "{}", text);
                }
                Err(DetectionError::Tracks { at }) => proptest::prop_assert!(at <= text.len()),
                Err(error) => proptest::prop_assert_eq!(error, DetectionError::TooMany { limit: 20 }),
            }
        }
    }
}
