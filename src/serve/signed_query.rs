//! Queries that end with `expires=UNIX&signature=HEX`: for players and pages that cannot send a token.

/// Bytes of a signature (HMAC-SHA256).
pub(super) const SIGNATURE_BYTES: usize = 32;

/// Reason for refusing a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryError {
    /// `expires` and `signature` are not the last two parameters, or occur again.
    Order,
    /// The time is not a number of seconds.
    Expires,
    /// The signature does not have 64 lower-case hexadecimal digits.
    Signature,
}

impl QueryError {
    /// Returns the expected form.
    #[must_use]
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Order => "expected a query that ends with `expires=UNIX&signature=HEX`, each once",
            Self::Expires => "expected `expires=` and the seconds since 1970, up to 19 digits",
            Self::Signature => "expected `signature=` and 64 lower-case hexadecimal digits",
        }
    }
}

/// A query with a signature, which is not checked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SignedQuery<'a> {
    /// The query up to the signature, with the time: the signature is that of the path, `?` and this.
    pub(super) signed: &'a str,
    /// End of validity in seconds since 1970.
    pub(super) expires_unix_s: u64,
    /// The signature.
    pub(super) signature: [u8; SIGNATURE_BYTES],
}

/// Returns whether a query has a parameter of this name.
pub(super) fn has_parameter(query: &str, name: &str) -> bool {
    query.split('&').any(|parameter| parameter.split('=').next() == Some(name))
}

/// Parses a query. `None` if it has no signature.
///
/// # Errors
/// It has a signature, but not in the expected form.
pub(super) fn parse(query: &str) -> Result<Option<SignedQuery<'_>>, QueryError> {
    if !has_parameter(query, "signature") {
        return Ok(None);
    }
    let (signed, hex) = query.rsplit_once("&signature=").ok_or(QueryError::Order)?;
    let (before, expires) = signed.rsplit_once('&').unwrap_or(("", signed));
    let expires = expires.strip_prefix("expires=").ok_or(QueryError::Order)?;
    if ["expires", "signature"].into_iter().any(|name| has_parameter(before, name)) {
        return Err(QueryError::Order);
    }
    let is_number = (1..=19).contains(&expires.len()) && expires.bytes().all(|byte| byte.is_ascii_digit());
    let expires_unix_s = expires.parse().ok().filter(|_| is_number).ok_or(QueryError::Expires)?;
    Ok(Some(SignedQuery { signed, expires_unix_s, signature: signature(hex).ok_or(QueryError::Signature)? }))
}

/// Upper case is refused, so that each signature has one spelling.
fn signature(hex: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != SIGNATURE_BYTES || !rest.is_empty() {
        return None;
    }
    let mut signature = [0; SIGNATURE_BYTES];
    for (byte, [high, low]) in signature.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(signature)
}
