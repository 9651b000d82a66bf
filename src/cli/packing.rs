//! From an application and a firmware to a package.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use oaktap::device::app::{App, AppError, CheckedApp, StreamRate};
use oaktap::device::blob::Blob;
use oaktap::device::contract::Contract;
use oaktap::device::firmware::{Firmware, device_firmware, simulated_firmware};
use oaktap::device::{pipeline, script};
use oaktap::doctor::{Budget, carries_mbit_s};

use super::application::AppFile;
use super::present::{self, Usage, advised};
use super::wheel;

/// How a package is made.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PackingArgs {
    /// Where the firmware comes from: a depthai wheel or its extension module [default: what the Python environments of
    /// this machine have]
    #[arg(long, value_name = "FILE.whl")]
    firmware: Option<PathBuf>,

    /// Do not compress the firmware: the package is three times as large, and the camera starts a little sooner
    #[arg(long)]
    uncompressed: bool,
}

/// What boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// A camera.
    Camera,
    /// A simulated one, which boots anything.
    Simulated,
}

/// A package, and what it promises.
#[derive(Debug)]
pub(crate) struct Packed {
    /// The package.
    pub(crate) bytes: Vec<u8>,
    /// What its stream will be.
    pub(crate) contract: Contract,
    /// Where its firmware is from.
    pub(crate) firmware: String,
}

impl PackingArgs {
    /// Makes one, and says what its stream will take of the link.
    pub(crate) fn pack(&self, file: &AppFile, target: For) -> anyhow::Result<Packed> {
        let App { model, .. } = &file.application;
        let blob = model.as_ref().map(|model| read_blob(&model.blob)).transpose()?;
        let input = blob.as_ref().and_then(|(_, blob)| blob.input_size());
        let checked = file.application.check(input).map_err(|error| {
            let help = match &error {
                AppError::Input { .. } => {
                    "add --letterbox (or --stretch, or --crop), or --size with the size that the model wants"
                }
                _ => "the option of that name changes it, or the line in oaktap.toml",
            };
            advised(Usage(error.to_string()).into(), help)
        })?;
        let named = self.firmware.as_deref().or(file.firmware.as_deref());
        let (firmware, from) = match (named, target) {
            (None, For::Simulated) => {
                present::say(
                    "no firmware is packed: a simulated camera needs none, and no other camera would boot this",
                );
                (simulated_firmware(), "none".to_owned())
            }
            (named, _) => of_the_vendor(named, blob.as_ref().map(|(_, blob)| blob))?,
        };
        say_budget(&checked);
        let text = script::text(&checked);
        let bytes = blob.as_ref().map(|(bytes, _)| bytes.as_slice());
        let bytes = pipeline::package(&checked, bytes, &text, firmware, !self.uncompressed)?;
        Ok(Packed { bytes, contract: checked.contract(), firmware: from })
    }
}

fn read_blob(path: &Path) -> anyhow::Result<(Vec<u8>, Blob)> {
    let bytes = std::fs::read(path).with_context(|| format!("the model {} cannot be read", path.display()))?;
    let blob = Blob::parse(&bytes).with_context(|| format!("the model {} cannot be used", path.display()))?;
    Ok((bytes, blob))
}

fn of_the_vendor(named: Option<&Path>, blob: Option<&Blob>) -> anyhow::Result<(Firmware, String)> {
    let wheel = wheel::open(named)?;
    let firmware = device_firmware(&wheel.bytes, blob.map(|blob| blob.openvino));
    let firmware = firmware.with_context(|| format!("there is no firmware for it in {}", wheel.path.display()))?;
    Ok((firmware, wheel.path.display().to_string()))
}

/// What the stream will take of a link of 1 Gbit/s with packets of 1500 bytes, which is what cameras have.
fn say_budget(checked: &CheckedApp<'_>) {
    present::say(&budget(checked));
    let (StreamRate::Known(bits) | StreamRate::About(bits)) = checked.rate();
    if bits / 1e6 > carries_mbit_s(1000, 1500) {
        present::say(
            "that is more than the link carries, and the camera will drop frames: take a smaller size, fewer frames a \
             second, or --payload jpeg",
        );
    }
}

fn budget(checked: &CheckedApp<'_>) -> String {
    let (about, bits) = match checked.rate() {
        StreamRate::Known(bits) => ("", bits),
        StreamRate::About(bits) => ("about ", bits),
    };
    let carries_mbit_s = carries_mbit_s(1000, 1500);
    let budget = Budget { used_mbit_s: bits / 1e6, carries_mbit_s, fps: f64::from(checked.app.fps) };
    format!("the stream will take {about}{}", budget.line())
}

#[cfg(test)]
mod tests {
    use oaktap::device::app::PayloadCoding;

    use super::*;

    #[test]
    fn the_budget_is_told_before() {
        let app = App { fps: 40.0, ..App::default() };
        let line = budget(&app.check(None).expect("the vendor's example"));
        assert!(line.starts_with("the stream will take 216 of 941 Mbit/s; 3 more such cameras fit"), "{line}");
        let jpeg = App { payload: PayloadCoding::Jpeg { quality: 95 }, ..App::default() };
        let line = budget(&jpeg.check(None).expect("it can be built"));
        assert!(line.starts_with("the stream will take about 10 of"), "{line}");
    }
}
