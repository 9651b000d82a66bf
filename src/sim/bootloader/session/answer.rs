//! Each request, and what is answered (bootloader.md 3.1, 3.2).

use std::time::Duration;

use super::super::board::Board;
use super::super::fault::Fault;
use super::super::{application, map, settings};
use super::{End, Reading, Session};
use crate::bootloader::{
    AnnouncedData, ApplicationDetails, Memory as Which, MemoryDetails, MessageError, Request, Response, Version,
};

/// Since when an operation that is not known is said to be none (bootloader.md 3.2).
const SAYS_INVALID: Version = Version::new(0, 0, 21);
/// In which memory is the bootloader? Nobody asks.
const BOOTLOADER_MEMORY: [u8; 4] = [11, 0, 0, 0];
const SINCE_BOOTLOADER_MEMORY: Version = Version::new(0, 0, 14);
const NO_EMMC: &str = "No eMMC memory available";

impl Session {
    pub(super) fn request(&mut self, board: &mut Board, bytes: &[u8], now: Duration) {
        if bytes.starts_with(&BOOTLOADER_MEMORY) && board.running.version >= SINCE_BOOTLOADER_MEMORY {
            // It is in the flash; the answer is command 5.
            return self.say_bytes(board, [5u32, 0].map(u32::to_le_bytes).concat(), false);
        }
        let request = Request::parse(bytes).or_else(|error| unused_by_the_vendor(board, bytes, error));
        let version = board.running.version;
        let request = match request {
            Ok(request) if request.since() <= version => request,
            other => {
                tracing::debug!("a simulated camera does not know {other:?}");
                self.heard.unknown += 1;
                if version >= SAYS_INVALID {
                    self.say(board, &Response::NoOp { invalid: true });
                }
                return;
            }
        };
        self.answering = request.name();
        self.heard.requests.push(request.clone());
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
            Request::IsUserBootloader => Response::IsUserBootloader(board.running.of_the_user),
            Request::NoOp if version >= SAYS_INVALID => Response::NoOp { invalid: false },
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
        self.say(board, &response);
    }

    fn memory_details(&mut self, board: &mut Board, memory: Which) {
        let info = if memory == Which::Emmc { "eMMC" } else { "JEDEC ID: 01 02 20" };
        let details = board.memory(memory).map(|there| MemoryDetails {
            memory,
            size: i64::try_from(there.size()).unwrap_or(i64::MAX),
            info: info.to_owned(),
        });
        let mut bytes = Response::MemoryDetails(details).to_bytes();
        // Of a memory that is not there its name is given too (transcript 06).
        bytes[8..12].copy_from_slice(&memory.number().to_le_bytes());
        self.say_bytes(board, bytes, true);
    }

    fn get_config(&mut self, board: &mut Board, memory: Which, offset: i64, max: u32) {
        let found = board.config_place(memory, offset).and_then(|(memory, at)| Ok(settings::read(memory, at)?));
        let found = found.and_then(|bytes| {
            let fits = max == 0 || bytes.len() <= max as usize;
            if fits { Ok(bytes) } else { Err("Configuration is larger than the maximum size".to_owned()) }
        });
        let announced = found.as_ref().map(|bytes| AnnouncedData { total: bytes.len() as u32, packets: 1 });
        self.say(board, &Response::Config(announced.map_err(Clone::clone)));
        if let Ok(bytes) = found {
            self.say_bytes(board, bytes, false);
        }
    }

    fn read(&mut self, board: &mut Board, which: Which, offset: u32, total: u32, now: Duration) {
        let offset = u64::from(offset);
        let readable = match board.memory(which) {
            None => Err(NO_EMMC.to_owned()),
            // Words of the transcripts.
            Some(memory) if offset + u64::from(total) > memory.size() => Err("Read out of bounds".to_owned()),
            Some(_) => Ok(AnnouncedData { total, packets: total.div_ceil(board.config.packet) }),
        };
        let begins = readable.is_ok();
        self.say(board, &Response::ReadFlash(readable));
        if begins {
            self.reading = Some(Reading { which, offset, left: total });
            self.read_on(board, now);
        }
    }

    /// Reads the next packet when the one before has been put on the line: memories are larger than this host's.
    pub(super) fn read_on(&mut self, board: &mut Board, now: Duration) {
        let Some(main) = self.main else { return };
        while let Some(Reading { which, offset, left }) = self.reading
            && self.link.waiting(main) == 0
        {
            if left == 0 {
                self.reading = None;
                return self.go_on(board, now);
            }
            let len = left.min(board.config.packet);
            let bytes = board.memory(which).and_then(|memory| memory.read(offset, len as usize).ok());
            let Some(bytes) = bytes else {
                tracing::warn!("a simulated memory cannot be read at {offset}");
                self.end = Some(End::Lost);
                return;
            };
            self.link.send(main, bytes);
            self.reading = Some(Reading { which, offset: offset + u64::from(len), left: left - len });
        }
    }
}

fn application_details(board: &mut Board, memory: Which) -> Result<ApplicationDetails, String> {
    let at = board.map.application;
    let details = application::details(board.memory(memory).ok_or(NO_EMMC)?, at);
    let (present, details) = (details.is_some(), details.unwrap_or_default());
    Ok(ApplicationDetails { present, firmware_version: details.firmware_version, name: details.name })
}

pub(super) fn set_config(board: &mut Board, memory: Which, offset: i64, bytes: Option<&[u8]>) -> Result<(), String> {
    if board.strikes(&Fault::ConfigRefused) {
        return Err("Failure overwriting configuration".to_owned());
    }
    let pretended = board.strikes(&Fault::ConfigNotWritten);
    let (memory, at) = board.config_place(memory, offset)?;
    match bytes {
        _ if pretended => Ok(()),
        Some(bytes) => settings::write(memory, at, bytes),
        None => settings::clear(memory, at),
    }
}

/// UPDATE_FLASH_EX, which names a section instead of an offset: in the protocol, and in nobody's use.
fn unused_by_the_vendor(board: &Board, bytes: &[u8], error: MessageError) -> Result<Request, MessageError> {
    let word = |at: usize| bytes.get(at..)?.first_chunk().map(|word| i32::from_le_bytes(*word));
    if error != MessageError::UnknownCommand(5) {
        return Err(error);
    }
    let request = || {
        let (memory, section) = (Which::from_number(word(4)?)?, word(8)?);
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
