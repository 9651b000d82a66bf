//! The program `oaktap` inside of the library, so that one file has both.

use std::ffi::OsString;

use pyo3::prelude::*;

use crate::cli;

/// Runs the program `oaktap` with these words, the first of which is its own path, and returns its exit code. Ends the process itself
/// after wrong usage, --help and --version.
#[pyfunction]
pub(super) fn main(py: Python<'_>, words: Vec<OsString>) -> u8 {
    // The program handles signals itself.
    py.detach(|| cli::run_program(words))
}
