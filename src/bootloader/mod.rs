//! What runs on a camera before its application: it is asked, reads and writes the camera's memories, and boots what is
//! in them (bootloader.md section 3).
//!
//! ```text
//! async fn op(caller) ---calls---> Client ---packets---> xlink::Link ---bytes---> net
//!                     <--replies--        <--packets---              <--bytes----
//! ```
//!
//! What is done with a camera is written as a plain `async` function over a [`Caller`], which reads from top to bottom; a
//! [`Conversation`] runs it over a [`Client`], which knows the messages, the watchdog and the time limits. None of them
//! knows a socket, a clock or a runtime: bytes and times are arguments.
//!
//! # Where it differs from the vendor's client
//!
//! On purpose, and in nothing else (bootloader.md 3.3 says what the vendor's does):
//!
//! * Every wait has a limit. The vendor's client waits for ever for a camera that acknowledges and says nothing.
//! * A refusal is seen while data is still being sent, and ends the sending.
//! * Bytes that only pad a structure are zero.
//! * On a slow link data goes in packets of less than 5 MiB, and little of it ahead, so that the watchdog is served.

pub mod bson;
mod client;
pub mod config;
mod conversation;
mod error;
mod message;
pub mod reach;
mod settings;
mod version;

pub use client::{Client, Data, Options, Progress};
pub use conversation::{Caller, Conversation, Greeting, Told};
pub use error::ClientError;
pub use message::{
    Announced, ApplicationDetails, BootHeader, Memory, MemoryDetails, MessageError, Request, Response, Storage, Type,
};
pub use settings::SettingsError;
pub use version::Version;

/// Name of the stream for requests and responses.
pub const STREAM: &str = "__bootloader";
/// Bytes that may be outstanding on it (bootloader.md 3).
pub const BUDGET: u32 = 5 << 20;
/// Name of the stream that keeps the camera's watchdog quiet.
pub const WATCHDOG: &str = "__watchdog";
/// Bytes that may be outstanding on that (bootloader.md 2.4).
pub const WATCHDOG_BUDGET: u32 = 64;

/// Where things are in the flash of a camera with an Ethernet socket (bootloader.md 3.4). Offsets and sizes in bytes.
pub mod map {
    /// The bootloader, behind the header that the processor's ROM reads.
    pub const BOOTLOADER: u32 = 512;
    /// The second slot, for a bootloader of the user.
    pub const USER_BOOTLOADER: u32 = 0x40_0000;
    /// Room in the second slot.
    pub const USER_BOOTLOADER_SIZE: u32 = (4 << 20) - (16 << 10);
    /// The configuration.
    pub const CONFIG: u32 = 0x7f_c000;
    /// Room for the configuration.
    pub const CONFIG_SIZE: u32 = 16 << 10;
    /// What erased flash is full of.
    pub const ERASED: u8 = 0xff;
    /// The application, to the end of the memory.
    pub const APPLICATION: u32 = 0x80_0000;
}
