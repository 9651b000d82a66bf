//! Extracts firmware and bootloaders from the vendor's package, depthai, which must not be redistributed.
//!
//! ```text
//! depthai-2.30.0.0-...whl (zip) -> depthai.cpython-...so -+-> xz stream -> tar -> depthai-bootloader-eth.cmd
//!                                                         +-> xz stream -> tar -> depthai-device-openvino-universal-COMMIT.cmd
//!                                                                                 depthai-device-openvino-2021.3-COMMIT.patch
//! ```
//!
//! The offsets of the streams are unknown, so the module is searched for the magic of xz; matches that do not decompress are
//! skipped (bootloader.md 5.1).

mod device;
mod patch;
mod preboot;

use std::borrow::Cow;
use std::io::{self, Cursor, Read};

use lzma_rust2::XzReader;
use memchr::memmem;
use zip::ZipArchive;
use zip::result::ZipError;

use super::blob::OpenVino;
pub use super::pipeline::Firmware;
pub use device::{DeviceImages, KNOWN_FIRMWARE, KnownFirmware, device_firmware, simulated_firmware};
pub use patch::PatchError;

/// File name of the bootloader for PoE cameras.
pub const NETWORK_BOOTLOADER: &str = "depthai-bootloader-eth.cmd";
/// File name of the bootloader for USB cameras.
pub const USB_BOOTLOADER: &str = "depthai-bootloader-usb.cmd";

/// Magic of zip archives, and so of wheels.
const ZIP: &[u8] = b"PK\x03\x04";
/// Magics of extension modules: Linux, Windows, macOS (one architecture, universal).
const MODULES: [&[u8]; 4] = [b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"];
/// Magic of xz streams (bootloader.md 5.1).
const XZ: &[u8] = b"\xfd7zXZ\0";
/// The extension module of 2.30 has 24 MB.
const MODULE_BYTES_MAX: u64 = 256 << 20;
/// The largest file in the archives, the firmware, has 28 MB.
const IMAGE_BYTES_MAX: u64 = 64 << 20;
/// Limit of a decompressed stream. The larger one of 2.30 has 28 MB.
const STREAM_BYTES_MAX: u64 = 256 << 20;
/// Matches of the magic that are tried. 2.30 has four, two of them streams.
const STREAMS_MAX: usize = 64;
/// Memory for decompressing. The vendor's streams need 64 MiB.
const XZ_MEMORY_MAX_KIB: u32 = 256 << 10;

/// Reason for not finding an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum FirmwareError {
    /// Neither a wheel nor an extension module.
    #[error("expected a depthai wheel (.whl) or its extension module, found a file that begins with \"{}\"", found.escape_ascii())]
    Magic { found: Vec<u8> },
    /// The zip archive is damaged.
    #[error("the wheel cannot be read")]
    Zip(#[source] ZipError),
    /// A file in the wheel is damaged.
    #[error("`{name}` cannot be decompressed: the file is damaged")]
    Member { name: String, source: io::Error },
    /// The wheel of another package.
    #[error("the wheel has no extension module `depthai...`: expected a wheel of depthai 2")]
    NoModule,
    /// No archive has the file.
    #[error("`{wanted}` was not found in {streams} archives with {}", if found.is_empty() { "no files".to_owned() } else { found.join(", ") })]
    NotFound { wanted: String, streams: usize, found: Vec<String> },
    /// Structures have no member names, so another firmware may interpret the properties of a node differently.
    #[error(
        "unknown device firmware (commit {found}): expected that of depthai {}; get one with `pip download --no-deps depthai=={}`",
        KNOWN_FIRMWARE.map(|known| known.version).join(", "), KNOWN_FIRMWARE[0].version
    )]
    UnknownCommit { found: String },
    /// The package has no firmware for models of this version.
    #[error("no firmware for models of OpenVINO {wanted}: compile the model for 2022.1 or 2021.4")]
    NoOpenVino { wanted: OpenVino },
    /// The patch for models of an older OpenVINO is damaged.
    #[error("patch `{name}` cannot be applied")]
    Patch { name: String, source: PatchError },
    /// The file is larger than any known one.
    #[error("`{name}` has more than {max} bytes")]
    TooLarge { name: String, max: u64 },
}

/// Returns `true` if a file begins with the magic of a wheel or an extension module.
#[must_use]
pub fn is_package(file: &[u8]) -> bool {
    file.starts_with(ZIP) || is_module(file)
}

/// Returns name and bytes of the first file whose name begins with `wanted`, from a wheel or its extension module.
///
/// # Errors
/// `file` is neither, is damaged, or does not have the wanted file.
pub fn image(file: &[u8], wanted: &str) -> Result<(String, Vec<u8>), FirmwareError> {
    images(file, wanted).map(|mut images| images.swap_remove(0))
}

/// All files of one archive whose names begin with `wanted`, at least one.
fn images(file: &[u8], wanted: &str) -> Result<Vec<(String, Vec<u8>)>, FirmwareError> {
    if !file.starts_with(ZIP) {
        return if is_module(file) {
            search(file, wanted)
        } else {
            Err(FirmwareError::Magic { found: file[..file.len().min(8)].to_vec() })
        };
    }
    search(&module(file)?, wanted)
}

fn is_module(file: &[u8]) -> bool {
    MODULES.iter().any(|magic| file.starts_with(magic))
}

/// The extension module of a wheel, which is in its top folder.
fn module(wheel: &[u8]) -> Result<Vec<u8>, FirmwareError> {
    let mut archive = ZipArchive::new(Cursor::new(wheel)).map_err(FirmwareError::Zip)?;
    let is_module = |name: &String| {
        let ends = [".so", ".pyd", ".dylib"].iter().any(|end| name.ends_with(end));
        ends && name.starts_with("depthai") && !name.contains('/')
    };
    // The module's name is valid UTF-8.
    let mut names = archive.file_names().filter_map(Result::ok).map(Cow::into_owned);
    let name = names.find(is_module).ok_or(FirmwareError::NoModule)?;
    drop(names);
    let file = archive.by_name(&name).map_err(FirmwareError::Zip)?;
    read(file, name, MODULE_BYTES_MAX)
}

fn read(file: impl Read, name: String, max: u64) -> Result<Vec<u8>, FirmwareError> {
    let mut bytes = Vec::new();
    match file.take(max + 1).read_to_end(&mut bytes) {
        Err(source) => Err(FirmwareError::Member { name, source }),
        Ok(len) if len as u64 > max => Err(FirmwareError::TooLarge { name, max }),
        Ok(_) => Ok(bytes),
    }
}

fn search(module: &[u8], wanted: &str) -> Result<Vec<(String, Vec<u8>)>, FirmwareError> {
    let (mut streams, mut seen) = (0, Vec::new());
    for at in memmem::find_iter(module, XZ).take(STREAMS_MAX) {
        let stream = XzReader::new_mem_limit(&module[at..], false, XZ_MEMORY_MAX_KIB).take(STREAM_BYTES_MAX);
        let mut archive = tar::Archive::new(stream);
        let Ok(entries) = archive.entries() else { continue };
        let (mut names, mut images) = (0, Vec::new());
        for entry in entries {
            let entry = match (entry, images.first()) {
                (Ok(entry), _) => entry,
                // The magic also occurs in other data, so an unreadable stream without a wanted file is not an error.
                (Err(_), None) => break,
                (Err(source), Some((name, _))) => {
                    return Err(FirmwareError::Member { name: String::clone(name), source });
                }
            };
            let Some(name) = entry.path().ok().and_then(|path| path.to_str().map(str::to_owned)) else { continue };
            names += 1;
            if name.starts_with(wanted) {
                images.push((name.clone(), read(entry, name, IMAGE_BYTES_MAX)?));
            } else {
                seen.push(name);
            }
        }
        if let Some((name, _)) = images.first() {
            // Read to the end, where the checksum of the stream is.
            return match io::copy(&mut archive.into_inner(), &mut io::sink()) {
                Ok(_) => Ok(images),
                Err(source) => Err(FirmwareError::Member { name: name.clone(), source }),
            };
        }
        streams += usize::from(names > 0);
    }
    Err(FirmwareError::NotFound { wanted: wanted.to_owned(), streams, found: seen })
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write as _;

    use lzma_rust2::{XzOptions, XzWriter};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    pub(super) fn stream(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, name, *bytes).expect("memory");
        }
        let tar = builder.into_inner().expect("memory");
        let mut writer = XzWriter::new(Vec::new(), XzOptions::default()).expect("options");
        writer.write_all(&tar).expect("memory");
        writer.finish().expect("memory")
    }

    /// Two archives, and the magic of xz twice without a stream.
    fn module() -> Vec<u8> {
        let firmware = stream(&[("depthai-device-openvino-universal-abc.cmd", &[7; 3000])]);
        let bootloaders = stream(&[(USB_BOOTLOADER, b"MA2x usb"), (NETWORK_BOOTLOADER, b"MA2x eth")]);
        [b"\x7fELF...".as_slice(), XZ, b"nothing", &firmware, b"....", &bootloaders, XZ].concat()
    }

    fn wheel(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in [("depthai.libs/libusb.so", b"x".as_slice()), (name, bytes)] {
            writer.start_file(name, SimpleFileOptions::default()).expect("memory");
            writer.write_all(bytes).expect("memory");
        }
        writer.finish().expect("memory").into_inner()
    }

    #[test]
    fn images_are_found_in_a_wheel_and_in_its_module() {
        let wheel = wheel("depthai.cpython-311-x86_64-linux-gnu.so", &module());
        for file in [&wheel, &module()] {
            assert!(is_package(file));
            let (name, bytes) = image(file, NETWORK_BOOTLOADER).unwrap();
            assert_eq!((name.as_str(), bytes.as_slice()), (NETWORK_BOOTLOADER, b"MA2x eth".as_slice()));
            let (name, bytes) = image(file, "depthai-device-openvino-universal-").unwrap();
            assert_eq!((name.as_str(), bytes.len()), ("depthai-device-openvino-universal-abc.cmd", 3000));
        }
    }

    #[test]
    fn missing_images_are_reported() {
        let error = |file: &[u8]| image(file, NETWORK_BOOTLOADER).unwrap_err().to_string();
        assert_eq!(
            error(b"MA2x...."),
            "expected a depthai wheel (.whl) or its extension module, found a file that begins with \"MA2x....\""
        );
        assert!(!is_package(b"MA2x....") && !is_package(b""));
        assert_eq!(
            error(&wheel("depthai.py", b"")),
            "the wheel has no extension module `depthai...`: expected a wheel of depthai 2"
        );
        let other = [b"\x7fELF".as_slice(), &stream(&[("a.cmd", b"a"), ("b.cmd", b"b")])].concat();
        assert_eq!(error(&other), "`depthai-bootloader-eth.cmd` was not found in 1 archives with a.cmd, b.cmd");
        assert_eq!(error(b"\x7fELF"), "`depthai-bootloader-eth.cmd` was not found in 0 archives with no files");
        let wheel = wheel("depthai.pyd", &module());
        assert_eq!(error(&wheel[..wheel.len() / 2]), "the wheel cannot be read");
    }

    #[test]
    fn a_damaged_image_is_not_returned() {
        let whole = module();
        let (from, mut found) = (memmem::find(&whole[..whole.len() - 6], b"....\xfd7zXZ").expect("it is there") + 4, 0);
        for at in from..whole.len() - 6 {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            match image(&damaged, NETWORK_BOOTLOADER) {
                Err(FirmwareError::NotFound { .. } | FirmwareError::Member { .. }) => found += 1,
                Ok((_, bytes)) => assert_eq!(bytes, b"MA2x eth", "byte {at}"),
                other => panic!("byte {at}: {other:?}"),
            }
        }
        assert!(found > 100, "{found} of {} changes were noticed", whole.len() - 6 - from);
    }
}
