//! `oaktap inspect`: what is in recordings.

mod plot;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use oaktap::recording::inspect::{CameraReport, Report, inspect};
use serde::Serialize;

use super::plot::PlotFile;
use super::present::{self, Usage, printable};
use super::recover::unreadable;
use super::{Ctx, Outcome};

/// Bars of the sparkline.
const BARS: usize = 72;
/// Gaps that are told one by one; `--json` has a hundred.
const GAPS: usize = 5;

#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// Recordings, finished or torn, or folders of them
    #[arg(value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,

    /// Draw frames a second, gaps and detections over time as well
    #[arg(long, value_name = "FILE.svg|png")]
    plot: Option<PlotFile>,
}

#[derive(Serialize)]
struct Document<'a> {
    command: &'static str,
    files: &'a [Report],
}

/// Reads them, and tells.
pub(crate) fn run(ctx: &Ctx, args: &InspectArgs) -> anyhow::Result<Outcome> {
    let mut files = Vec::new();
    for path in &args.files {
        if path.is_dir() { recordings(path, &mut files)? } else { files.push(path.clone()) }
    }
    if files.is_empty() {
        return Err(Usage("there is no file that ends in .mcap or .mcap.partial in that folder".to_owned()).into());
    }
    let mut reports = Vec::new();
    for path in &files {
        let report = inspect(path).map_err(unreadable).with_context(|| format!("inspecting {}", path.display()))?;
        if !ctx.json {
            present::result(printable(&text(&report)).as_bytes())?;
        }
        reports.push(report);
    }
    if ctx.json {
        present::document(&Document { command: "inspect", files: &reports })?;
    } else if reports.len() > 1 {
        let frames: u64 = reports.iter().map(Report::frames).sum();
        let bytes: u64 = reports.iter().map(|report| report.bytes).sum();
        let total = format!("{} files: {frames} frames, {:.1} MB\n", reports.len(), bytes as f64 / 1e6);
        present::result(total.as_bytes())?;
    }
    if let Some(file) = &args.plot {
        file.write(&plot::Timelines(&reports))?;
        present::say(&format!("the plot is in {}", file.path().display()));
    }
    Ok(if reports.iter().all(Report::is_whole) { Outcome::Done } else { Outcome::Lossy })
}

/// The recordings in a folder and the folders in it, by name.
fn recordings(folder: &Path, into: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = entries.with_context(|| format!("{} cannot be read", folder.display()))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Links are not followed into folders: they can lead back.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            recordings(&path, into)?;
        } else if name.ends_with(".mcap") || name.ends_with(".mcap.partial") {
            into.push(path);
        }
    }
    Ok(())
}

fn text(report: &Report) -> String {
    let Report { path, bytes, finished, chunks, compression, version, host, .. } = report;
    let unknown = || "?".to_owned();
    let mut text = format!(
        "{}: {:.1} MB in {chunks} chunks, compression {compression}; oaktap {} on {}\n",
        path.display(),
        *bytes as f64 / 1e6,
        version.clone().unwrap_or_else(unknown),
        host.clone().unwrap_or_else(unknown),
    );
    if !finished {
        text.push_str("  torn: it was not finished, its end is missing; `oaktap recover` makes a whole file of it\n");
    }
    if report.damaged_bytes + report.damaged_frames > 0 {
        let Report { damaged_bytes, damaged_frames, .. } = report;
        text.push_str(&format!("  damaged: {damaged_bytes} bytes, frames that are there in part: {damaged_frames}\n"));
    }
    for camera in &report.cameras {
        let head = [camera.name.as_str(), &camera.address, &camera.dialects.join(",")].join("  ");
        text.push_str(&format!("  {}\n", head.trim_end()));
        for (what, line) in lines(camera) {
            text.push_str(&format!("    {what:<10} {line}\n"));
        }
    }
    text
}

fn lines(camera: &CameraReport) -> Vec<(&'static str, String)> {
    let mut lines = vec![(
        "frames",
        format!(
            "{} in {:.3} s from {}; {:.2} frames/s, {:.1} Mbit/s",
            camera.frames,
            camera.seconds,
            camera.from_utc.as_deref().unwrap_or("-"),
            camera.fps,
            camera.mbit_s
        ),
    )];
    let formats: Vec<_> = camera.formats.iter().map(|(format, frames)| format!("{format} ({frames})")).collect();
    let size = match (camera.payload.min, camera.payload.max) {
        (min, max) if min == max => format!("{min} bytes"),
        (min, max) => format!("{min} to {max} bytes"),
    };
    lines.push(("pictures", format!("{}; {size}", formats.join(", "))));
    if let Some(interval) = camera.interval_ms {
        let told = format!("half {:.2} ms, 99 % {:.2} ms, longest {:.2} ms", interval.p50, interval.p99, interval.max);
        lines.push(("intervals", told));
        lines.push(("", camera.timeline.sparkline(BARS, (interval.p50 * 1e6) as u64)));
    }
    let counted = [
        (camera.missing, "frames missing"),
        (camera.withdrawn, "arrived damaged"),
        (camera.lost, "arrived in part"),
        (camera.stale, "taken before the connection"),
        (camera.resyncs, "resyncs"),
        (camera.skipped_bytes, "bytes skipped"),
        (camera.reconnects, "reconnects"),
        (camera.bad_detections, "unreadable detections"),
    ];
    let odd: Vec<_> = counted.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    lines.push(("odd", if odd.is_empty() { "nothing".to_owned() } else { odd.join(", ") }));
    let from = camera.from_unix_ns.unwrap_or(0);
    for gap in camera.gaps.iter().take(GAPS) {
        let at = gap.at_unix_ns.saturating_sub(from) as f64 / 1e9;
        lines.push(("gap", format!("{} frames at {at:.3} s: {}", gap.frames, gap.why)));
    }
    if camera.gaps.len() > GAPS {
        lines.push(("", "more gaps: see --json".to_owned()));
    }
    lines.push(("boxes", boxes(camera.detections, &camera.labels)));
    if let Some(clock) = &camera.clock {
        let bound = clock.error_bound_ns.map_or("?".to_owned(), |bound| format!("{:.3} ms", bound as f64 / 1e6));
        let told = format!("drift {:+.2} ppm, known to {bound}, restarts {}", clock.drift_ppm, clock.restarts);
        lines.push(("clock", told));
    }
    lines
}

fn boxes(all: u64, labels: &BTreeMap<String, u64>) -> String {
    let mut labels: Vec<_> = labels.iter().collect();
    labels.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let mut text = all.to_string();
    for (at, (label, n)) in labels.iter().take(10).enumerate() {
        text.push_str(&format!("{} {label} {n}", if at == 0 { ":" } else { "," }));
    }
    if labels.len() > 10 {
        text.push_str(&format!(" and {} more labels", labels.len() - 10));
    }
    text
}
