//! Errors of BSON documents.

use crate::error::EncodingError;

/// Reason for rejecting a document. Offsets count from the beginning of the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum BsonError {
    /// The bytes are too few or too many, or nested too deeply.
    #[error("invalid BSON document: {0}")]
    Encoding(#[from] EncodingError),
    /// A length is smaller than its element, or differs from it.
    #[error("the BSON document is damaged at byte {at}: invalid length of {found} bytes")]
    Length { at: usize, found: i32 },
    /// A string does not end with a zero byte.
    #[error("the BSON document is damaged at byte {at}: expected a terminating zero, found {found:#04x}")]
    NoEnd { at: usize, found: u8 },
    /// The type of an element is not supported, so that it could not be written back.
    #[error(
        "`{key}` at byte {at} of the BSON document has unsupported type {kind:#04x} and would be lost by writing the document back"
    )]
    UnknownType { key: String, at: usize, kind: u8 },
    /// A key or a string is not UTF-8.
    #[error("the string at byte {at} of the BSON document is not UTF-8")]
    NotUtf8 { at: usize },
    /// A boolean is neither 0 nor 1.
    #[error("`{key}` at byte {at} of the BSON document is not a boolean: expected 0 or 1, found {found}")]
    NotBoolean { key: String, at: usize, found: u8 },
    /// Two elements have the same key.
    #[error("`{key}` occurs twice in the BSON document, again at byte {at}")]
    SameKey { key: String, at: usize },
    /// The keys of an array are not 0, 1, 2 and so on.
    #[error("the array item at byte {at} of the BSON document has the key `{found}`, expected `{expected}`")]
    NotNumbered { at: usize, expected: usize, found: String },
    /// A key contains a zero byte, which BSON cannot represent.
    #[error("invalid setting name `{}`: contains a zero byte", key.escape_default())]
    ZeroInName { key: String },
}
