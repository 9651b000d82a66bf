//! Zenoh: sessions with a router, and what oaktap sends over it.
//!
//! | Key | Content |
//! |---|---|
//! | `oaktap/HOST/CAMERA/frame` | image message of each confirmed frame, with a [`Stamp`] as its attachment |
//! | `oaktap/HOST/CAMERA/detections` | `foxglove.ImageAnnotations` of each confirmed frame, with a [`Stamp`] |
//! | `oaktap/HOST/CAMERA/state` | state, rates and losses (JSON); also answers queries |
//! | `oaktap/HOST/CAMERA/ledger` | all counts (JSON); also answers queries |
//! | `oaktap/HOST/CAMERA/control` | answers queries: sets the camera |
//! | `oaktap/HOST/CAMERA/recording` | answers queries: starts and stops the recording of the camera |
//! | `oaktap/HOST/alive`, `oaktap/HOST/CAMERA/alive` | liveliness tokens of a receiver and of its cameras |
//!
//! HOST is the name of the receiving machine. It and CAMERA are one part of a key each: see [`keys::part`].

mod error;
pub(crate) mod keys;
mod session;
mod spec;
mod stamp;

pub use error::ZenohError;
pub(crate) use session::{close, declare_token, has_router, open};
pub use spec::ZenohRouter;
pub(crate) use stamp::{Stamp, new_run};
