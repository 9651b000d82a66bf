//! Flashing of simulated cameras: in memory, by the program, and by the vendor's own client.

mod before_stopping;
mod command;
mod endless;
mod flasher;
mod proof;
#[cfg(unix)]
mod signals;
mod stop;
mod vendor_client;

#[path = "../support/external_tools.rs"]
mod external_tools;
#[path = "../support/program.rs"]
mod program;
