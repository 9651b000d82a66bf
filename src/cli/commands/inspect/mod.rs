//! `oaktap inspect`: shows the contents of recordings and application packages.

mod extract;
mod package;
mod plot;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use oaktap::file::shell_word;
use oaktap::recording::inspect::{CameraReport, MeasurementReport, RecordingReport, inspect_watched};
use oaktap::recording::{MissingFiles, missing_files};
use oaktap::stats::{CameraHealth, HealthGauge, words};
use oaktap::units::{Bytes, count, rounded_mbit_s};
use oaktap::wire::Protocol;
use serde::Serialize;

use crate::cli::plot_file::PlotFile;
use crate::cli::present::{self, Usage, printable, recording_error};
use crate::cli::recording_files::{FINISHED, UNFINISHED, UnreadFile, find};
use crate::cli::{Ctx, Outcome, json_option};

const MCAP_MAGIC: &[u8] = b"\x89MCAP0\r\n";
const SPARKLINE_BARS: usize = 72;
/// Gaps to list in the text; `--json` lists a hundred.
const LISTED_GAPS: usize = 5;

const EXAMPLES: &str = "\
Examples:
  oaktap inspect evening.mcap
  oaktap inspect recordings/
  oaktap inspect app.dap --extract sections/

Exit codes: 0 all files are intact, also if frames were missing when they were recorded; 1 a file cannot
be read; 3 a file is unfinished, damaged or without frames and numbers, has pictures that are not
supported, or a file of a recording is missing.";

#[derive(Args, Debug)]
#[command(
    after_help = EXAMPLES,
    arg = json_option("Print the reports of all files as one line of JSON")
)]
pub(crate) struct InspectArgs {
    /// Recordings (also unfinished ones), application packages (.dap), or folders with either
    #[arg(value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,

    /// Extract the sections of a package, decompressed, and the files of its nodes to a new folder
    #[arg(long, value_name = "DIR", conflicts_with = "plot")]
    extract: Option<PathBuf>,

    /// Plot frames per second, gaps and detections over time to this .svg or .png file [default: NAME.svg]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "",
          value_parser = OsStringValueParser::new().try_map(PlotFile::new))]
    plot: Option<PlotFile>,
}

#[derive(Serialize)]
struct InspectReport<'a> {
    command: &'static str,
    files: &'a [RecordingReport],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    missing_files: &'a [MissingFiles],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    packages: &'a [package::InspectedPackage],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unread: &'a [UnreadFile],
}

enum FileKind {
    Recording,
    Package,
}

pub(crate) fn run(ctx: &Ctx, args: &InspectArgs) -> anyhow::Result<Outcome> {
    let stem = args.files.first().and_then(|path| path.file_stem()).map(|stem| stem.to_string_lossy().into_owned());
    let plot = args.plot.as_ref().map(|plot| plot.named(stem.as_deref().unwrap_or("recordings")));
    plot.as_ref().map(PlotFile::check).transpose()?;
    let files = find(&args.files, &[FINISHED, UNFINISHED, ".dap"])?;
    if let (Some(_), [_, _, ..]) = (&args.extract, files.as_slice()) {
        return Err(Usage("--extract needs exactly one package".to_owned()).into());
    }
    let (mut reports, mut packages) = (Vec::new(), Vec::new());
    let mut unread = Vec::new();
    for path in &files {
        let text = read(ctx, path, args, &mut reports, &mut packages);
        let text = match UnreadFile::unless_read(ctx, path, files.len() == 1, text)? {
            Ok(text) => text,
            Err(file) => {
                unread.push(file);
                continue;
            }
        };
        if !ctx.json {
            present::result(printable(&text).as_bytes())?;
        }
    }
    let missing = missing_files(reports.iter().filter_map(|report| report.part.clone()).collect(), &files);
    if ctx.json {
        present::document(&InspectReport {
            command: ctx.command,
            files: &reports,
            missing_files: &missing,
            packages: &packages,
            unread: &unread,
        })?;
    } else if reports.len() > 1 {
        let frames: u64 = reports.iter().map(RecordingReport::frames).sum();
        let bytes: u64 = reports.iter().map(|report| report.bytes).sum();
        let total = format!("{} files: {frames} frames, {}\n", reports.len(), Bytes(bytes));
        present::result(total.as_bytes())?;
    }
    if !ctx.json {
        for files in &missing {
            present::result(format!("{}\n", printable(&files.to_string())).as_bytes())?;
        }
    }
    if let Some(file) = &plot {
        file.write(&plot::Timelines(&reports))?;
        present::say(&format!("the plot is in {}", file.path().display()));
    }
    if !unread.is_empty() {
        anyhow::bail!("{} of {} files cannot be read", unread.len(), files.len());
    }
    let whole =
        reports.iter().all(RecordingReport::is_whole) && packages.iter().all(package::InspectedPackage::is_whole);
    let empty: Vec<_> = reports.iter().filter(|report| report.is_empty()).collect();
    for report in &empty {
        let cameras: Vec<_> = report.cameras.iter().map(|camera| camera.name.as_str()).collect();
        let text = format!("{}: no frames of {}", report.path.display(), cameras.join(", "));
        present::say(&printable(&text));
        if report.unsupported.is_empty() {
            let path = shell_word(&report.path);
            present::say(&format!("help: `oaktap verify {path}` checks the rest of the file"));
        } else {
            present::say(
                "help: record the pictures as JPEG, PNG, H.264, H.265 or raw; `foxglove` and `rerun` show the file as it is",
            );
        }
    }
    Ok(if whole && empty.is_empty() && missing.is_empty() { Outcome::Done } else { Outcome::Lossy })
}

/// Adds the report of a file, and returns it as text.
fn read(
    ctx: &Ctx,
    path: &Path,
    args: &InspectArgs,
    reports: &mut Vec<RecordingReport>,
    packages: &mut Vec<package::InspectedPackage>,
) -> anyhow::Result<String> {
    match kind(path)? {
        FileKind::Recording if args.extract.is_some() => {
            Err(Usage(format!("--extract needs a package, but {} is a recording", path.display())).into())
        }
        FileKind::Recording => {
            let report = present::watched(ctx, path, |watch| inspect_watched(path, watch))?;
            let report = report.map_err(|error| recording_error(error, path));
            let report = report.with_context(|| format!("cannot inspect {}", path.display()))?;
            let text = text(&report);
            reports.push(report);
            Ok(text)
        }
        FileKind::Package => {
            let inspected = package::InspectedPackage::read(path)?;
            if let Some(folder) = &args.extract {
                extract::extract(path, folder)?;
            }
            let text = inspected.text();
            packages.push(inspected);
            Ok(text)
        }
    }
}

/// Detects the kind of a file by its first bytes, or by its name if it is too short.
fn kind(path: &Path) -> anyhow::Result<FileKind> {
    let mut start = Vec::new();
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        // Opening a pipe would wait for its writer.
        anyhow::bail!("cannot read {}: it is a device or a pipe, expected a file", path.display());
    }
    let read = File::open(path).and_then(|file| file.take(MCAP_MAGIC.len() as u64).read_to_end(&mut start));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    let named = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("dap"));
    if start.starts_with(b"BR") || (named && b"BR".starts_with(&start)) {
        return Ok(FileKind::Package);
    }
    if MCAP_MAGIC.starts_with(&start) {
        return Ok(FileKind::Recording);
    }
    let (path, start) = (path.display(), start.escape_ascii());
    let expected = "expected \"\\x89MCAP0\" or \"BR\" at byte 0";
    let error = format!(
        "{path} is neither a recording (MCAP) nor an application package (.dap): {expected}, found \"{start}\""
    );
    let help = "`oaktap record` writes recordings, `oaktap build` and `oaktap backup` write packages";
    Err(present::advised(anyhow::Error::msg(error), help))
}

fn text(report: &RecordingReport) -> String {
    let RecordingReport { path, bytes, finished, chunks, compression, version, host, .. } = report;
    let unknown = || "?".to_owned();
    let compression = if compression.is_empty() { "none" } else { compression };
    let writer = match (version, host) {
        (None, None) => "another program".to_owned(),
        _ => {
            let (version, host) = (version.clone(), host.clone());
            format!("oaktap {} on {}", version.unwrap_or_else(unknown), host.unwrap_or_else(unknown))
        }
    };
    let size = Bytes(*bytes);
    let chunks = count(*chunks, "chunk", "chunks");
    let mut text = format!("{}: {size} in {chunks}, compression {compression}; {writer}\n", path.display());
    if report.being_recorded {
        text.push_str("  still being recorded\n");
    } else if !finished {
        let path = shell_word(path);
        text.push_str(&format!("  unfinished: the end is missing; `oaktap recover {path}` completes the file\n"));
    }
    if report.damaged_parts > 0 {
        let RecordingReport { damaged_bytes, damaged_frames, damaged_parts, damage, .. } = report;
        let amounts =
            [(*damaged_bytes, ["byte", "bytes"]), (*damaged_frames, ["incomplete frame", "incomplete frames"])];
        let amounts = amounts.into_iter().filter(|(amount, _)| *amount > 0);
        let mut amounts: Vec<_> = amounts.map(|(amount, [one, many])| count(amount, one, many)).collect();
        let places = count(*damaged_parts, "place", "places");
        amounts.push(if amounts.is_empty() { places } else { format!("in {places}") });
        text.push_str(&format!("  damaged: {}\n", amounts.join(", ")));
        for part in damage.iter().take(LISTED_GAPS) {
            text.push_str(&format!("    at byte {}: {}\n", part.offset, part.why));
        }
        if *finished {
            let path = shell_word(path);
            text.push_str(&format!("    `oaktap recover {path}` saves the intact frames to a new file\n"));
        }
    }
    for topic in &report.unsupported {
        text.push_str(&format!("  {topic}\n"));
    }
    let from = report.cameras.iter().filter_map(|camera| camera.from_unix_ns).min().unwrap_or(0);
    for jump in report.clock_jumps.iter().take(LISTED_GAPS) {
        let at = jump.at_unix_ns.saturating_sub(from) as f64 / 1e9;
        let by = jump.by_ns.unsigned_abs() as f64 / 1e9;
        let direction = if jump.by_ns < 0 { "back" } else { "forward" };
        text.push_str(&format!("  clock of the host set {direction} by {by:.3} s, {at:.3} s after the first frame\n"));
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
    if camera.frames == 0 {
        let mut lines = vec![("frames", "none".to_owned())];
        lines.extend(numbers(camera));
        return lines;
    }
    let mut lines = vec![(
        "frames",
        format!(
            "{} in {:.3} s from {}; {:.2} frames/s, {} Mbit/s",
            camera.frames,
            camera.seconds,
            camera.from_utc.as_deref().unwrap_or("-"),
            camera.fps,
            rounded_mbit_s(camera.mbit_s)
        ),
    )];
    let formats: Vec<_> = camera.formats.iter().map(|(format, frames)| format!("{format} ({frames})")).collect();
    let size = match (camera.payload.min, camera.payload.max) {
        (min, max) if min == max => count(min, "byte", "bytes"),
        (min, max) => format!("{min} to {max} bytes"),
    };
    lines.push(("pictures", format!("{}; {size}", formats.join(", "))));
    if let Some(interval) = camera.interval_ms {
        let text = format!("p50 {} ms, p99 {} ms, max {} ms", interval.p50, interval.p99, interval.max);
        lines.push(("intervals", text));
        lines.push(("", camera.timeline.sparkline(SPARKLINE_BARS, (interval.p50 * 1e6) as u64)));
    }
    // The number that a replay reports.
    if camera.missing > 0 {
        let [one, many] = words::MISSING_IN_RECORDING;
        lines.push(("missing", count(camera.missing, one, many)));
    }
    let not_recorded = camera.missing.saturating_sub(camera.damage.withdrawn + camera.damage.lost);
    let counted = [
        (not_recorded, ["frame not in the file", "frames not in the file"]),
        (camera.stale, ["stale frame", "stale frames"]),
        (camera.reconnects, words::RECONNECTS),
    ];
    let counted = counted.into_iter().filter(|(n, _)| *n > 0).map(|(n, [one, many])| count(n, one, many));
    let anomalies: Vec<String> = camera.damage.texts().chain(counted).collect();
    lines.push(("anomalies", if anomalies.is_empty() { "none".to_owned() } else { anomalies.join(", ") }));
    let from = camera.from_unix_ns.unwrap_or(0);
    for gap in camera.gaps.iter().take(LISTED_GAPS) {
        let at = gap.at_unix_ns.saturating_sub(from) as f64 / 1e9;
        lines.push(("gap", format!("{} at {at:.3} s: {}", count(gap.frames, "frame", "frames"), gap.why)));
    }
    if camera.gaps.len() > LISTED_GAPS {
        lines.push(("", "--json lists more gaps".to_owned()));
    }
    for pause in camera.pauses.iter().take(LISTED_GAPS) {
        let at = pause.at_unix_ns.saturating_sub(from) as f64 / 1e9;
        let frames = count(pause.frames_at_usual_rate, "frame", "frames");
        lines.push(("pause", format!("{:.3} s at {at:.3} s: ~{frames} at the usual rate", pause.seconds)));
    }
    if camera.pauses.len() > LISTED_GAPS {
        lines.push(("", "the longest pauses; --json lists more".to_owned()));
    }
    for trigger in camera.triggers.iter().take(LISTED_GAPS) {
        let at = trigger.at_unix_ns.saturating_sub(from) as f64 / 1e9;
        lines.push(("trigger", format!("at {at:.3} s: {}", trigger.why)));
    }
    if camera.triggers.len() > LISTED_GAPS {
        lines.push(("", format!("{} triggers in total; --json lists more", camera.triggered)));
    }
    lines.push(("boxes", boxes(camera.detections, &camera.labels)));
    if camera.tracking.tracks > 0 {
        lines.push(("tracks", count(camera.tracking.tracks, "object", "objects")));
    }
    if let Some(counters) = camera.tracking.counters {
        lines.push(("counters", format!("{counters} at the end")));
    }
    lines.extend(numbers(camera));
    if let Some(CameraHealth { celsius, css, mss }) = camera.health {
        let range = |what: &str, unit: &str, gauge: Option<HealthGauge>| {
            gauge.map(|HealthGauge { min, max, last }| format!("{what}{min:.1} to {max:.1}{unit}, last {last:.1}"))
        };
        let all = [range("", " °C", celsius), range("css ", " %", css), range("mss ", " %", mss)];
        lines.push(("condition", all.into_iter().flatten().collect::<Vec<_>>().join("; ")));
    }
    if let Some(clock) = &camera.clock {
        let ms = |bound: i64| format!("{:.3} ms", bound as f64 / 1e6);
        let restarts = count(clock.restarts, "restart", "restarts");
        let error = clock.error_bound_ns.map_or("unknown".to_owned(), |bound| format!("at most {}", ms(bound)));
        let drift = if clock.drift_is_known { format!("{:+.2} ppm", clock.drift_ppm) } else { "unknown".to_owned() };
        let text = match clock.misfit() {
            None => format!("drift {drift}, error {error}, {restarts}"),
            Some(misfit) => format!("{misfit}; times are those of the arrivals; {restarts}"),
        };
        lines.push(("clock", text));
    } else if camera.dialects.iter().all(|dialect| dialect.parse::<Protocol>().is_ok()) {
        lines.push(("clock", "no camera clock: times are those of the arrivals".to_owned()));
    }
    lines
}

/// Returns a line for each topic of numbers.
fn numbers(camera: &CameraReport) -> impl Iterator<Item = (&'static str, String)> {
    camera.measurements.0.iter().map(|(topic, MeasurementReport { count: all, min, max, last })| {
        let numbers = count(*all, "number", "numbers");
        ("numbers", format!("{}: {numbers}, {min} to {max}, last {last}", printable(topic)))
    })
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
