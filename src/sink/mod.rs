//! Where pictures end up.

pub(crate) mod names;
pub mod record;
pub mod snapshot;
#[cfg(feature = "window")]
pub mod window;
