//! What runs on a camera: nodes, links between them, and the files that they use.
//!
//! [`app`] says what an application is for, [`contract`] what those who receive its stream may hold it to. [`script`] has
//! the program that sends it, [`blob`] reads what a model says of itself.
//! `firmware` finds what the vendor's own package brings along (it takes the feature of that name).
//! [`nop`] reads and writes the encoding in which the firmware wants it, [`schema`] gives its values their names, and
//! [`nodes`] knows how each kind of node is set. [`pipeline`] makes a package of all that.

pub mod app;
pub mod blob;
pub mod contract;
#[cfg(feature = "firmware")]
pub mod firmware;
pub mod nodes;
pub mod nop;
pub mod pipeline;
pub mod schema;
pub mod script;
