//! What the sockets and the clocks of this host need.

pub mod clock;
pub mod discovery;
pub mod interfaces;
pub mod knock;
pub(crate) mod low_water;
pub mod proof;
pub(crate) mod serving;
pub mod talk;
