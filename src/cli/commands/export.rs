//! `oaktap export`: converts recordings to the formats of other programs.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::thread;

use clap::Args;
use oaktap::export::{self, Choice, ExportFormat, ExportOptions, ExportProgress, ExportReport, TimeSpec};
use oaktap::units::Bytes;

use crate::cli::present::{self, Progress, Usage, with_help};
use crate::cli::recording_files::{FINISHED, find};
use crate::cli::{Ctx, Outcome, json_option, value_parsers};

const SELECTION: &str = "Selection";

const EXAMPLES: &str = "\
Examples:
  oaktap export cam.mcap --to mp4 -o cam.mp4 --boxes
  oaktap export cam.mcap --to png -o pictures --every 30
  oaktap export cam.mcap --to csv -o people.csv --only person --threshold 60%
  oaktap export recordings/ --to yolo -o dataset --from 10s --until 5min";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print the numbers of exported and skipped frames as one line of JSON"))]
pub(crate) struct ExportArgs {
    /// Recordings to convert, or folders of them
    #[arg(value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,

    /// File or folder to write; never replaces a file
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,

    /// Format: png, jpeg (pictures in a folder); mp4 (H.264 video; a file, or a folder for several cameras); jsonl, csv,
    /// parquet (a file of detections); yolo, coco (a folder of training data)
    #[arg(long, value_name = "FORMAT", hide_possible_values = true,
          value_parser = value_parsers::one_of(ExportFormat::ALL.map(ExportFormat::name), str::parse::<ExportFormat>))]
    to: ExportFormat,

    /// Draw the boxes of the detections into pictures and video
    #[arg(long)]
    boxes: bool,

    /// Quality of encoded video and JPEG, 1 to 100; 10 more double the bit rate of a video (90: 2 Mbit/s at 640x352 and 25
    /// frames/s)
    #[arg(long, value_name = "N", default_value_t = ExportOptions::DEFAULT_QUALITY,
          value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,

    /// Export this camera only; repeatable
    #[arg(long, value_name = "NAME", help_heading = SELECTION)]
    camera: Vec<String>,

    /// Export every Nth frame of each camera
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = SELECTION,
          value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,

    /// Start at this time of arrival, such as 2026-11-21T10:15:00Z, or this long after the first frame, such as 10s
    #[arg(long, value_name = "TIME", help_heading = SELECTION)]
    from: Option<TimeSpec>,

    /// Stop before this time, given like --from
    #[arg(long, value_name = "TIME", help_heading = SELECTION)]
    until: Option<TimeSpec>,

    /// Export detections with this label only, by name or number, and only frames with one (video keeps all frames);
    /// repeatable
    #[arg(long, value_name = "LABEL", help_heading = SELECTION)]
    only: Vec<String>,

    /// Ignore detections below this confidence, such as 0.6 or 60%
    #[arg(long, value_name = "CONFIDENCE", default_value = "0", help_heading = SELECTION,
          value_parser = value_parsers::fraction)]
    threshold: f32,
}

pub(crate) fn run(ctx: &Ctx, args: &ExportArgs) -> anyhow::Result<Outcome> {
    if args.boxes && !args.to.can_have_boxes() {
        return Err(Usage(format!("--boxes needs pictures or video, but --to is {}", args.to.name())).into());
    }
    let options = ExportOptions {
        format: args.to,
        output: args.output.clone(),
        choice: Choice {
            cameras: args.camera.clone(),
            from: args.from,
            until: args.until,
            every: args.every,
            labels: args.only.clone(),
            min_confidence: args.threshold,
        },
        boxes: args.boxes,
        quality: args.quality,
        threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    let files = find(&args.files, &[FINISHED])?;
    ctx.stop.on_signals()?;
    let bar = Progress::new();
    let mut show = |progress: ExportProgress| {
        bar.show(progress.fraction, format!("{} frames", progress.written));
        if ctx.stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let exported = export::export(&files, &options, &mut show);
    bar.clear();
    let report = exported.map_err(|error| {
        let help = error.help();
        with_help(error.into(), help)
    })?;
    present::say(&text(&report, args));
    if ctx.json {
        present::document(&ExportSummary {
            command: ctx.command,
            format: args.to.name(),
            output: &args.output,
            report: &report,
        })?;
    }
    Ok(if report.is_complete() { Outcome::Done } else { Outcome::Lossy })
}

#[derive(serde::Serialize)]
struct ExportSummary<'a> {
    command: &'static str,
    format: &'static str,
    output: &'a std::path::Path,
    #[serde(flatten)]
    report: &'a ExportReport,
}

fn text(report: &ExportReport, args: &ExportArgs) -> String {
    let mut text = format!(
        "{}: {} of {} frames exported, {} detections, {} files, {}",
        args.output.display(),
        report.written,
        report.read,
        report.detections,
        report.files,
        Bytes(report.bytes)
    );
    let left_out = [
        (report.out_of_range, "outside --from and --until"),
        (report.between, "not selected by --every"),
        (report.without_label, "no detection selected by --only"),
    ];
    for (frames, why) in left_out.into_iter().filter(|(frames, _)| *frames > 0) {
        text.push_str(&format!("\n  {frames} frames skipped: {why}"));
    }
    if report.without_box > 0 {
        let boxes = report.without_box;
        text.push_str(&format!("\n  {boxes} detections skipped: box invalid or outside the picture"));
    }
    for skipped in &report.skipped {
        let (frames, camera, kind, why) = (skipped.frames, &skipped.camera, skipped.kind, &skipped.why);
        text.push_str(&format!("\n  {frames} frames of {camera} not exported, {kind}: {why}"));
    }
    for unread in &report.unread {
        text.push_str(&format!("\n  {}: {}", unread.path.display(), unread.why));
        text.push_str("\n    `oaktap recover FILE` saves the intact frames to a new file");
    }
    for note in &report.notes {
        text.push_str(&format!("\n  {note}"));
    }
    if !report.balances() {
        text.push_str("\n  the frame counts do not balance: this is a bug in oaktap");
    }
    text
}
