//! Writes an application, or a bootloader, into a camera's memory.
//!
//! ```text
//! .dap file -> package::Package (table + sections, every checksum) -+
//! camera ----> FlashTarget      (version, type, memories) ----------+-> Plan::make -> [Step] -> Plan::carry_out -> Flashed
//!                                                                       refuses       printed   performs each step
//! ```
//!
//! All refusals happen before the first [`Step`]. `oaktap flash --dry-run` prints the steps of a [`Plan`], and
//! [`Plan::carry_out`] performs the same list. The bootloader and the erasing of an application use the same steps.
//! [`inspect`] reports the content of a package file, damaged or not.

mod backup;
mod boot_obstacle;
mod bootloader;
mod carry_out;
mod erase;
mod error;
pub mod inspect;
mod link_speed;
mod plan;
mod read_back;
mod step;
mod target;

pub use backup::{FoundApplication, application_damage, read_applications};
pub use boot_obstacle::{BootObstacle, boot_obstacle};
pub use bootloader::{
    BootloaderImage, BootloaderImageError, boot_from_memory, factory_reset, write_factory_bootloader,
    write_user_bootloader,
};
pub use carry_out::Flashed;
pub use erase::erase_applications;
pub use error::{FlashError, Objection, Phase, Refusal};
pub use plan::{FlashOptions, Plan};
pub use step::{Region, Setting, Step};
pub use target::{FlashTarget, application_details};
