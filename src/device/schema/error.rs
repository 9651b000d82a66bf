//! Why an application cannot be told from its package.

use crate::device::nop::NopError;

/// Why a section cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields stand in the texts.
pub enum SchemaError {
    /// It is not written in that way, or damaged.
    #[error("the section is no libnop")]
    Nop(#[source] NopError),
    /// The settings of a node are not written in that way, or damaged.
    #[error("the properties of node {node} `{name}` are no libnop")]
    Properties { node: i64, name: String, source: NopError },
    /// Another version's.
    #[error("{what} has {found} members, expected {expected}: it is of a version of depthai that is not known here")]
    Members { what: String, expected: usize, found: usize },
    /// Another version's, too.
    #[error(
        "{what} has {found} as member {member}, expected {expected}: it is of a version of depthai that is not known here"
    )]
    Kind { what: String, member: usize, expected: &'static str, found: &'static str },
}
