//! The application to build: its configuration file, its options, and the package.

pub(crate) mod build_id;
mod config_file;
mod depthai_wheel;
mod options;
mod packing;

pub(crate) use config_file::{CONFIG_FILE, ConfigFile};
pub(crate) use options::{ApplicationArgs, ConfigFileArgs};
pub(crate) use packing::{PackageTarget, PackingArgs};
