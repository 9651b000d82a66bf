//! An application on its way into a camera's memory.
//!
//! ```text
//! .dap file -> package::Package (table + sections, every checksum) -+
//! camera ----> target::Target   (version, type, memories) ----------+-> Plan::check -> Plan::carry_out -> Flashed
//!                                                                        refuses        write, read back, compare,
//!                                                                                       and only then boot from it
//! ```
//!
//! [`crate::package`] is the container: the table of sections that the bootloader looks for at the application's place in
//! its memory ("SBR", bootloader.md 5), and what it points to. A [`crate::package::Package`] has passed every check that can be
//! made without a camera; [`crate::package::SectionTable`] looks at damaged ones too, and tells what is whole. [`inspect`] tells what is
//! in either.

mod backup;
mod bootloader;
mod erase;
pub mod inspect;
mod job;
mod plan;
mod read_back;
mod receipt;
mod target;

pub use backup::read_applications;
pub use bootloader::{BootloaderImage, ImageError, boot_from_memory, factory_reset, write_factory, write_user};
pub use erase::erase;
pub use job::{FlashError, Flashed, Phase};
pub use plan::{Objection, Plan, Refusal, Wish};
pub use receipt::{PackageFacts, Receipt, SectionFacts};
pub use target::{Target, application};
