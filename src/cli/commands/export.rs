//! `oaktap export`: recordings as what other programs read.

use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::thread;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use oaktap::export::{self, Choice, Format, Moment, Options, Progress, Report};

use crate::cli::present::{self, Usage, with_help};
use crate::cli::{Ctx, Outcome, value_parsers};

/// Steps of the bar: what is known is the time that has been read, not the number of frames that come.
const STEPS: f64 = 10_000.0;

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// Recordings
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The folder or file to write; nothing is ever replaced
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,

    /// What to make of it: png, jpeg (pictures in a folder), mp4 (H.264; a file, or a folder for several cameras), jsonl,
    /// csv, parquet (a file of detections), yolo, coco (a folder with pictures and boxes, to train with)
    #[arg(long, value_name = "FORMAT")]
    to: Format,

    /// Draw the boxes into the pictures
    #[arg(long)]
    boxes: bool,

    /// Only the camera of this name; can be given several times
    #[arg(long, value_name = "NAME", help_heading = "What to export")]
    camera: Vec<String>,

    /// Every Nth frame of each camera
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "What to export",
          value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,

    /// Frames that arrived at this time or later: 2026-11-21T10:15:00Z, or so long after the first frame, such as 10s
    #[arg(long, value_name = "TIME", help_heading = "What to export")]
    from: Option<Moment>,

    /// Frames that arrived before this time, given as with --from
    #[arg(long, value_name = "TIME", help_heading = "What to export")]
    until: Option<Moment>,

    /// Only detections of this class, by name or number, and only frames that have one (video has all frames); can be
    /// given several times
    #[arg(long, value_name = "CLASS", help_heading = "What to export")]
    label: Vec<String>,

    /// Only detections that are at least so sure: 0.6 or 60%
    #[arg(long, value_name = "SHARE", default_value = "0", hide_default_value = true,
          help_heading = "What to export", value_parser = value_parsers::share)]
    min_confidence: f32,
}

/// Exports, and sums up.
pub(crate) fn run(ctx: &Ctx, args: &ExportArgs) -> anyhow::Result<Outcome> {
    if args.boxes && !args.to.can_have_boxes() {
        return Err(
            Usage(format!("--boxes draws into pictures and video, which {} are not for", args.to.name())).into()
        );
    }
    let options = Options {
        format: args.to,
        output: args.output.clone(),
        choice: Choice {
            cameras: args.camera.clone(),
            from: args.from,
            until: args.until,
            every: args.every,
            labels: args.label.clone(),
            min_confidence: args.min_confidence,
        },
        boxes: args.boxes,
        threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    ctx.stop.on_signals()?;
    let bar = bar();
    let mut tell = |progress: Progress| {
        bar.set_position((progress.part * STEPS) as u64);
        bar.set_message(format!("{} frames", progress.written));
        if ctx.stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let exported = export::export(&args.files, &options, &mut tell);
    bar.finish_and_clear();
    let report = exported.map_err(|error| {
        let help = error.help();
        with_help(error.into(), help)
    })?;
    present::say(&told(&report, args));
    if ctx.json {
        present::document(&Document {
            command: "export",
            format: args.to.name(),
            output: &args.output,
            report: &report,
        })?;
    }
    Ok(if report.is_complete() { Outcome::Done } else { Outcome::Lossy })
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Document<'a> {
    command: &'static str,
    format: &'static str,
    output: &'a std::path::Path,
    #[serde(flatten)]
    report: &'a Report,
}

/// A bar on a terminal, and nothing elsewhere.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(STEPS as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent:>3}%  {msg}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// The books, in words.
fn told(report: &Report, args: &ExportArgs) -> String {
    let mut text = format!(
        "{}: {} of {} frames read, {} detections, {} files, {:.1} MB",
        args.output.display(),
        report.written,
        report.read,
        report.detections,
        report.files,
        report.bytes as f64 / 1e6
    );
    let left_out = [
        (report.out_of_range, "outside of --from and --until"),
        (report.between, "between those that --every chose"),
        (report.without_label, "without a detection that --label chose"),
    ];
    for (frames, why) in left_out.into_iter().filter(|(frames, _)| *frames > 0) {
        text.push_str(&format!("\n  {frames} frames left out: {why}"));
    }
    if report.without_box > 0 {
        let boxes = report.without_box;
        text.push_str(&format!("\n  {boxes} detections left out: their box is no box, or outside of the picture"));
    }
    for skipped in &report.skipped {
        let (frames, camera, kind, why) = (skipped.frames, &skipped.camera, skipped.kind, &skipped.why);
        text.push_str(&format!("\n  {frames} frames of {camera} not exported, {kind}: {why}"));
    }
    for unread in &report.unread {
        text.push_str(&format!("\n  {}: {}", unread.path.display(), unread.why));
        text.push_str("\n    `oaktap recover FILE` saves every frame that is whole, into another file");
    }
    for note in &report.notes {
        text.push_str(&format!("\n  {note}"));
    }
    if !report.balances() {
        text.push_str("\n  the books do not balance: this is a bug of oaktap");
    }
    text
}
