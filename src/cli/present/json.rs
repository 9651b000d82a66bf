//! JSON on standard output.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::result;

/// A summary was printed.
static PRINTED: AtomicBool = AtomicBool::new(false);

/// Returns whether the command has printed a summary.
pub(super) fn has_printed() -> bool {
    PRINTED.load(Ordering::Relaxed)
}

/// Prints `{"summary": ...}` on one line. The key tells it apart from the lines that a command printed before.
pub(crate) fn document<T: Serialize>(document: &T) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        summary: &'a T,
    }
    let line = json(&Line { summary: document })?;
    PRINTED.store(true, Ordering::Relaxed);
    result(line.as_bytes())
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
