//! JSON on standard output.

use std::fmt::Write as _;

use serde::Serialize;

use super::result;

/// Prints `{"summary": ...}` on one line. The key tells it apart from the lines that a command printed before.
pub(crate) fn document<T: Serialize>(document: &T) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        summary: &'a T,
    }
    result(json(&Line { summary: document })?.as_bytes())
}

/// Formats one line of JSON in which control characters are escaped, because names in it come from the network.
pub(crate) fn json<T: Serialize>(value: &T) -> anyhow::Result<String> {
    let text = serde_json::to_string(value)?;
    let mut line = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        // Control characters can occur in strings only, where `\u` escapes mean the same.
        if c.is_control() { write!(line, "\\u{:04x}", u32::from(c))? } else { line.push(c) }
    }
    line.push('\n');
    Ok(line)
}
