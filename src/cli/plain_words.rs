//! Errors of parsers in the words of users, to whom the types of Rust mean nothing.

use oaktap::frame::LabelMap;

/// Explains an error about a setting of a file, and names the known setting or word that is most similar.
pub(crate) fn setting(message: &str) -> String {
    for (start, what) in [("unknown field `", "setting"), ("unknown variant `", "value")] {
        if let Some((word, rest)) = message.strip_prefix(start).and_then(|rest| rest.split_once('`')) {
            let known: LabelMap = rest.split('`').skip(1).step_by(2).collect();
            let expected = rest.trim_start_matches(", ");
            return match known.nearest(word) {
                Some(near) => format!("unknown {what} `{word}`; did you mean `{near}`? ({expected})"),
                None => format!("unknown {what} `{word}`; {expected}"),
            };
        }
    }
    let invalid = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    if let Some((found, expected)) = invalid.and_then(|rest| rest.rsplit_once(", expected ")) {
        return format!("expected {}, found {}", kind(expected), example(found));
    }
    match message.strip_prefix("missing field ") {
        Some(field) => format!("the setting {field} is missing"),
        None => value(message).unwrap_or_else(|| message.to_owned()),
    }
}

/// Explains an error about a number or an address. `None` for other errors.
pub(crate) fn value(message: &str) -> Option<String> {
    Some(match message {
        "invalid float literal" | "cannot parse float from empty string" => "expected a number such as 0.5".to_owned(),
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "expected a whole number".to_owned()
        }
        "number too large to fit in target type" => "the number is too large".to_owned(),
        "number too small to fit in target type" => "the number is too small".to_owned(),
        "invalid IPv4 address syntax" => "expected an IPv4 address such as 192.168.1.50".to_owned(),
        range => {
            let (low, high) = range.split_once(" is not in ")?.1.split_once("..")?;
            match high.strip_prefix('=').unwrap_or(high) {
                "" => format!("expected a whole number from {low}"),
                high => format!("expected a whole number from {low} to {high}"),
            }
        }
    })
}

/// Describes what serde expected.
fn kind(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "a boolean" => "true or false",
        "a string" | "string" | "path string" => "a text in quotes",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum ") => "a table",
        other => other,
    }
}

/// Describes what serde found.
fn example(found: &str) -> &str {
    match found {
        "sequence" => "a list",
        "map" => "a table",
        other => {
            let kinds = ["string ", "integer ", "floating point ", "boolean "];
            kinds.iter().find_map(|kind| other.strip_prefix(kind)).unwrap_or(other)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_serde_name_the_nearest_setting_and_no_types() {
        for (message, text) in [
            (
                "unknown field `sise`, expected one of `name`, `size`",
                "unknown setting `sise`; did you mean `size`? (expected one of `name`, `size`)",
            ),
            ("unknown field `zoom`, expected `name`", "unknown setting `zoom`; expected `name`"),
            (
                "unknown variant `4K`, expected one of `1080p`, `4k`",
                "unknown value `4K`; did you mean `4k`? (expected one of `1080p`, `4k`)",
            ),
            ("invalid type: string \"many\", expected f32", "expected a number, found \"many\""),
            ("invalid value: integer `-1`, expected u32", "expected a whole number from 0, found `-1`"),
            ("invalid type: map, expected path string", "expected a text in quotes, found a table"),
            ("invalid type: integer `3`, expected struct App", "expected a table, found `3`"),
            ("missing field `blob`", "the setting `blob` is missing"),
            ("expected a size such as 640x352, found `3`", "expected a size such as 640x352, found `3`"),
        ] {
            assert_eq!(setting(message), text, "{message}");
        }
    }

    #[test]
    fn errors_of_numbers_say_what_is_expected() {
        for (message, text) in [
            ("a".parse::<f32>().expect_err("no number").to_string(), "expected a number such as 0.5"),
            ("".parse::<f32>().expect_err("no number").to_string(), "expected a number such as 0.5"),
            ("a".parse::<u8>().expect_err("no number").to_string(), "expected a whole number"),
            ("".parse::<u8>().expect_err("no number").to_string(), "expected a whole number"),
            ("300".parse::<u8>().expect_err("too large").to_string(), "the number is too large"),
            ("-300".parse::<i8>().expect_err("too small").to_string(), "the number is too small"),
            (
                "a".parse::<std::net::Ipv4Addr>().expect_err("no address").to_string(),
                "expected an IPv4 address such as 192.168.1.50",
            ),
            ("0 is not in 1..=64".to_owned(), "expected a whole number from 1 to 64"),
            ("0 is not in 1..".to_owned(), "expected a whole number from 1"),
        ] {
            assert_eq!(value(&message).as_deref(), Some(text), "{message}");
        }
        assert_eq!(value("expected a time"), None);
    }
}
