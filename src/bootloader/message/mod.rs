//! Requests and responses between host and bootloader: C structures, one per packet (bootloader.md 3.1, 3.2). All numbers
//! are little endian. Both directions can be read and written, because the simulator is the camera's end.

mod error;
mod layout;
mod request;
mod response;
mod types;

pub use error::MessageError;
pub use request::Request;
pub use response::Response;
pub use types::{AnnouncedData, ApplicationDetails, BootHeader, BootloaderType, Memory, MemoryDetails, Storage};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootloader::Version;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
    }

    #[test]
    fn every_request_round_trips() {
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
            // Extra bytes are ignored, missing ones are an error.
            assert_eq!(Request::parse(&[&bytes[..], b"more"].concat()), Ok(request));
            assert!((0..len).all(|len| Request::parse(&bytes[..len]).is_err()));
        }
    }

    #[test]
    fn every_response_round_trips() {
        let announced = AnnouncedData { total: 17, packets: 1 };
        let details =
            ApplicationDetails { present: true, firmware_version: Some("c1".into()), name: Some("yolo".into()) };
        let memory = MemoryDetails { memory: Memory::Flash, size: 1 << 27, info: "JEDEC ID: EF 70 21".into() };
        for (response, len) in [
            (Response::FlashComplete(Ok(())), 72),
            (Response::FlashComplete(Err("Not enough space".into())), 72),
            (Response::Progress(0.25), 8),
            (Response::Version(Version::new(0, 0, 28)), 16),
            (Response::Type(BootloaderType::Network), 8),
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
    fn requests_match_captures_of_the_vendors_client() {
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
    fn invalid_messages_are_rejected_with_reason() {
        let error = |bytes: &[u8]| Response::parse(bytes).map_err(|error| error.to_string());
        assert_eq!(error(b"abc"), Err("message too short: expected at least 4 bytes, found 3".into()));
        assert_eq!(error(&[99, 0, 0, 0]), Err("unknown command 99".into()));
        assert_eq!(error(&[0, 0, 0, 0, 1]), Err("FLASH_COMPLETE too short: expected 72 bytes, found 5".into()));
        let unknown_type = [3, 0, 0, 0, 7, 0, 0, 0];
        assert_eq!(error(&unknown_type), Err("BOOTLOADER_TYPE: invalid bootloader type 7".into()));
        let unknown_memory = [16, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff];
        let found = Request::parse(&unknown_memory).map_err(|error| error.to_string());
        assert_eq!(found, Err("GET_MEMORY_DETAILS: invalid memory -2".into()));
    }
}
