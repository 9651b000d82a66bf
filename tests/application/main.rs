//! Applications for cameras: built, inspected, compared with the vendor's, and run in a simulated camera.

mod build;
mod inspect_package;
mod script;
mod simulate;
mod vendor_formats;
mod vendor_packages;

mod script_datagrams;
mod script_node;

#[path = "../support/external_tools.rs"]
mod external_tools;
#[path = "../support/luxonis_page.rs"]
mod luxonis_page;
#[path = "../support/program.rs"]
mod program;
