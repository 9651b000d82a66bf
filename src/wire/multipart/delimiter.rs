//! The line between two parts.

use memchr::memmem;

/// A delimiter of fewer bytes also occurs in pictures: then it counts only at the start of a line.
const MIN_UNIQUE_BYTES: usize = 8;

/// Shortest boundary that may be sent without dashes before it.
const MIN_BARE_BYTES: usize = 4;

/// The line between two parts.
#[derive(Debug)]
pub(super) struct Delimiter {
    /// The declared boundary without leading dashes. Empty if none is declared: then the first line with two dashes is it.
    pub(super) name: Vec<u8>,
    /// The delimiter as the server writes it, once it has been seen.
    pub(super) seen: Option<Vec<u8>>,
}

impl Delimiter {
    /// Returns whether a line is a delimiter, which begins a part, or the closing one, which does not.
    pub(super) fn matches(&mut self, line: &[u8]) -> Option<bool> {
        let line = line.trim_ascii_end();
        let dashes = line.iter().take_while(|byte| **byte == b'-').count();
        let rest = &line[dashes..];
        if self.name.is_empty() {
            if dashes < 2 || rest.is_empty() {
                return None;
            }
            self.name = rest.to_vec();
        }
        let is_open = rest == self.name;
        let is_closing = !is_open && rest.strip_suffix(b"--") == Some(&self.name);
        if !(is_open || is_closing) || dashes < 2 && self.name.len() < MIN_BARE_BYTES {
            return None;
        }
        self.seen.get_or_insert_with(|| line[..dashes + self.name.len()].to_vec());
        Some(is_open)
    }

    /// Returns the position and the length of the first delimiter from `from` on, with the newline before it.
    /// `is_start`: the payload starts here.
    pub(super) fn find(&self, payload: &[u8], from: usize, is_start: bool) -> Option<(usize, usize)> {
        let needle = self.seen.as_ref()?;
        let mut from = from;
        loop {
            let at = from + memmem::find(payload.get(from..)?, needle)?;
            let before = &payload[..at];
            let newline = match before {
                [.., b'\r', b'\n'] => 2,
                [.., b'\n'] => 1,
                _ => 0,
            };
            if newline > 0 || at == 0 && is_start || needle.len() >= MIN_UNIQUE_BYTES {
                return Some((at - newline, newline + needle.len()));
            }
            from = at + 1;
        }
    }

    /// Number of bytes at the end of a payload that may be the start of a delimiter, with the newline before it.
    pub(super) fn overlap(&self) -> usize {
        self.seen.as_ref().map_or(0, |seen| seen.len() + 2)
    }
}
