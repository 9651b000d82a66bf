//! The receipt of a flashed camera: the package, and the proof that the camera holds and runs it, or where it failed.

use oaktap::bootloader::map;
use oaktap::flash::{FlashTarget, Flashed};
use oaktap::package::{Package, Section};
use serde::Serialize;

use super::camera_label::CameraLabel;
use super::camera_session::RunningApplication;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Receipt {
    /// Name and version of the program.
    pub(crate) tool: String,
    /// UTC, RFC 3339.
    pub(crate) started: String,
    /// UTC, RFC 3339.
    pub(crate) finished: String,
    #[serde(flatten)]
    pub(crate) label: CameraLabel,
    /// The address of its bootloader. `None`: the camera was not found.
    pub(crate) address: Option<String>,
    /// `None` if it failed before.
    #[serde(flatten)]
    pub(crate) target: Option<FlashTarget>,
    pub(crate) package: PackageFacts,
    /// `None` if it failed before.
    #[serde(flatten)]
    pub(crate) flashed: Option<FlashedOrPresent>,
    /// Every byte was read from the camera and compared. `false` for a camera that was left alone.
    pub(crate) read_back: bool,
    /// `None` with `--no-wait`, or if it failed before.
    pub(crate) running: Option<RunningApplication>,
    #[serde(flatten)]
    pub(crate) failure: Option<FlashFailure>,
}

/// The application in a camera.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum FlashedOrPresent {
    /// The camera's memory has every byte of it.
    Flashed(Flashed),
    /// The camera runs it, as its stream says, and was left alone.
    Present { written: bool },
}

impl FlashedOrPresent {
    pub(crate) fn written(&self) -> bool {
        matches!(self, Self::Flashed(flashed) if flashed.written)
    }
}

/// Where flashing stopped.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FlashFailure {
    pub(crate) error: String,
    /// The step that failed, such as `writing the application`.
    pub(crate) failed_while: String,
    /// The state of the camera now.
    pub(crate) camera_has: String,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct PackageFacts {
    pub(crate) file: String,
    pub(crate) bytes: usize,
    /// Hexadecimal digits.
    pub(crate) sha256: String,
    /// Identifies the content in the stream of the camera. `None` if its program sends no identifier.
    pub(crate) build: Option<String>,
    pub(crate) app_name: Option<String>,
    /// Commit or version.
    pub(crate) firmware_version: Option<String>,
    pub(crate) sections: Vec<SectionFacts>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct SectionFacts {
    pub(crate) name: String,
    /// Bytes from the beginning of the memory, not of the package.
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    /// djb2, in hexadecimal digits.
    pub(crate) checksum: String,
}

impl PackageFacts {
    pub(crate) fn new(package: &Package, file: String, sha256: String, build: Option<String>) -> Self {
        let section = |section: &Section| SectionFacts {
            name: section.name().to_owned(),
            offset: u64::from(map::APPLICATION) + u64::from(section.offset()),
            bytes: section.size(),
            checksum: format!("{:08x}", section.checksum()),
        };
        Self {
            file,
            bytes: package.bytes().len(),
            sha256,
            build,
            app_name: package.app_name().map(Into::into),
            firmware_version: package.firmware_version().map(Into::into),
            sections: package.sections().iter().map(section).collect(),
        }
    }
}
