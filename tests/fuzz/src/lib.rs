//! Shared code of the fuzz targets: generated streams, a self-checking decoder run, and a memory meter.

pub mod memory;
pub mod run;
pub mod stream;
