//! The protocols without sockets: the camera's stream and the bootloader's packets. Needs no feature of the crate.

mod bootloader_transcripts;
mod captures;
mod decoder;
mod work;
