//! User names and passwords of URLs.

use std::fmt::{self, Write as _};

pub(super) use super::spec::HIDDEN;

/// A password, which is in no output.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Returns the text, for the server that it is for. Never for output.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// User name and password for a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Password,
}

impl Credentials {
    /// Parses `USER` or `USER:PASSWORD`, with `%` and two hexadecimal digits for characters that a URL cannot have there.
    pub(super) fn parse(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Self { user: decode(user), password: Password(decode(password)) }
    }
}

/// `USER:***`, because the password is hidden; `USER` without a password.
impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = encode(&self.user, |c| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=".contains(c));
        match self.password.0.is_empty() {
            true => f.write_str(&user),
            false => write!(f, "{user}:{HIDDEN}"),
        }
    }
}

/// The error of a URL whose password is cut. It shows no part of the password.
pub(super) const CUT: &str =
    "a user name or a password has `/`, `?` or `#`; expected %2F, %3F or %23 for these, and %40 for `@`";

/// Replaces `%` and two hexadecimal digits by the byte that they mean.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.first_chunk::<2>().and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Writes characters that are not allowed as `%` and two hexadecimal digits for each byte.
pub(super) fn encode(text: &str, allowed: impl Fn(char) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        if allowed(c) {
            encoded.push(c);
        } else {
            // Writing to a string cannot fail.
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}
