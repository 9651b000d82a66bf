//! What runs on a camera: nodes, links between them, and the files that they use.
//!
//! [`app`] says what an application is for, [`contract`] what those who receive its stream may hold it to.
//! [`script`] has the program that sends it.
//! `firmware` finds what the vendor's own package brings along (it takes the feature of that name).
//! [`nop`] reads the encoding in which the firmware wants it, [`schema`] gives its values their names.

pub mod app;
pub mod contract;
#[cfg(feature = "firmware")]
pub mod firmware;
pub mod nop;
pub mod schema;
pub mod script;
