//! Reports on application packages.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use oaktap::device::app::Transport;
use oaktap::device::contract::{Contract, Endpoint};
use oaktap::device::schema::End;
use oaktap::device::script::ScriptParameters;
use oaktap::device::script_port::ScriptPort;
use oaktap::flash::inspect::{ApplicationReport, AssetReport, PackageReport, SectionReport, inspect};
use oaktap::package::Compression;
use oaktap::units::{Bytes, count};
use serde::Serialize;

use crate::cli::{new_files, present};

/// Offsets in a package have 32 bits.
const PACKAGE_MAX_BYTES: u64 = u32::MAX as u64;

/// A package and its report.
#[derive(Debug, Serialize)]
pub(super) struct InspectedPackage {
    path: PathBuf,
    sha256: String,
    #[serde(flatten)]
    report: PackageReport,
}

pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(PACKAGE_MAX_BYTES + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    let len = bytes.len() as u64;
    anyhow::ensure!(
        len <= PACKAGE_MAX_BYTES,
        "{} is not a package: it exceeds {PACKAGE_MAX_BYTES} bytes",
        path.display()
    );
    Ok(bytes)
}

impl InspectedPackage {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = read(path)?;
        let report = inspect(&bytes).with_context(|| format!("cannot inspect {}", path.display()))?;
        let sha256 = present::sha256(&bytes);
        Ok(Self { path: path.to_owned(), sha256, report })
    }

    /// Returns whether a camera would store and run the package.
    pub(super) const fn is_whole(&self) -> bool {
        self.report.whole
    }

    pub(super) fn text(&self) -> String {
        let Self { path, sha256, report } = self;
        let unknown = "?";
        let name = report.app_name.as_deref().map_or(unknown, |name| if name.is_empty() { "unnamed" } else { name });
        let mut text = format!(
            "{}: application package, {}; {}\n",
            path.display(),
            Bytes(report.bytes),
            match (report.whole, report.accepted) {
                (true, _) => "all checksums match",
                (false, true) => "DAMAGED: a camera would store it, but could not run it",
                (false, false) => "DAMAGED: a camera would refuse it",
            }
        );
        rows(&mut text, "application", [name]);
        rows(&mut text, "contract", report.contract.as_ref().map(contract));
        rows(&mut text, "firmware", [firmware(report)]);
        rows(&mut text, "sha256", [sha256]);
        rows(&mut text, "sections", report.sections.iter().map(section));
        rows(&mut text, "damage", report.damage());
        if report.odd_gap_bytes > 0 {
            rows(&mut text, "anomalies", [format!("{} bytes between the sections are not zero", report.odd_gap_bytes)]);
        }
        if let Some(application) = &report.application {
            text.push_str(&self::application(application));
        }
        text
    }
}

/// Appends lines, the first one with a heading.
fn rows(into: &mut String, what: &str, lines: impl IntoIterator<Item = impl AsRef<str>>) {
    for (at, line) in lines.into_iter().enumerate() {
        let what = if at == 0 { what } else { "" };
        into.push_str(&format!("    {what:<12} {}\n", line.as_ref()));
    }
}

fn contract(contract: &Contract) -> String {
    let Contract { width, height, format, fps, labels, endpoint, .. } = contract;
    let labels = labels.map_or_else(|| "no labels".to_owned(), |hash| format!("labels {hash:08x}"));
    let endpoint = match endpoint {
        Some(Endpoint { host: Some(host), port, transport: Transport::Udp }) => {
            format!("; the camera sends datagrams to {host}:{port}")
        }
        Some(Endpoint { host: Some(host), port, .. }) => format!("; the camera connects to {host}:{port}"),
        Some(Endpoint { host: None, port, .. }) => format!("; the camera listens on port {port}"),
        None => String::new(),
    };
    format!("{width}x{height} {format}, {fps} frames/s, {labels}{endpoint}")
}

fn firmware(report: &PackageReport) -> String {
    let version = report.firmware_version.as_deref().filter(|version| !version.is_empty()).unwrap_or("?");
    let Some(firmware) = &report.firmware else { return format!("{version}; unreadable") };
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
        text.push_str(if section.checked_at_boot { ", booted after a check" } else { ", booted unchecked" });
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
        let program = script.text.as_ref().map_or_else(
            || "its program is not in the package".to_owned(),
            |program| {
                let file = script.script.asset.as_deref().unwrap_or("?");
                let lines = count(program.lines().count() as u64, "line", "lines");
                format!("{file}, {lines}, {}", listening(program))
            },
        );
        rows(&mut text, "script", [format!("node {}, on {processor}: {program}", script.script.node)]);
    }
    if application.scripts.iter().any(|script| script.text.is_some()) {
        rows(&mut text, "", ["--extract DIR writes the programs to files"]);
    }
    text
}

/// Describes how a program takes connections.
fn listening(program: &str) -> String {
    // The program of oaktap has its address in its parameters.
    if let Some(ScriptParameters { host, port, .. }) = ScriptParameters::read(program) {
        return match host.as_str() {
            "" => format!("listens on port {port}"),
            host => format!("connects to {host}:{port}"),
        };
    }
    match ScriptPort::find(program) {
        ScriptPort::None => "does not listen on a TCP port".to_owned(),
        ScriptPort::Known(port) => format!("listens on port {port}"),
        ScriptPort::Unknown => "listens on a TCP port that it computes, or on several".to_owned(),
    }
}

pub(super) fn new_folder(path: &Path) -> anyhow::Result<()> {
    new_files::create_parent(path)?;
    fs::create_dir(path).map_err(|error| new_files::not_written(path, error))
}
