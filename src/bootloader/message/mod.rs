//! What host and bootloader say to each other: C structures, one a packet (bootloader.md 3.1, 3.2). All numbers are little
//! endian. Both directions are read and written here, because the simulator is the other end.

mod layout;
mod request;
mod response;

pub use request::Request;
pub use response::Response;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootloader::Version;

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
