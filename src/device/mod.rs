//! The application on the camera: its parameters, its nodes and links, and the files that they use.
//!
//! | Module | Holds |
//! |---|---|
//! | [`app`] | parameters of an application, checked together |
//! | [`contract`] | properties of the stream that receivers can check |
//! | [`script`] | the program that sends the stream |
//! | [`blob`] | the header of a compiled model |
//! | `firmware` | images from the vendor's package (feature `firmware`) |
//! | [`nop`] | libnop, the encoding of pipelines |
//! | [`schema`] | nodes, links and files as libnop structures |
//! | [`nodes`] | properties and ports of each kind of node |
//! | [`pipeline`] | builds the package of an application |

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
pub mod script_port;
pub mod settings;
