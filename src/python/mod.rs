//! The Python library: `import oaktap`.
//!
//! ```text
//! oaktap.open(...) -> Stream --__next__--> Frame --bgr--> Pixels --buffer protocol--> numpy
//!                       |                    +--planes--> Pixels, which are the bytes of the received frame
//!                       +--record--> Recorder
//! oaktap.Recording(path) --[...]--> Frame
//! ```
//!
//! Methods that wait or convert release the interpreter. Frames that Python keeps are the received ones: the pool of the
//! receiver then makes new ones, and [`kept`] counts their bytes and warns.
//!
//! `python/oaktap/__init__.pyi` describes the module for type checkers; a test compares both.

mod buffer;
mod camera;
mod convert;
mod detection;
mod discover;
mod error;
mod exporting;
mod frame;
mod input;
mod kept;
mod open;
mod program;
mod reading;
mod recorder;
mod recording;
mod stream;
mod table;
mod value;

use pyo3::prelude::*;
use pyo3::wrap_pyfunction;

/// Fills the module `oaktap._oaktap`.
#[pymodule]
fn _oaktap(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<buffer::Pixels>()?;
    module.add_class::<camera::Camera>()?;
    module.add_class::<detection::Detection>()?;
    module.add_class::<frame::Frame>()?;
    module.add_class::<recorder::Recorder>()?;
    module.add_class::<recording::Frames>()?;
    module.add_class::<recording::Recording>()?;
    module.add_class::<stream::Stream>()?;
    module.add_function(wrap_pyfunction!(discover::discover, module)?)?;
    module.add_function(wrap_pyfunction!(exporting::export_recordings, module)?)?;
    module.add_function(wrap_pyfunction!(open::open, module)?)?;
    module.add_function(wrap_pyfunction!(open::record, module)?)?;
    module.add_function(wrap_pyfunction!(program::main, module)?)?;
    error::add(module)
}
