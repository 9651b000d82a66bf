//! The response to each request (bootloader.md 3.1, 3.2).

use std::time::Duration;

use super::super::board::Board;
use super::super::fault::CameraFault;
use super::super::{application, map, settings};
use super::{End, Reading, Session};
use crate::bootloader::{
    AnnouncedData, ApplicationDetails, Memory, MemoryDetails, MessageError, Request, Response, Version,
};

/// First version that reports unknown requests as invalid (bootloader.md 3.2).
const INVALID_REPORTED_SINCE: Version = Version::new(0, 0, 21);
/// Request for the memory of the bootloader, which no known host sends.
const BOOTLOADER_MEMORY: [u8; 4] = [11, 0, 0, 0];
const BOOTLOADER_MEMORY_SINCE: Version = Version::new(0, 0, 14);
const NO_EMMC: &str = "No eMMC memory available";

impl Session {
    pub(super) fn request(&mut self, board: &mut Board, bytes: &[u8], now: Duration) {
        if bytes.starts_with(&BOOTLOADER_MEMORY) && board.running.version >= BOOTLOADER_MEMORY_SINCE {
            // Response 5: the bootloader is in the flash.
            return self.respond_bytes(board, [5u32, 0].map(u32::to_le_bytes).concat(), false);
        }
        let request = Request::parse(bytes).or_else(|error| parse_update_flash_ex(board, bytes, error));
        let version = board.running.version;
        let request = match request {
            Ok(request) if request.since() <= version => request,
            other => {
                tracing::debug!("simulated camera: unknown request {other:?}");
                self.history.unknown += 1;
                if version >= INVALID_REPORTED_SINCE {
                    self.respond(board, &Response::NoOp { invalid: true });
                }
                return;
            }
        };
        self.answering = request.name();
        self.history.requests.push(request.clone());
        let response = match request {
            Request::UpdateFlash { total, packets, .. }
            | Request::WriteFlash { total, packets, .. }
            | Request::BootMemory { total, packets }
            | Request::SetConfig { total, packets, clear: false, .. } => {
                return self.begin(board, request, total, packets, now);
            }
            Request::Version => Response::Version(board.config.claims.unwrap_or(version)),
            Request::Commit => Response::Commit(board.config.commit.clone()),
            Request::Type => Response::Type(board.config.kind),
            Request::IsUserBootloader => Response::IsUserBootloader(board.running.is_user),
            Request::NoOp if version >= INVALID_REPORTED_SINCE => Response::NoOp { invalid: false },
            Request::NoOp => return,
            Request::MemoryDetails { memory } => return self.memory_details(board, memory),
            Request::Application { memory } => Response::Application(application_details(board, memory)),
            Request::GetConfig { memory, offset, max } => return self.get_config(board, memory, offset, max),
            Request::SetConfig { memory, offset, clear: true, .. } => {
                Response::FlashComplete(set_config(board, memory, offset, None))
            }
            Request::ReadFlash { memory, offset, total } => return self.read(board, memory, offset, total, now),
            Request::UpdateBootHeader { header, .. } => {
                Response::FlashComplete(board.write_header(header).map_err(|error| error.to_string()))
            }
            Request::BootApplication => {
                let boots = board.boot_application();
                if boots.is_ok() {
                    self.end = Some(End::BootApplication);
                }
                Response::BootApplication(boots)
            }
            Request::UsbRomBoot => {
                self.end = Some(End::UsbRom);
                return;
            }
        };
        self.respond(board, &response);
    }

    fn memory_details(&mut self, board: &mut Board, memory: Memory) {
        let info = if memory == Memory::Emmc { "eMMC" } else { "JEDEC ID: 01 02 20" };
        let details = board.memory(memory).map(|there| MemoryDetails {
            memory,
            size: i64::try_from(there.size()).unwrap_or(i64::MAX),
            info: info.to_owned(),
        });
        let mut bytes = Response::MemoryDetails(details).to_bytes();
        // The response names a missing memory, too (transcript 06).
        bytes[8..12].copy_from_slice(&memory.number().to_le_bytes());
        self.respond_bytes(board, bytes, true);
    }

    fn get_config(&mut self, board: &mut Board, memory: Memory, offset: i64, max: u32) {
        let found = board.config_place(memory, offset).and_then(|(memory, at)| Ok(settings::read(memory, at)?));
        let found = found.and_then(|bytes| {
            let fits = max == 0 || bytes.len() <= max as usize;
            if fits { Ok(bytes) } else { Err("Configuration is larger than the maximum size".to_owned()) }
        });
        let announced = found.as_ref().map(|bytes| AnnouncedData { total: bytes.len() as u32, packets: 1 });
        self.respond(board, &Response::Config(announced.map_err(Clone::clone)));
        if let Ok(bytes) = found {
            self.respond_bytes(board, bytes, false);
        }
    }

    fn read(&mut self, board: &mut Board, which: Memory, offset: u32, total: u32, now: Duration) {
        let offset = u64::from(offset);
        let readable = match board.memory(which) {
            None => Err(NO_EMMC.to_owned()),
            // The text is from the transcripts.
            Some(memory) if offset + u64::from(total) > memory.size() => Err("Read out of bounds".to_owned()),
            Some(_) => Ok(AnnouncedData { total, packets: total.div_ceil(board.config.packet) }),
        };
        let begins = readable.is_ok();
        self.respond(board, &Response::ReadFlash(readable));
        if begins {
            self.reading = Some(Reading { which, offset, left: total });
            self.continue_read(board, now);
        }
    }

    /// Sends the next packet after the previous one is on the line. A whole eMMC would not fit into this host's memory.
    pub(super) fn continue_read(&mut self, board: &mut Board, now: Duration) {
        let Some(main) = self.main else { return };
        while let Some(Reading { which, offset, left }) = self.reading
            && self.link.waiting(main) == 0
        {
            if left == 0 {
                self.reading = None;
                return self.answer_waiting(board, now);
            }
            let len = left.min(board.config.packet);
            let bytes = board.memory(which).and_then(|memory| memory.read(offset, len as usize).ok());
            let Some(bytes) = bytes else {
                tracing::warn!("simulated memory: cannot read {len} bytes at {offset}");
                self.end = Some(End::Lost);
                return;
            };
            self.link.send(main, bytes);
            self.reading = Some(Reading { which, offset: offset + u64::from(len), left: left - len });
        }
    }
}

fn application_details(board: &mut Board, memory: Memory) -> Result<ApplicationDetails, String> {
    let at = board.map.application;
    let details = application::details(board.memory(memory).ok_or(NO_EMMC)?, at);
    let (present, details) = (details.is_some(), details.unwrap_or_default());
    Ok(ApplicationDetails { present, firmware_version: details.firmware_version, name: details.name })
}

pub(super) fn set_config(board: &mut Board, memory: Memory, offset: i64, bytes: Option<&[u8]>) -> Result<(), String> {
    if board.occurs(&CameraFault::ConfigRefused) {
        return Err("Failure overwriting configuration".to_owned());
    }
    let pretended = board.occurs(&CameraFault::ConfigNotWritten);
    let (memory, at) = board.config_place(memory, offset)?;
    match bytes {
        _ if pretended => Ok(()),
        Some(bytes) => settings::write(memory, at, bytes),
        None => settings::clear(memory, at),
    }
}

/// Parses UPDATE_FLASH_EX, which names a section instead of an offset. The protocol defines it, but no known host uses it.
fn parse_update_flash_ex(board: &Board, bytes: &[u8], error: MessageError) -> Result<Request, MessageError> {
    let word = |at: usize| bytes.get(at..)?.first_chunk().map(|word| i32::from_le_bytes(*word));
    if error != MessageError::UnknownCommand(5) {
        return Err(error);
    }
    let request = || {
        let (memory, section) = (Memory::from_number(word(4)?)?, word(8)?);
        let offset = match section {
            0 => map::BOOT_HEADER,
            1 => map::BOOTLOADER,
            2 => board.map.config,
            3 => board.map.application,
            4 => board.map.user_bootloader?,
            _ => return None,
        };
        let (total, packets) = (word(12)?.cast_unsigned(), word(16)?.cast_unsigned());
        Some(Request::WriteFlash { memory, offset: u32::try_from(offset).ok()?, total, packets })
    };
    request().ok_or(error)
}
