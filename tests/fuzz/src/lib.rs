//! What the fuzz targets share: streams to be made up, a decoder run that checks itself, and an eye on memory.

pub mod memory;
pub mod run;
pub mod stream;
