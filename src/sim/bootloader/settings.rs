//! The configuration in flash: size, checksum and document (bootloader.md 8), and the settings that the camera reads.

use super::map::CONFIG_SIZE;
use super::memory::MemoryChip;
use crate::bootloader::bson::{BsonDocument, BsonValue};
use crate::package::djb2;

/// Bytes of the size and the checksum before the document. The real framing is unknown (bootloader.md 3.4), but the
/// messages of the bootloader mention both.
const HEADER_BYTES: u64 = 8;

pub(super) const NO_CONFIG: &str = "No config available";
const CHECKSUM: &str = "Configuration data checksum doesn't match";
const CANNOT_PARSE: &str = "Couldn't parse configuration data";
const CANNOT_WRITE: &str = "Failure overwriting configuration";

/// Reads the bytes of the document and verifies their checksum.
pub(super) fn read(memory: &mut MemoryChip, at: u64) -> Result<Vec<u8>, &'static str> {
    let header = memory.read(at, HEADER_BYTES as usize).map_err(|_| NO_CONFIG)?;
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (size, checksum) = (word(0), word(4));
    if size == 0 || u64::from(size) > CONFIG_SIZE - HEADER_BYTES {
        return Err(NO_CONFIG);
    }
    let bytes = memory.read(at + HEADER_BYTES, size as usize).map_err(|_| NO_CONFIG)?;
    if djb2(&bytes) == checksum { Ok(bytes) } else { Err(CHECKSUM) }
}

/// Writes a document and verifies it.
pub(super) fn write(memory: &mut MemoryChip, at: u64, bytes: &[u8]) -> Result<(), String> {
    if bytes.len() as u64 > CONFIG_SIZE - HEADER_BYTES {
        return Err(format!("Not enough space: {}->{}B", bytes.len(), CONFIG_SIZE - HEADER_BYTES));
    }
    BsonDocument::parse(bytes).map_err(|_| CANNOT_PARSE)?;
    clear(memory, at)?;
    let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
    framed.extend(djb2(bytes).to_le_bytes());
    framed.extend_from_slice(bytes);
    memory.write(at, &framed).map_err(|_| CANNOT_WRITE)?;
    if read(memory, at).as_deref() == Ok(bytes) { Ok(()) } else { Err(CANNOT_WRITE.to_owned()) }
}

pub(super) fn clear(memory: &mut MemoryChip, at: u64) -> Result<(), String> {
    memory.erase(at, CONFIG_SIZE).map_err(|_| CANNOT_WRITE.to_owned())
}

/// The settings that the bootloader itself reads. Missing ones are `None` and keep their defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// `appMem`: the memory that holds the application; negative selects the default one.
    pub(super) application_memory: Option<i64>,
    /// `userBlSize` and `userBlChecksum`.
    pub(super) user_bootloader: Option<(u64, u32)>,
    /// `network.timeoutMs`: time to wait for a host; negative means no timeout.
    pub(super) timeout_ms: Option<i64>,
    /// `network.ipv4` in network order, if `network.staticIpv4` is set.
    pub(super) static_ipv4: Option<[u8; 4]>,
}

impl Settings {
    /// Reads the settings, or returns the defaults if the configuration is missing or invalid.
    pub(super) fn of(memory: &mut MemoryChip, at: u64) -> Self {
        let document = read(memory, at).ok().and_then(|bytes| BsonDocument::parse(&bytes).ok()).unwrap_or_default();
        let number = |value: Option<&BsonValue>| value.and_then(BsonValue::as_integer);
        let network = document.get("network");
        let of_network =
            |key: &str| if let Some(BsonValue::Document(network)) = network { network.get(key) } else { None };
        let is_static = of_network("staticIpv4") == Some(&BsonValue::Bool(true));
        let size = number(document.get("userBlSize")).and_then(|size| u64::try_from(size).ok());
        Self {
            application_memory: number(document.get("appMem")),
            user_bootloader: size
                .filter(|size| *size > 0)
                .map(|size| (size, number(document.get("userBlChecksum")).unwrap_or(0) as u32)),
            timeout_ms: number(of_network("timeoutMs")),
            // The document stores the four bytes in network order as a little-endian number (bootloader.md 4).
            static_ipv4: number(of_network("ipv4"))
                .filter(|address| is_static && *address != 0)
                .and_then(|address| u32::try_from(address).ok())
                .map(u32::to_le_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemorySpec;
    use super::*;

    const AT: u64 = 0x1000;

    fn memory() -> MemoryChip {
        MemoryChip::nor(&MemorySpec::of_size(64 * 1024), 0).expect("a memory")
    }

    fn field(kind: u8, name: &str, value: &[u8]) -> Vec<u8> {
        [&[kind], name.as_bytes(), &[0], value].concat()
    }

    fn object(fields: &[Vec<u8>]) -> Vec<u8> {
        let fields = fields.concat();
        [&(fields.len() as u32 + 5).to_le_bytes()[..], &fields, &[0]].concat()
    }

    #[test]
    fn document_of_the_vendor_is_parsed() {
        // {"appMem": 0}, as in transcript 11.
        let minimal = b"\x11\0\0\0\x10appMem\0\0\0\0\0\0";
        let mut memory = memory();
        write(&mut memory, AT, minimal).expect("a document");
        assert_eq!(read(&mut memory, AT).as_deref(), Ok(&minimal[..]));
        let settings = Settings::of(&mut memory, AT);
        assert_eq!(settings, Settings { application_memory: Some(0), ..Settings::default() });
    }

    #[test]
    fn every_setting_is_read() {
        let network = object(&[
            field(0x12, "ipv4", &0xC801_A8C0_i64.to_le_bytes()),
            field(0x04, "ipv6", &object(&[field(0x10, "0", &[0; 4])])),
            field(0x08, "staticIpv4", &[1]),
            field(0x10, "timeoutMs", &(-1i32).to_le_bytes()),
        ]);
        let document = object(&[
            field(0x10, "appMem", &1i32.to_le_bytes()),
            field(0x03, "network", &network),
            field(0x02, "note", b"\x02\0\0\0a\0"),
            field(0x01, "ratio", &0.5f64.to_le_bytes()),
            field(0x0A, "nothing", &[]),
            field(0x12, "userBlChecksum", &0xFFFF_FFF0_i64.to_le_bytes()),
            field(0x10, "userBlSize", &77i32.to_le_bytes()),
        ]);
        let mut memory = memory();
        write(&mut memory, AT, &document).expect("a document");
        let expected = Settings {
            application_memory: Some(1),
            user_bootloader: Some((77, 0xFFFF_FFF0)),
            timeout_ms: Some(-1),
            static_ipv4: Some([192, 168, 1, 200]),
        };
        assert_eq!(Settings::of(&mut memory, AT), expected);
    }

    #[test]
    fn invalid_document_is_refused_and_the_old_one_stays() {
        let mut memory = memory();
        write(&mut memory, AT, &object(&[])).expect("an empty document");
        let mut bottomless = object(&[]);
        for _ in 0..40 {
            bottomless = object(&[field(0x03, "in", &bottomless)]);
        }
        let wrong = [
            vec![],
            b"\x06\0\0\0\0".to_vec(),
            b"\x05\0\0\0\0\0".to_vec(),
            b"\x05\0\0\0\x01".to_vec(),
            object(&[field(0x10, "short", &[0; 3])]),
            object(&[field(0x55, "unknown", &[])]),
            object(&[field(0x02, "endless", &[0xFF; 4])]),
            bottomless,
        ];
        for bytes in wrong {
            assert_eq!(write(&mut memory, AT, &bytes), Err(CANNOT_PARSE.to_owned()), "{bytes:?}");
        }
        let large = object(&[field(0x02, "large", &[&0x4000u32.to_le_bytes()[..], &[0; 0x4000]].concat())]);
        assert_eq!(write(&mut memory, AT, &large), Err(format!("Not enough space: {}->16376B", large.len())));
        assert_eq!(read(&mut memory, AT), Ok(object(&[])));
    }

    #[test]
    fn damaged_and_missing_configurations_have_different_errors() {
        let mut memory = memory();
        assert_eq!(read(&mut memory, AT), Err(NO_CONFIG));
        write(&mut memory, AT, &object(&[field(0x10, "appMem", &[1, 0, 0, 0])])).expect("a document");
        memory.write(AT + 12, &[0x12]).expect("inside");
        assert_eq!(read(&mut memory, AT), Err(CHECKSUM));
        assert_eq!(Settings::of(&mut memory, AT), Settings::default());
        clear(&mut memory, AT).expect("inside");
        assert_eq!(read(&mut memory, AT), Err(NO_CONFIG));
    }
}
