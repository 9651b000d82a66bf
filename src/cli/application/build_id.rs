//! Identifies the content of a package. The Script of oaktap sends the identifier at the beginning of every connection, so
//! that a camera can be compared with a package without a reset.

use std::io::{self, Read};

use oaktap::device::app::CheckedApp;
use oaktap::device::firmware::Firmware;
use oaktap::device::pipeline::{PipelineError, PipelineSections};
use oaktap::device::script::{self, ScriptParameters};
use oaktap::flash::inspect::PackageReport;
use oaktap::package::{APP_NAME, ASSET_STORAGE, ASSETS, FIRMWARE, FIRMWARE_VERSION, PIPELINE, Package};
use oaktap::units::hex;
use sha2::{Digest, Sha256};

/// Hexadecimal digits: 112 bits of a SHA-256. A record has room for 29 characters.
const DIGITS: usize = 28;
/// The identifier while it is computed, because the Script that contains it is a part of the package.
const PLACEHOLDER: &str = "0000000000000000000000000000";
/// Larger firmware is not compared. That of depthai has 28 MB.
const FIRMWARE_MAX_BYTES: u64 = 1 << 28;

/// Returns the identifier of the package of an application.
pub(super) fn of_application(
    checked: &CheckedApp<'_>,
    blob: Option<&[u8]>,
    firmware: &Firmware,
) -> Result<String, PipelineError> {
    let text = script::identified_text(checked, PLACEHOLDER);
    let PipelineSections { pipeline, assets, asset_storage } = PipelineSections::of(checked, blob, &text)?;
    let app_name = checked.contract().to_string();
    let mut digest = Sha256::new();
    for (name, content) in [
        (FIRMWARE, firmware.image.as_slice()),
        (PIPELINE, &pipeline),
        (ASSETS, &assets),
        (ASSET_STORAGE, &asset_storage),
        (FIRMWARE_VERSION, firmware.commit.as_bytes()),
        (APP_NAME, app_name.as_bytes()),
    ] {
        digest.update(content);
        end_section(&mut digest, name, content.len() as u64);
    }
    Ok(text_of(digest))
}

/// Returns the identifier that the Script of the package sends, if it is that of the content of the package. `None` for the
/// Scripts of other tools and versions.
pub(crate) fn of_package(package: &Package, report: &PackageReport) -> Option<String> {
    let mut scripts = report.application.iter().flat_map(|application| &application.scripts);
    let build = scripts.find_map(|script| ScriptParameters::read(script.text.as_deref()?))?.build;
    (build.len() == DIGITS && computed(package, &build).ok()? == build).then_some(build)
}

/// Computes the identifier of a package whose Script contains this one.
fn computed(package: &Package, build: &str) -> io::Result<String> {
    let mut digest = Sha256::new();
    for name in [FIRMWARE, PIPELINE, ASSETS, ASSET_STORAGE, FIRMWARE_VERSION, APP_NAME] {
        let Some(section) = package.section(name) else { return Err(io::ErrorKind::NotFound.into()) };
        let stored = package.section_bytes(section);
        let bytes = if name == ASSET_STORAGE {
            let storage = replaced(stored, build.as_bytes());
            digest.update(&storage);
            storage.len() as u64
        } else {
            let content = section.content(stored).ok_or(io::ErrorKind::Unsupported)?;
            io::copy(&mut content.take(FIRMWARE_MAX_BYTES), &mut Hashed(&mut digest))?
        };
        end_section(&mut digest, name, bytes);
    }
    Ok(text_of(digest))
}

/// Returns the files of a package with the placeholder instead of the first identifier in them.
fn replaced(storage: &[u8], build: &[u8]) -> Vec<u8> {
    let mut storage = storage.to_vec();
    if let Some(at) = storage.windows(build.len()).position(|window| window == build) {
        storage[at..at + build.len()].copy_from_slice(PLACEHOLDER.as_bytes());
    }
    storage
}

fn end_section(digest: &mut Sha256, name: &str, bytes: u64) {
    digest.update(name);
    digest.update(bytes.to_le_bytes());
}

fn text_of(digest: Sha256) -> String {
    let mut text = hex(&digest.finalize());
    text.truncate(DIGITS);
    text
}

struct Hashed<'a>(&'a mut Sha256);

impl io::Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use oaktap::device::app::App;
    use oaktap::device::pipeline;
    use oaktap::flash::inspect::inspect;

    use super::*;

    fn firmware(image: &[u8]) -> Firmware {
        Firmware { image: image.to_vec(), commit: "0123".to_owned() }
    }

    fn package(app: &App, image: &[u8], build: &str, compressed: bool) -> Package {
        let checked = app.check(None).expect("a valid application");
        let text = script::identified_text(&checked, build);
        let bytes = pipeline::package(&checked, None, &text, firmware(image), compressed).expect("a package");
        Package::parse(bytes).expect("a whole package")
    }

    fn read(package: &Package) -> Option<String> {
        of_package(package, &inspect(package.bytes()).expect("a package"))
    }

    #[test]
    fn each_content_has_its_identifier_however_it_is_stored() {
        let apps = [App::default(), App { fps: 12.0, ..App::default() }, App { name: "door".into(), ..App::default() }];
        let mut known = Vec::new();
        for (app, image) in apps.iter().map(|app| (app, b"MA2x")).chain([(&apps[0], b"MA2y")]) {
            let checked = app.check(None).expect("a valid application");
            let build = of_application(&checked, None, &firmware(image)).expect("it can be built");
            assert!(build.len() == DIGITS && !known.contains(&build), "{build}");
            for compressed in [false, true] {
                assert_eq!(read(&package(app, image, &build, compressed)).as_ref(), Some(&build));
            }
            known.push(build);
        }
        // Another content than the identifier says, and none.
        assert_eq!(read(&package(&apps[1], b"MA2x", &known[0], false)), None);
        assert_eq!(read(&package(&apps[0], b"MA2x", "", false)), None);
    }
}
