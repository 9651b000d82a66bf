//! Where pictures end up.

pub(crate) mod names;
#[cfg(feature = "recording")]
pub mod record;
pub mod snapshot;
#[cfg(feature = "window")]
pub mod window;
