//! The protocol of the bootloader, which reads and writes a camera's memories and boots its application (bootloader.md 3).
//!
//! ```text
//! async fn task(caller) ---requests---> Client ---packets---> xlink::Link ---bytes---> net
//!                       <--responses---        <--packets---              <--bytes----
//! ```
//!
//! A task is an `async` function over a [`Caller`]. A [`Conversation`] runs it over a [`Client`], which implements the
//! messages, the watchdog and the timeouts. None of them uses a socket, a clock or a runtime: bytes and times are arguments.
//!
//! # Differences from the vendor's client
//!
//! All are intended; bootloader.md 3.3 describes the vendor's behavior:
//!
//! * Every wait has a timeout. The vendor's client waits forever for a camera that acknowledges but does not answer.
//! * A refusal during the upload ends the upload. The vendor's client reads responses only after it.
//! * Padding in structures is zero.
//! * On a slow link, packets are smaller than 5 MiB and few bytes are sent ahead, so that watchdog pings are on time.

pub mod bson;
mod client;
pub mod config;
mod conversation;
mod error;
pub mod map;
mod message;
mod progress;
pub mod reach;
mod settings;
mod version;

pub use client::{BUDGET_BYTES, Client, ClientOptions, RequestData, STREAM, WATCHDOG_BUDGET_BYTES, WATCHDOG_STREAM};
pub use conversation::{BootloaderInfo, Caller, Conversation, ConversationEvent, Hold};
pub use error::{ClientError, Stopped};
pub use message::{
    AnnouncedData, ApplicationDetails, BootHeader, BootloaderType, Memory, MemoryDetails, MessageError, Request,
    Response, Storage,
};
pub use progress::TransferProgress;
pub use settings::SettingsError;
pub use version::Version;
