//! Where pictures end up.

pub mod snapshot;
#[cfg(feature = "window")]
pub mod window;
