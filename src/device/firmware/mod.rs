//! Firmware and bootloaders out of the vendor's own package, depthai, which users have and which may not be passed on.
//!
//! ```text
//! depthai-2.30.0.0-...whl (zip) -> depthai.cpython-...so -+-> xz stream -> tar -> depthai-bootloader-eth.cmd
//!                                                         +-> xz stream -> tar -> depthai-device-openvino-universal-COMMIT.cmd
//!                                                                                 depthai-device-openvino-2021.3-COMMIT.patch
//! ```
//!
//! The streams lie somewhere in the extension module, so it is searched for the bytes with which they begin, and what
//! does not decompress is none of them (bootloader.md 5.1).

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
pub use device::{DeviceImages, KNOWN, Known, device, stand_in};
pub use patch::PatchError;

/// The bootloader of cameras with an Ethernet socket, as it is called in the package.
pub const NETWORK_BOOTLOADER: &str = "depthai-bootloader-eth.cmd";
/// The bootloader of cameras that are connected by USB.
pub const USB_BOOTLOADER: &str = "depthai-bootloader-usb.cmd";

/// What zip archives, and so wheels, begin with.
const ZIP: &[u8] = b"PK\x03\x04";
/// What extension modules begin with: on Linux, on Windows, on macOS for one and for several processors.
const MODULES: [&[u8]; 4] = [b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"];
/// What an xz stream begins with (bootloader.md 5.1).
const XZ: &[u8] = b"\xfd7zXZ\0";
/// An extension module of 2.30 has 24 MB.
const MOST_MODULE: u64 = 256 << 20;
/// The firmware, the largest file in the archives, has 28 MB.
const MOST_IMAGE: u64 = 64 << 20;
/// All that one stream may become; the larger one of 2.30 becomes 28 MB.
const MOST_STREAM: u64 = 256 << 20;
/// Places that look like a stream; 2.30 has four, of which two are.
const MOST_STREAMS: usize = 64;
/// Memory for decompressing, in KiB; the vendor's streams need 64 MiB.
const MOST_MEMORY_KIB: u32 = 256 << 10;

/// Why there is no firmware.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields stand in the texts.
pub enum FirmwareError {
    /// It is something else.
    #[error("expected a depthai wheel (.whl) or its extension module, found a file that begins with \"{}\"", found.escape_ascii())]
    NoPackage { found: Vec<u8> },
    /// The wheel is damaged.
    #[error("the wheel cannot be read")]
    Zip(#[source] ZipError),
    /// A file in the wheel is damaged.
    #[error("`{name}` cannot be unpacked: it is damaged")]
    Member { name: String, source: io::Error },
    /// It is a wheel of something else.
    #[error("there is no extension module `depthai...` in the wheel: is it one of depthai 2?")]
    NoModule,
    /// The module has none of what is wanted.
    #[error("there is no `{wanted}` in it; {streams} archives were found, with {}", if found.is_empty() { "nothing".to_owned() } else { found.join(", ") })]
    NotThere { wanted: String, streams: usize, found: Vec<String> },
    /// Applications cannot be built for it: members of structures are told by their place alone.
    #[error(
        "the device firmware in it has the commit {found}; how its nodes are set is known of depthai {} alone, and others may mean something else by it: take one of those, `pip download --no-deps depthai=={}`",
        KNOWN.map(|known| known.version).join(", "), KNOWN[0].version
    )]
    UnknownCommit { found: String },
    /// A model of another version of OpenVINO needs another firmware.
    #[error("there is no firmware for models of OpenVINO {wanted} in it: compile the model for 2022.1 or 2021.4")]
    NoOpenVino { wanted: OpenVino },
    /// The firmware for older models cannot be made.
    #[error("`{name}` cannot be applied")]
    Patch { name: String, source: PatchError },
    /// It is longer than any firmware.
    #[error("`{name}` has more than {most} bytes, more than any that is known")]
    TooLarge { name: String, most: u64 },
}

/// Whether a file begins like a wheel or an extension module: [`image()`] can be asked.
#[must_use]
pub fn is_package(file: &[u8]) -> bool {
    file.starts_with(ZIP) || is_module(file)
}

/// The bytes of a file in the archives of a wheel or of its extension module, the first whose name begins with
/// `wanted`, and its whole name.
///
/// # Errors
/// The file is none of them, or damaged, or has no such file.
pub fn image(file: &[u8], wanted: &str) -> Result<(String, Vec<u8>), FirmwareError> {
    images(file, wanted).map(|mut images| images.swap_remove(0))
}

/// All files of one archive whose names begin like that: one at least.
fn images(file: &[u8], wanted: &str) -> Result<Vec<(String, Vec<u8>)>, FirmwareError> {
    if !file.starts_with(ZIP) {
        return if is_module(file) {
            search(file, wanted)
        } else {
            Err(FirmwareError::NoPackage { found: file[..file.len().min(8)].to_vec() })
        };
    }
    search(&module(file)?, wanted)
}

fn is_module(file: &[u8]) -> bool {
    MODULES.iter().any(|magic| file.starts_with(magic))
}

/// The extension module of a wheel, which stands at its top and is the only large file there.
fn module(wheel: &[u8]) -> Result<Vec<u8>, FirmwareError> {
    let mut archive = ZipArchive::new(Cursor::new(wheel)).map_err(FirmwareError::Zip)?;
    let is_module = |name: &String| {
        let ends = [".so", ".pyd", ".dylib"].iter().any(|end| name.ends_with(end));
        ends && name.starts_with("depthai") && !name.contains('/')
    };
    // Names that cannot be read are not its.
    let mut names = archive.file_names().filter_map(Result::ok).map(Cow::into_owned);
    let name = names.find(is_module).ok_or(FirmwareError::NoModule)?;
    drop(names);
    let file = archive.by_name(&name).map_err(FirmwareError::Zip)?;
    read(file, name, MOST_MODULE)
}

/// All of a file, if it is not too long.
fn read(file: impl Read, name: String, most: u64) -> Result<Vec<u8>, FirmwareError> {
    let mut bytes = Vec::new();
    match file.take(most + 1).read_to_end(&mut bytes) {
        Err(source) => Err(FirmwareError::Member { name, source }),
        Ok(len) if len as u64 > most => Err(FirmwareError::TooLarge { name, most }),
        Ok(_) => Ok(bytes),
    }
}

fn search(module: &[u8], wanted: &str) -> Result<Vec<(String, Vec<u8>)>, FirmwareError> {
    let (mut streams, mut seen) = (0, Vec::new());
    for at in memmem::find_iter(module, XZ).take(MOST_STREAMS) {
        let stream = XzReader::new_mem_limit(&module[at..], false, MOST_MEMORY_KIB).take(MOST_STREAM);
        let mut archive = tar::Archive::new(stream);
        let Ok(entries) = archive.entries() else { continue };
        let (mut names, mut images) = (0, Vec::new());
        for entry in entries {
            let entry = match (entry, images.first()) {
                (Ok(entry), _) => entry,
                // The six bytes stand in other places too: what cannot be read is no archive, and that is no error.
                (Err(_), None) => break,
                (Err(source), Some((name, _))) => {
                    return Err(FirmwareError::Member { name: String::clone(name), source });
                }
            };
            let Some(name) = entry.path().ok().and_then(|path| path.to_str().map(str::to_owned)) else { continue };
            names += 1;
            if name.starts_with(wanted) {
                images.push((name.clone(), read(entry, name, MOST_IMAGE)?));
            } else {
                seen.push(name);
            }
        }
        if let Some((name, _)) = images.first() {
            // The checksum of the stream stands at its end.
            return match io::copy(&mut archive.into_inner(), &mut io::sink()) {
                Ok(_) => Ok(images),
                Err(source) => Err(FirmwareError::Member { name: name.clone(), source }),
            };
        }
        streams += usize::from(names > 0);
    }
    Err(FirmwareError::NotThere { wanted: wanted.to_owned(), streams, found: seen })
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

    /// Two archives, and the bytes with which they begin once more where there is none.
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
    fn what_is_not_there_is_told() {
        let error = |file: &[u8]| image(file, NETWORK_BOOTLOADER).unwrap_err().to_string();
        assert_eq!(
            error(b"MA2x...."),
            "expected a depthai wheel (.whl) or its extension module, found a file that begins with \"MA2x....\""
        );
        assert!(!is_package(b"MA2x....") && !is_package(b""));
        assert_eq!(
            error(&wheel("depthai.py", b"")),
            "there is no extension module `depthai...` in the wheel: is it one of depthai 2?"
        );
        let other = [b"\x7fELF".as_slice(), &stream(&[("a.cmd", b"a"), ("b.cmd", b"b")])].concat();
        assert_eq!(
            error(&other),
            "there is no `depthai-bootloader-eth.cmd` in it; 1 archives were found, with a.cmd, b.cmd"
        );
        assert_eq!(
            error(b"\x7fELF"),
            "there is no `depthai-bootloader-eth.cmd` in it; 0 archives were found, with nothing"
        );
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
                Err(FirmwareError::NotThere { .. } | FirmwareError::Member { .. }) => found += 1,
                Ok((_, bytes)) => assert_eq!(bytes, b"MA2x eth", "byte {at}"),
                other => panic!("byte {at}: {other:?}"),
            }
        }
        assert!(found > 100, "{found} of {} changes were noticed", whole.len() - 6 - from);
    }
}
