//! Errors of messages.

/// Reason for rejecting a message. Lengths are in bytes; `name` is the vendor's name of the structure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum MessageError {
    /// The message is shorter than a command.
    #[error("message too short: expected at least 4 bytes, found {found}")]
    NoCommand { found: usize },
    /// The command is not defined.
    #[error("unknown command {0}")]
    UnknownCommand(u32),
    /// The message is shorter than the structure of its command.
    #[error("{name} too short: expected {expected} bytes, found {found}")]
    Truncated { name: &'static str, expected: usize, found: usize },
    /// The value of a field is not defined.
    #[error("{name}: invalid {field} {found}")]
    InvalidField { name: &'static str, field: &'static str, found: i64 },
}
