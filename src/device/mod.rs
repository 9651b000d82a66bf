//! What runs on a camera: nodes, links between them, and the files that they use.
//!
//! [`nop`] reads the encoding in which the firmware wants it, [`schema`] gives its values their names.

pub mod nop;
pub mod schema;
