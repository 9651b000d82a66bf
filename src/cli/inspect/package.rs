//! What is in an application package.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use oaktap::device::contract::{Contract, Endpoint};
use oaktap::device::schema::End;
use oaktap::flash::inspect::{ApplicationReport, AssetReport, PackageReport, SectionReport, inspect};
use oaktap::package::Compression;
use serde::Serialize;

use crate::cli::present;

/// Offsets in a package have 32 bits: what is longer is none.
const MOST: u64 = u32::MAX as u64;

/// A package, and what is in it.
#[derive(Debug, Serialize)]
pub(super) struct Inspected {
    path: PathBuf,
    sha256: String,
    #[serde(flatten)]
    report: PackageReport,
}

/// The bytes of a package.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("{} cannot be read", path.display()))?;
    let len = bytes.len() as u64;
    anyhow::ensure!(len <= MOST, "{} is no package: it has more than {MOST} bytes", path.display());
    Ok(bytes)
}

impl Inspected {
    /// Reads one.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = read(path)?;
        let report = inspect(&bytes).with_context(|| format!("inspecting {}", path.display()))?;
        let sha256 = present::sha256(&bytes);
        Ok(Self { path: path.to_owned(), sha256, report })
    }

    /// Whether a camera would take it.
    pub(super) const fn is_whole(&self) -> bool {
        self.report.whole
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let Self { path, sha256, report } = self;
        let unknown = "?";
        let name =
            report.app_name.as_deref().map_or(unknown, |name| if name.is_empty() { "without a name" } else { name });
        let mut text = format!(
            "{}: application package, {:.1} MB; {}\n",
            path.display(),
            report.bytes as f64 / 1e6,
            if report.whole { "every checksum is right" } else { "DAMAGED: a camera would refuse it" }
        );
        rows(&mut text, "application", [name]);
        rows(&mut text, "contract", report.contract.as_ref().map(contract));
        rows(&mut text, "firmware", [firmware(report)]);
        rows(&mut text, "sha256", [sha256]);
        rows(&mut text, "sections", report.sections.iter().map(section));
        rows(&mut text, "damage", &report.faults);
        if report.odd_gap_bytes > 0 {
            rows(&mut text, "odd", [format!("{} bytes between the sections are not zero", report.odd_gap_bytes)]);
        }
        if let Some(application) = &report.application {
            text.push_str(&self::application(application));
        }
        text
    }
}

/// Lines of one kind, the first of which says which.
fn rows(into: &mut String, what: &str, told: impl IntoIterator<Item = impl AsRef<str>>) {
    for (at, told) in told.into_iter().enumerate() {
        let what = if at == 0 { what } else { "" };
        into.push_str(&format!("    {what:<12} {}\n", told.as_ref()));
    }
}

fn contract(contract: &Contract) -> String {
    let Contract { width, height, format, fps, labels, endpoint, .. } = contract;
    let labels = labels.map_or_else(|| "no labels".to_owned(), |hash| format!("labels {hash:08x}"));
    let endpoint = match endpoint {
        Some(Endpoint { host: Some(host), port }) => format!("; the camera connects to {host}:{port}"),
        Some(Endpoint { host: None, port }) => format!("; the camera listens at port {port}"),
        None => String::new(),
    };
    format!("{width}x{height} {format}, {fps} frames/s, {labels}{endpoint}")
}

fn firmware(report: &PackageReport) -> String {
    let version = report.firmware_version.as_deref().filter(|version| !version.is_empty()).unwrap_or("?");
    let Some(firmware) = &report.firmware else { return format!("{version}; it cannot be read") };
    let bytes = firmware.bytes.map(|bytes| format!("; {bytes} bytes")).unwrap_or_default();
    match &firmware.fault {
        Some(fault) => format!("{version}{bytes}; {fault}"),
        None => format!("{version}{bytes}, for RVC2 cameras"),
    }
}

fn section(section: &SectionReport) -> String {
    let SectionReport { index, name, offset, size, checksum, .. } = section;
    let mut text = format!("{index:>2} {name:<16} {size:>10} bytes from {offset:#9x}, checksum {checksum}");
    let state = if section.fault.is_some() { " DAMAGED" } else { " ok" };
    text.push_str(state);
    match section.compression {
        Compression::None => {}
        Compression::Zlib => text.push_str(", zlib"),
        Compression::Gzip => text.push_str(", gzip"),
        Compression::Xz => text.push_str(", xz"),
        Compression::Unknown(number) => text.push_str(&format!(", unknown compression {number}")),
    }
    if section.bootable {
        text.push_str(if section.checked_at_boot { ", booted when checked" } else { ", booted unchecked" });
    }
    text
}

fn application(application: &ApplicationReport) -> String {
    let mut text = String::new();
    let names: BTreeMap<_, _> = application.nodes.iter().map(|node| (node.id, node.name.as_str())).collect();
    let end = |end: &End| {
        let name = names.get(&end.node).copied().unwrap_or("?");
        let group = if end.group.is_empty() { String::new() } else { format!("{}.", end.group) };
        format!("{} {name}.{group}{}", end.node, end.port)
    };
    let file = |file: &AssetReport| {
        let missing = if file.there { "" } else { ", MISSING" };
        format!("{} ({} bytes{missing})", file.asset.key, file.asset.size)
    };
    rows(&mut text, "nodes", application.nodes.iter().map(|node| format!("{} {}", node.id, node.name)));
    rows(&mut text, "links", application.links.iter().map(|link| format!("{} -> {}", end(&link.from), end(&link.to))));
    rows(&mut text, "files", application.assets.iter().map(file));
    rows(&mut text, "unreadable", &application.faults);
    for script in &application.scripts {
        let processor = match script.script.processor {
            0 => "LEON_CSS".to_owned(),
            1 => "LEON_MSS".to_owned(),
            other => format!("processor {other}"),
        };
        rows(&mut text, "script", [format!("node {}, on {processor}", script.script.node)]);
        for code in script.text.iter().flat_map(|text| text.lines()) {
            // Tabs are what Python code may be indented with, and the only control character that it needs.
            text.push_str(&format!("      | {}\n", code.replace('\t', "    ")));
        }
    }
    text
}

/// A new folder to write into.
pub(super) fn new_folder(path: &Path) -> anyhow::Result<()> {
    fs::create_dir(path).with_context(|| format!("the folder {} cannot be made: it must be a new one", path.display()))
}
