//! Packs an application and its firmware into a package.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use oaktap::device::app::{App, AppError, CheckedApp, StreamRate};
use oaktap::device::blob::Blob;
use oaktap::device::contract::Contract;
use oaktap::device::firmware::{Firmware, device_firmware, simulated_firmware};
use oaktap::device::{pipeline, script};
use oaktap::doctor::{LinkBudget, tcp_capacity_mbit_s};

use super::depthai_wheel;
use super::{ConfigFile, build_id};
use crate::cli::present::{self, Usage, advised};

const PACKAGE: &str = "Package";

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct PackingArgs {
    /// Take the firmware from this depthai wheel or extension module [default: search the current folder and the
    /// Python environments of this machine]
    #[arg(long, value_name = "FILE.whl", help_heading = PACKAGE)]
    firmware: Option<PathBuf>,

    /// Do not compress the firmware: the package is three times as large, and the camera boots slightly faster
    #[arg(long, help_heading = PACKAGE)]
    uncompressed: bool,
}

/// The camera that boots the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackageTarget {
    Camera,
    /// A simulated camera, which boots a package without firmware.
    Simulated,
}

/// A built package.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) bytes: Vec<u8>,
    /// The promised properties of its stream.
    pub(crate) contract: Contract,
    /// Identifies its content.
    pub(crate) build: String,
    /// The file that the firmware was taken from.
    pub(crate) firmware: String,
}

impl PackingArgs {
    /// Builds a package and prints how much of the link the streams of this many cameras need.
    pub(crate) fn pack(&self, file: &ConfigFile, target: PackageTarget, cameras: usize) -> anyhow::Result<Packed> {
        let App { model, .. } = &file.application;
        let blob = model.as_ref().map(|model| read_blob(&model.blob)).transpose()?;
        let input = blob.as_ref().and_then(|(_, blob)| blob.input_size());
        let checked = file.application.check(input).map_err(|error| {
            let help = match &error {
                AppError::Input { .. } => {
                    "add --letterbox, --stretch or --crop, or set --size to the input size of the model"
                }
                _ => "change the option, or the line in oaktap.toml, that sets it",
            };
            advised(Usage(error.to_string()).into(), help)
        })?;
        let named = self.firmware.as_deref().or(file.firmware.as_deref());
        let (firmware, from) = match (named, target) {
            (None, PackageTarget::Simulated) => {
                present::say("package without firmware: only a simulated camera boots it");
                (simulated_firmware(), "none".to_owned())
            }
            (named, _) => vendor_firmware(named, blob.as_ref().map(|(_, blob)| blob))?,
        };
        print_budget(&checked, cameras);
        let blob = blob.as_ref().map(|(bytes, _)| bytes.as_slice());
        let build = build_id::of_application(&checked, blob, &firmware)?;
        let text = script::identified_text(&checked, &build);
        let bytes = pipeline::package(&checked, blob, &text, firmware, !self.uncompressed)?;
        Ok(Packed { bytes, contract: checked.contract(), build, firmware: from })
    }
}

fn read_blob(path: &Path) -> anyhow::Result<(Vec<u8>, Blob)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read the model {}", path.display()))?;
    let blob = Blob::parse(&bytes).with_context(|| format!("cannot use the model {}", path.display()))?;
    Ok((bytes, blob))
}

fn vendor_firmware(named: Option<&Path>, blob: Option<&Blob>) -> anyhow::Result<(Firmware, String)> {
    let wheel = depthai_wheel::open(named)?;
    let firmware = device_firmware(&wheel.bytes, blob.map(|blob| blob.openvino));
    let firmware = firmware.with_context(|| format!("no suitable firmware in {}", wheel.path.display()))?;
    Ok((firmware, wheel.path.display().to_string()))
}

/// Prints how much of a 1 Gbit/s link with 1500-byte packets the stream needs.
fn print_budget(checked: &CheckedApp<'_>, cameras: usize) {
    present::say(&budget(checked, cameras));
    let (StreamRate::Known(bits) | StreamRate::About(bits)) = checked.rate();
    if bits / 1e6 * cameras.max(1) as f64 > tcp_capacity_mbit_s(1000, 1500) {
        present::say(
            "warning: this exceeds the link, so cameras will drop frames; use a smaller --size, a lower --fps or \
             --payload jpeg",
        );
    }
}

fn budget(checked: &CheckedApp<'_>, cameras: usize) -> String {
    let (about, bits) = match checked.rate() {
        StreamRate::Known(bits) => ("", bits),
        StreamRate::About(bits) => ("about ", bits),
    };
    let capacity_mbit_s = tcp_capacity_mbit_s(1000, 1500);
    let (used_mbit_s, fps) = (bits / 1e6, f64::from(checked.app.fps));
    let others_mbit_s = used_mbit_s * cameras.saturating_sub(1) as f64;
    let budget = LinkBudget { used_mbit_s, others_mbit_s, capacity_mbit_s, fps };
    let each = if cameras > 1 { format!("each of {cameras} streams") } else { "the stream".to_owned() };
    format!("{each} needs {about}{budget}")
}

#[cfg(test)]
mod tests {
    use oaktap::device::app::PayloadCoding;

    use super::*;

    #[test]
    fn the_link_budget_of_a_stream_is_estimated() {
        let app = App { fps: 40.0, ..App::default() };
        let line = budget(&app.check(None).expect("valid application"), 1);
        assert!(line.starts_with("the stream needs 216 of 941 Mbit/s; 3 more such cameras fit"), "{line}");
        let line = budget(&app.check(None).expect("valid application"), 3);
        assert!(line.starts_with("each of 3 streams needs 216 of 941 Mbit/s; 1 more such camera fits"), "{line}");
        let jpeg = App { payload: PayloadCoding::Jpeg { quality: 95 }, ..App::default() };
        let line = budget(&jpeg.check(None).expect("valid application"), 0);
        assert!(line.starts_with("the stream needs about 10 of"), "{line}");
    }
}
