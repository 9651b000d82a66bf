//! Fields of HTTP responses and of parts.

use memchr::memchr;

/// Returns the boundary that a `Content-Type` declares; `None` if it does not.
#[must_use]
pub fn boundary(content_type: &str) -> Option<String> {
    let mut rest = content_type.split_once(';')?.1;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start_matches([' ', '\t']);
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim_end().to_owned(), &after[end..])
            }
        };
        if name.trim().eq_ignore_ascii_case("boundary") {
            return (!value.is_empty()).then_some(value);
        }
        rest = next;
    }
}

/// Returns the text up to the closing quote, and the rest after it.
fn unquote(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// Fields of a part's head.
pub(super) struct PartHead {
    pub(super) len: Option<u64>,
    /// Not declared as something else than a picture.
    pub(super) is_picture: bool,
}

impl PartHead {
    pub(super) fn parse(head: &[u8]) -> Self {
        let (mut len, mut is_picture) = (None, true);
        for line in head.split(|byte| *byte == b'\n') {
            let Some(colon) = memchr(b':', line) else { continue };
            let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                // A length that is not a number is as good as none.
                len = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            } else if name.eq_ignore_ascii_case(b"content-type") {
                let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
                let begins = |with: &[u8]| kind.get(..with.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(with));
                is_picture = kind.is_empty() || begins(b"image/") || begins(b"application/octet-stream");
            }
        }
        Self { len, is_picture }
    }
}
