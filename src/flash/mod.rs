//! An application on its way into a camera's memory.
//!
//! ```text
//! .dap file -> package::Package (table + sections, every checksum) -> what the camera gets, byte for byte
//! ```
//!
//! [`package`] is the container: the table of sections that the bootloader looks for at the application's place in
//! its memory ("SBR", bootloader.md 5), and what it points to. A [`package::Package`] has passed every check that can be
//! made without a camera; [`package::Table`] looks at damaged ones too, and tells what is whole.

pub mod package;
