//! Errors of parsing the sections of a pipeline.

use crate::device::nop::NopError;

/// Reason for rejecting a section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum SchemaError {
    /// Damaged, or in another encoding.
    #[error("the section is not valid libnop")]
    Nop(#[source] NopError),
    /// The properties of a node are damaged, or in another encoding.
    #[error("the properties of node {node} `{name}` are not valid libnop")]
    Properties { node: i64, name: String, source: NopError },
    /// A structure of another version has another number of members.
    #[error("{what} has {found} members, expected {expected}: unsupported version of depthai")]
    Members { what: String, expected: usize, found: usize },
    /// A structure of another version has another type of member.
    #[error("{what} has {found} as member {member}, expected {expected}: unsupported version of depthai")]
    Kind { what: String, member: usize, expected: &'static str, found: &'static str },
}
