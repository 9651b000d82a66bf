//! What host and bootloader say to each other: C structures, one a packet (bootloader.md 3.1, 3.2). All numbers are little
//! endian. Both directions are read and written here, because the simulator is the other end.

use super::Version;

/// Length of a text in the camera's answers, with the zero behind it (bootloader.md 3.2).
const ERROR: usize = 64;
const COMMIT: usize = 64;
const FIRMWARE_VERSION: usize = 256;
const APPLICATION_NAME: usize = 4096;
const MEMORY_INFO: usize = 512;

/// A memory of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// What the camera takes for it.
    Auto,
    /// The NOR flash.
    Flash,
    /// The eMMC, where there is one.
    Emmc,
}

/// What kind of bootloader it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// Whatever it is.
    Auto,
    /// Of cameras that are connected by USB.
    Usb,
    /// Of cameras with an Ethernet socket.
    Network,
}

/// What [`Request::UpdateFlash`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// An application package, whose table and checksums the camera checks.
    Application,
    /// The bootloader itself.
    Bootloader,
}

/// How the processor is booted from the flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The vendor's words.
pub enum BootHeader {
    Gpio,
    UsbRecovery,
    Normal,
    Fast,
}

/// What a host asks. Lengths are in bytes; `packets` says in how many packets the data follows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The fields have the names of the vendor's structures.
pub enum Request {
    /// Boots the USB ROM.
    UsbRomBoot,
    /// Boots the application that is in the flash.
    BootApplication,
    /// Writes an application or the bootloader; data follows.
    UpdateFlash { storage: Storage, total: u32, packets: u32 },
    /// Which version are you?
    Version,
    /// Boots a firmware from memory; data follows, and no answer.
    BootMemory { total: u32, packets: u32 },
    /// Writes to any offset of a memory; data follows. Nothing is checked by the camera.
    WriteFlash { memory: Memory, offset: u32, total: u32, packets: u32 },
    /// Nothing.
    NoOp,
    /// Which type are you?
    Type,
    /// Writes the configuration (data follows) or clears it. An offset of -1 is the usual place.
    SetConfig { memory: Memory, offset: i64, clear: bool, total: u32, packets: u32 },
    /// Reads the configuration: at most so many bytes, 0 for all.
    GetConfig { memory: Memory, offset: i64, max: u32 },
    /// From which commit were you built?
    Commit,
    /// Writes the header that the processor's ROM reads.
    UpdateBootHeader {
        header: BootHeader,
        offset: i64,
        location: i64,
        dummy_cycles: i32,
        frequency: i32,
        gpio_mode: i32,
    },
    /// Reads from any offset of a memory.
    ReadFlash { memory: Memory, offset: u32, total: u32 },
    /// Which application is in this memory?
    Application { memory: Memory },
    /// How large is this memory?
    MemoryDetails { memory: Memory },
    /// Are you in the second slot?
    IsUserBootloader,
}

/// What the camera answers.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // The fields have the names of the vendor's structures.
pub enum Response {
    /// It is done, or it failed, with the camera's own words.
    FlashComplete(Result<(), String>),
    /// So much of it is done, from 0 to 1.
    Progress(f32),
    Version(Version),
    Type(Type),
    /// The configuration follows in so many bytes and packets.
    Config(Result<Announced, String>),
    BootApplication(Result<(), String>),
    Commit(String),
    /// What was read follows.
    ReadFlash(Result<Announced, String>),
    Application(Result<ApplicationDetails, String>),
    /// `None`: there is no such memory.
    MemoryDetails(Option<MemoryDetails>),
    IsUserBootloader(bool),
    /// It did nothing; if it was asked for something, that is an operation which it does not know.
    NoOp {
        invalid: bool,
    },
}

/// Data that follows a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Bytes.
    pub total: u32,
    /// Packets.
    pub packets: u32,
}

/// The application in a memory, as the bootloader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ApplicationDetails {
    /// Whether there is one.
    pub present: bool,
    /// Version of its firmware.
    pub firmware_version: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// A memory of the camera.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct MemoryDetails {
    /// Which one.
    pub memory: Memory,
    /// Bytes.
    pub size: i64,
    /// What the camera says of it: `JEDEC ID: ...`.
    pub info: String,
}

/// Bytes that are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Not even a command.
    #[error("{found} bytes, where a message has at least 4")]
    Short {
        /// Bytes that came.
        found: usize,
    },
    /// A command that does not exist.
    #[error("command {0} is none that is known")]
    Unknown(u32),
    /// Fewer bytes than its structure has.
    #[error("{name} has {expected} bytes, and {found} came")]
    Truncated {
        /// Name of the structure.
        name: &'static str,
        /// Bytes that it has.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
    /// A number that stands for nothing.
    #[error("{name}: {found} is no {what}")]
    Meaningless {
        /// Name of the structure.
        name: &'static str,
        /// What it should be.
        what: &'static str,
        /// What was found.
        found: i64,
    },
}

impl Memory {
    /// The vendor's number.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Auto => -1,
            Self::Flash => 0,
            Self::Emmc => 1,
        }
    }

    /// The memory of this number.
    #[must_use]
    pub const fn from_number(number: i32) -> Option<Self> {
        match number {
            -1 => Some(Self::Auto),
            0 => Some(Self::Flash),
            1 => Some(Self::Emmc),
            _ => None,
        }
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Flash => "flash",
            Self::Emmc => "emmc",
        })
    }
}

impl std::str::FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "flash" => Ok(Self::Flash),
            "emmc" => Ok(Self::Emmc),
            _ => Err(format!("`{text}` is no memory; expected auto, flash or emmc")),
        }
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Usb => "usb",
            Self::Network => "network",
        })
    }
}

const TYPES: [(i32, Type); 3] = [(-1, Type::Auto), (0, Type::Usb), (1, Type::Network)];
const STORAGES: [Storage; 2] = [Storage::Application, Storage::Bootloader];
const BOOT_HEADERS: [BootHeader; 4] = [BootHeader::Gpio, BootHeader::UsbRecovery, BootHeader::Normal, BootHeader::Fast];

impl Request {
    /// The vendor's name of it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::UsbRomBoot => "USB_ROM_BOOT",
            Self::BootApplication => "BOOT_APPLICATION",
            Self::UpdateFlash { .. } => "UPDATE_FLASH",
            Self::Version => "GET_BOOTLOADER_VERSION",
            Self::BootMemory { .. } => "BOOT_MEMORY",
            Self::WriteFlash { .. } => "UPDATE_FLASH_EX_2",
            Self::NoOp => "NO_OP",
            Self::Type => "GET_BOOTLOADER_TYPE",
            Self::SetConfig { .. } => "SET_BOOTLOADER_CONFIG",
            Self::GetConfig { .. } => "GET_BOOTLOADER_CONFIG",
            Self::Commit => "GET_BOOTLOADER_COMMIT",
            Self::UpdateBootHeader { .. } => "UPDATE_FLASH_BOOT_HEADER",
            Self::ReadFlash { .. } => "READ_FLASH",
            Self::Application { .. } => "GET_APPLICATION_DETAILS",
            Self::MemoryDetails { .. } => "GET_MEMORY_DETAILS",
            Self::IsUserBootloader => "IS_USER_BOOTLOADER",
        }
    }

    /// The first bootloader that knows it.
    #[must_use]
    pub const fn since(&self) -> Version {
        match self {
            Self::UsbRomBoot | Self::BootApplication | Self::UpdateFlash { .. } | Self::Version | Self::NoOp => {
                Version::new(0, 0, 2)
            }
            Self::BootMemory { .. } | Self::WriteFlash { .. } | Self::Type => Version::new(0, 0, 12),
            Self::SetConfig { .. } | Self::GetConfig { .. } => Version::new(0, 0, 14),
            Self::Commit => Version::new(0, 0, 18),
            Self::UpdateBootHeader { .. }
            | Self::ReadFlash { .. }
            | Self::Application { .. }
            | Self::MemoryDetails { .. } => Version::new(0, 0, 19),
            Self::IsUserBootloader => Version::new(0, 0, 21),
        }
    }

    /// The packet. Padding is zero, where the vendor sends what happens to be in memory.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match *self {
            Self::UsbRomBoot => out.u32(0),
            Self::BootApplication => out.u32(1),
            Self::UpdateFlash { storage, total, packets } => out.u32(2).u32(storage as u32).u32(total).u32(packets),
            Self::Version => out.u32(3),
            Self::BootMemory { total, packets } => out.u32(4).u32(total).u32(packets),
            Self::WriteFlash { memory, offset, total, packets } => {
                out.u32(6).i32(memory.number()).u32(offset).u32(total).u32(packets)
            }
            Self::NoOp => out.u32(7),
            Self::Type => out.u32(8),
            Self::SetConfig { memory, offset, clear, total, packets } => {
                out.u32(9).i32(memory.number()).i64(offset).u32(clear.into()).u32(total).u32(packets).u32(0)
            }
            Self::GetConfig { memory, offset, max } => out.u32(10).i32(memory.number()).i64(offset).u32(max).u32(0),
            Self::Commit => out.u32(12),
            Self::UpdateBootHeader { header, offset, location, dummy_cycles, frequency, gpio_mode } => {
                out.u32(13).u32(header as u32).i64(offset).i64(location);
                out.i32(dummy_cycles).i32(frequency).i32(gpio_mode).u32(0)
            }
            Self::ReadFlash { memory, offset, total } => out.u32(14).i32(memory.number()).u32(offset).u32(total),
            Self::Application { memory } => out.u32(15).i32(memory.number()),
            Self::MemoryDetails { memory } => out.u32(16).i32(memory.number()),
            Self::IsUserBootloader => out.u32(17),
        };
        out.0
    }

    /// Reads a packet as a bootloader does.
    ///
    /// # Errors
    /// It is no request.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let command = command(bytes)?;
        let length = |name, expected| Reader::new(bytes, name, expected);
        Ok(match command {
            0 => Self::UsbRomBoot,
            1 => Self::BootApplication,
            2 => {
                let read = length("UPDATE_FLASH", 16)?;
                let storage = read.u32(4);
                let storage = STORAGES.get(storage as usize).ok_or_else(|| read.meaningless("storage", storage))?;
                Self::UpdateFlash { storage: *storage, total: read.u32(8), packets: read.u32(12) }
            }
            3 => Self::Version,
            4 => {
                let read = length("BOOT_MEMORY", 12)?;
                Self::BootMemory { total: read.u32(4), packets: read.u32(8) }
            }
            6 => {
                let read = length("UPDATE_FLASH_EX_2", 20)?;
                let (offset, total, packets) = (read.u32(8), read.u32(12), read.u32(16));
                Self::WriteFlash { memory: read.memory()?, offset, total, packets }
            }
            7 => Self::NoOp,
            8 => Self::Type,
            9 => {
                let read = length("SET_BOOTLOADER_CONFIG", 32)?;
                let (memory, offset) = (read.memory()?, read.i64(8));
                Self::SetConfig { memory, offset, clear: read.u32(16) != 0, total: read.u32(20), packets: read.u32(24) }
            }
            10 => {
                let read = length("GET_BOOTLOADER_CONFIG", 24)?;
                Self::GetConfig { memory: read.memory()?, offset: read.i64(8), max: read.u32(16) }
            }
            12 => Self::Commit,
            13 => {
                let read = length("UPDATE_FLASH_BOOT_HEADER", 40)?;
                let header = read.u32(4);
                let header =
                    BOOT_HEADERS.get(header as usize).ok_or_else(|| read.meaningless("boot header", header))?;
                Self::UpdateBootHeader {
                    header: *header,
                    offset: read.i64(8),
                    location: read.i64(16),
                    dummy_cycles: read.i32(24),
                    frequency: read.i32(28),
                    gpio_mode: read.i32(32),
                }
            }
            14 => {
                let read = length("READ_FLASH", 16)?;
                Self::ReadFlash { memory: read.memory()?, offset: read.u32(8), total: read.u32(12) }
            }
            15 => Self::Application { memory: length("GET_APPLICATION_DETAILS", 8)?.memory()? },
            16 => Self::MemoryDetails { memory: length("GET_MEMORY_DETAILS", 8)?.memory()? },
            17 => Self::IsUserBootloader,
            unknown => return Err(MessageError::Unknown(unknown)),
        })
    }
}

impl Response {
    /// The vendor's name of it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::FlashComplete(_) => "FLASH_COMPLETE",
            Self::Progress(_) => "FLASH_STATUS_UPDATE",
            Self::Version(_) => "BOOTLOADER_VERSION",
            Self::Type(_) => "BOOTLOADER_TYPE",
            Self::Config(_) => "GET_BOOTLOADER_CONFIG",
            Self::BootApplication(_) => "BOOT_APPLICATION",
            Self::Commit(_) => "BOOTLOADER_COMMIT",
            Self::ReadFlash(_) => "READ_FLASH",
            Self::Application(_) => "APPLICATION_DETAILS",
            Self::MemoryDetails(_) => "MEMORY_DETAILS",
            Self::IsUserBootloader(_) => "IS_USER_BOOTLOADER",
            Self::NoOp { .. } => "NO_OP",
        }
    }

    /// The packet, as a bootloader sends it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::FlashComplete(result) => out.u32(0).result(result.as_ref().err()),
            Self::Progress(share) => out.u32(1).u32(share.to_bits()),
            Self::Version(Version { major, minor, patch }) => out.u32(2).u32(*major).u32(*minor).u32(*patch),
            Self::Type(of) => {
                out.u32(3).i32(TYPES.iter().find(|(_, other)| other == of).map_or(-1, |(number, _)| *number))
            }
            Self::Config(result) => out.u32(4).announced(result),
            Self::BootApplication(result) => out.u32(6).result(result.as_ref().err()),
            Self::Commit(commit) => out.u32(7).text(commit, COMMIT),
            Self::ReadFlash(result) => out.u32(8).announced(result),
            Self::Application(result) => {
                let details = result.clone().unwrap_or_default();
                out.u32(9).result(result.as_ref().err());
                out.u32(details.present.into());
                out.u32(details.firmware_version.is_some().into()).u32(details.name.is_some().into());
                out.text(&details.firmware_version.unwrap_or_default(), FIRMWARE_VERSION);
                out.text(&details.name.unwrap_or_default(), APPLICATION_NAME)
            }
            Self::MemoryDetails(details) => {
                let none = MemoryDetails { memory: Memory::Auto, size: 0, info: String::new() };
                let MemoryDetails { memory, size, info } = details.as_ref().unwrap_or(&none);
                out.u32(10).u32(details.is_some().into()).i32(memory.number()).u32(0).i64(*size);
                out.text(info, MEMORY_INFO)
            }
            Self::IsUserBootloader(is) => out.u32(11).u32((*is).into()),
            Self::NoOp { invalid } => out.u32(12).u32((*invalid).into()),
        };
        out.0
    }

    /// Reads a packet of a camera.
    ///
    /// # Errors
    /// It is no response.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let command = command(bytes)?;
        let length = |name, expected| Reader::new(bytes, name, expected);
        Ok(match command {
            0 => Self::FlashComplete(length("FLASH_COMPLETE", 8 + ERROR)?.result()),
            1 => Self::Progress(f32::from_bits(length("FLASH_STATUS_UPDATE", 8)?.u32(4))),
            2 => {
                let read = length("BOOTLOADER_VERSION", 16)?;
                Self::Version(Version::new(read.u32(4), read.u32(8), read.u32(12)))
            }
            3 => {
                let read = length("BOOTLOADER_TYPE", 8)?;
                let found = TYPES.iter().find(|(number, _)| *number == read.i32(4));
                Self::Type(found.ok_or_else(|| read.meaningless("type of a bootloader", read.u32(4)))?.1)
            }
            4 => Self::Config(length("GET_BOOTLOADER_CONFIG", 80)?.announced()),
            6 => Self::BootApplication(length("BOOT_APPLICATION", 8 + ERROR)?.result()),
            7 => Self::Commit(length("BOOTLOADER_COMMIT", 4 + COMMIT)?.text(4, COMMIT)),
            8 => Self::ReadFlash(length("READ_FLASH", 80)?.announced()),
            9 => {
                let read = length("APPLICATION_DETAILS", 84 + FIRMWARE_VERSION + APPLICATION_NAME)?;
                Self::Application(read.result().map(|()| ApplicationDetails {
                    present: read.u32(72) != 0,
                    firmware_version: (read.u32(76) != 0).then(|| read.text(84, FIRMWARE_VERSION)),
                    name: (read.u32(80) != 0).then(|| read.text(340, APPLICATION_NAME)),
                }))
            }
            10 => {
                let read = length("MEMORY_DETAILS", 24 + MEMORY_INFO)?;
                let details = if read.u32(4) == 0 {
                    None
                } else {
                    let memory =
                        Memory::from_number(read.i32(8)).ok_or_else(|| read.meaningless("memory", read.u32(8)))?;
                    Some(MemoryDetails { memory, size: read.i64(16), info: read.text(24, MEMORY_INFO) })
                };
                Self::MemoryDetails(details)
            }
            11 => Self::IsUserBootloader(length("IS_USER_BOOTLOADER", 8)?.u32(4) != 0),
            12 => Self::NoOp { invalid: length("NO_OP", 8)?.u32(4) != 0 },
            unknown => return Err(MessageError::Unknown(unknown)),
        })
    }
}

fn command(bytes: &[u8]) -> Result<u32, MessageError> {
    let first = bytes.first_chunk().ok_or(MessageError::Short { found: bytes.len() })?;
    Ok(u32::from_le_bytes(*first))
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn i32(&mut self, value: i32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn i64(&mut self, value: i64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A text of at most one byte less, with zeros behind it.
    fn text(&mut self, text: &str, len: usize) -> &mut Self {
        let end = self.0.len() + len;
        self.0.extend(text.bytes().take(len - 1));
        self.0.resize(end, 0);
        self
    }

    fn result(&mut self, error: Option<&String>) -> &mut Self {
        self.u32(error.is_none().into()).text(error.map_or("", String::as_str), ERROR)
    }

    fn announced(&mut self, result: &Result<Announced, String>) -> &mut Self {
        let Announced { total, packets } = *result.as_ref().unwrap_or(&Announced { total: 0, packets: 0 });
        self.result(result.as_ref().err()).u32(total).u32(packets)
    }
}

/// A structure that is known to be there.
struct Reader<'a> {
    bytes: &'a [u8],
    name: &'static str,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], name: &'static str, expected: usize) -> Result<Self, MessageError> {
        if bytes.len() < expected {
            return Err(MessageError::Truncated { name, expected, found: bytes.len() });
        }
        Ok(Self { bytes, name })
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes[at..at + N].try_into().expect("its length was looked at")
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    fn i32(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.array(at))
    }

    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.array(at))
    }

    fn text(&self, at: usize, len: usize) -> String {
        let field = &self.bytes[at..at + len];
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(len);
        String::from_utf8_lossy(&field[..end]).into_owned()
    }

    fn result(&self) -> Result<(), String> {
        if self.u32(4) == 0 { Err(self.text(8, ERROR)) } else { Ok(()) }
    }

    fn announced(&self) -> Result<Announced, String> {
        self.result().map(|()| Announced { total: self.u32(72), packets: self.u32(76) })
    }

    fn memory(&self) -> Result<Memory, MessageError> {
        Memory::from_number(self.i32(4)).ok_or_else(|| self.meaningless("memory", self.u32(4)))
    }

    fn meaningless(&self, what: &'static str, found: u32) -> MessageError {
        MessageError::Meaningless { name: self.name, what, found: i64::from(found.cast_signed()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    }

    #[test]
    fn every_request_comes_back() {
        let (total, packets, memory) = (28_573_696, 6, Memory::Emmc);
        for (request, len) in [
            (Request::UsbRomBoot, 4),
            (Request::BootApplication, 4),
            (Request::UpdateFlash { storage: Storage::Bootloader, total, packets }, 16),
            (Request::Version, 4),
            (Request::BootMemory { total, packets }, 12),
            (Request::WriteFlash { memory, offset: 0x80_0000, total, packets }, 20),
            (Request::NoOp, 4),
            (Request::Type, 4),
            (Request::SetConfig { memory, offset: -1, clear: true, total, packets }, 32),
            (Request::GetConfig { memory: Memory::Auto, offset: 0x7f_c000, max: 16_384 }, 24),
            (Request::Commit, 4),
            (
                Request::UpdateBootHeader {
                    header: BootHeader::Fast,
                    offset: 512,
                    location: -1,
                    dummy_cycles: 2,
                    frequency: 3,
                    gpio_mode: -1,
                },
                40,
            ),
            (Request::ReadFlash { memory, offset: 512, total }, 16),
            (Request::Application { memory }, 8),
            (Request::MemoryDetails { memory }, 8),
            (Request::IsUserBootloader, 4),
        ] {
            let bytes = request.to_bytes();
            assert_eq!(bytes.len(), len, "{}", request.name());
            assert_eq!(Request::parse(&bytes), Ok(request.clone()));
            // With anything behind it too, and never with less.
            assert_eq!(Request::parse(&[&bytes[..], b"more"].concat()), Ok(request));
            assert!((0..len).all(|len| Request::parse(&bytes[..len]).is_err()));
        }
    }

    #[test]
    fn every_response_comes_back() {
        let announced = Announced { total: 17, packets: 1 };
        let details =
            ApplicationDetails { present: true, firmware_version: Some("c1".into()), name: Some("yolo".into()) };
        let memory = MemoryDetails { memory: Memory::Flash, size: 1 << 27, info: "JEDEC ID: EF 70 21".into() };
        for (response, len) in [
            (Response::FlashComplete(Ok(())), 72),
            (Response::FlashComplete(Err("Not enough space".into())), 72),
            (Response::Progress(0.25), 8),
            (Response::Version(Version::new(0, 0, 28)), 16),
            (Response::Type(Type::Network), 8),
            (Response::Config(Ok(announced)), 80),
            (Response::Config(Err("No config available".into())), 80),
            (Response::BootApplication(Ok(())), 72),
            (Response::Commit("0123abcd".into()), 68),
            (Response::ReadFlash(Ok(announced)), 80),
            (Response::Application(Ok(details)), 4436),
            (Response::Application(Ok(ApplicationDetails::default())), 4436),
            (Response::Application(Err("no".into())), 4436),
            (Response::MemoryDetails(Some(memory)), 536),
            (Response::MemoryDetails(None), 536),
            (Response::IsUserBootloader(true), 8),
            (Response::NoOp { invalid: true }, 8),
        ] {
            let bytes = response.to_bytes();
            assert_eq!(bytes.len(), len, "{}", response.name());
            assert_eq!(Response::parse(&bytes), Ok(response));
            assert!((0..len).all(|len| Response::parse(&bytes[..len]).is_err()));
        }
    }

    #[test]
    fn as_the_vendors_client_says_it() {
        // captures/bootloader: 06, 11, 13, 20.
        for (hex, request) in [
            ("03000000", Request::Version),
            (
                "0200000000000000 0000b401 06000000",
                Request::UpdateFlash { storage: Storage::Application, total: 0x01b4_0000, packets: 6 },
            ),
            ("0f00000000000000", Request::Application { memory: Memory::Flash }),
            (
                "09000000ffffffffffffffffffffffff000000001100000001000000a2550000",
                Request::SetConfig { memory: Memory::Auto, offset: -1, clear: false, total: 17, packets: 1 },
            ),
        ] {
            let bytes = bytes(&hex.replace(' ', ""));
            assert_eq!(Request::parse(&bytes), Ok(request.clone()));
            let padding = if matches!(request, Request::SetConfig { .. }) { 28 } else { bytes.len() };
            assert_eq!(request.to_bytes()[..padding], bytes[..padding]);
        }
    }

    #[test]
    fn what_is_no_message_says_why() {
        let said = |bytes: &[u8]| Response::parse(bytes).map_err(|error| error.to_string());
        assert_eq!(said(b"abc"), Err("3 bytes, where a message has at least 4".into()));
        assert_eq!(said(&[99, 0, 0, 0]), Err("command 99 is none that is known".into()));
        assert_eq!(said(&[0, 0, 0, 0, 1]), Err("FLASH_COMPLETE has 72 bytes, and 5 came".into()));
        let strange = [3, 0, 0, 0, 7, 0, 0, 0];
        assert_eq!(said(&strange), Err("BOOTLOADER_TYPE: 7 is no type of a bootloader".into()));
        let strange = [16, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff];
        let said = Request::parse(&strange).map_err(|error| error.to_string());
        assert_eq!(said, Err("GET_MEMORY_DETAILS: -2 is no memory".into()));
    }
}
