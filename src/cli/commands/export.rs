//! `oaktap export`: converts recordings to the formats of other programs.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context as _;
use clap::Args;
use oaktap::export::{self, Choice, ExportError, ExportFormat, ExportOptions, ExportProgress, ExportReport, TimeSpec};
use oaktap::file;
use oaktap::stats::words;
use oaktap::units::{Bytes, count};

use crate::cli::label_file::read_labels;
use crate::cli::present::{self, Progress, Usage};
use crate::cli::recording_files::{FINISHED, FoundFiles, find_all, is_folder};
use crate::cli::{Ctx, Outcome, json_option, new_files, value_parsers};

const SELECTION: &str = "Selection";

const EXAMPLES: &str = "\
Examples:
  oaktap export cam.mcap -o cam.mp4 --boxes
  oaktap export cam.mcap --to png -o pictures --every 30
  oaktap export cam.mcap -o people.csv --only person --threshold 60%
  oaktap export recordings/ --to yolo -o dataset --from 10s --until 5min

Exit codes: 0 every chosen frame that can be decoded was exported; 1 failure, or no frame exported;
2 wrong usage; 3 frames in the files were not exported, or a file is damaged, unfinished or
missing. Frames that are missing because they were not recorded are counted: `oaktap replay` ends
with exit code 3 for them.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print the numbers of exported and skipped frames as one line of JSON"))]
pub(crate) struct ExportArgs {
    /// Recordings to convert, or folders of them
    #[arg(value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,

    /// File or folder to write; never replaces a file. In a folder, a table gets the name of the recording
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,

    /// Format, unless the name after -o ends with .mp4, .jsonl, .csv or .parquet: png, jpeg (pictures in a folder); mp4 (H.264 video; a file, or a folder for several cameras); jsonl, csv,
    /// parquet (a file of detections); yolo, coco (a folder of training data)
    #[arg(long, value_name = "FORMAT", hide_possible_values = true,
          value_parser = value_parsers::one_of(ExportFormat::ALL.map(ExportFormat::name), str::parse::<ExportFormat>))]
    to: Option<ExportFormat>,

    /// Draw the boxes of the detections into pictures and video
    #[arg(long)]
    boxes: bool,

    /// Write depth (RAW16) as false colors; the default keeps its 16-bit samples (--to png)
    #[arg(long)]
    colormap: bool,

    /// File with the names of classes, instead of the camera's: one per line, data.yaml or JSON
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,

    /// Quality of encoded video and JPEG, 1 to 100 [default: 90]; 10 more double the bit rate of a video (90: 2 Mbit/s at
    /// 640x352 and 25 frames/s). JPEG from the camera is copied without this option, and encoded again with it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,

    /// Export this camera only; repeatable. Data sets (yolo, coco) leave out depth pictures without detections unless their
    /// camera is named
    #[arg(long, value_name = "NAME", help_heading = SELECTION)]
    camera: Vec<String>,

    /// Export every Nth frame of each camera
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = SELECTION,
          value_parser = value_parsers::positive)]
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
    let format = format(args)?;
    if args.boxes && !format.can_have_boxes() {
        return Err(Usage(format!("--boxes needs pictures or video, but the format is {}", format.name())).into());
    }
    if args.colormap && format != ExportFormat::Png {
        return Err(Usage(format!("--colormap needs --to png, but the format is {}", format.name())).into());
    }
    if args.quality.is_some() && !format.has_quality() {
        let name = format.name();
        return Err(Usage(format!("--quality needs --to jpeg or mp4, but the format is {name}")).into());
    }
    check_output(&args.output, format)?;
    let FoundFiles { files, unfinished } = find_all(&args.files, &[FINISHED])?;
    let options = ExportOptions {
        format,
        output: output(args, format, &files)?,
        choice: Choice {
            cameras: args.camera.clone(),
            from: args.from,
            until: args.until,
            every: args.every,
            labels: args.only.clone(),
            min_confidence: args.threshold,
            names: args.labels.as_deref().map(read_labels).transpose()?,
        },
        boxes: args.boxes,
        colormap: args.colormap,
        quality: args.quality,
        threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    ctx.stop.on_signals()?;
    let bar = Progress::new();
    let mut show = |progress: ExportProgress| {
        bar.show(progress.fraction, format!("{} frames", progress.written));
        if ctx.stop.asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let exported = export::export(&files, &options, &mut show);
    bar.clear();
    let report = exported.map_err(|error| {
        let fields = end_fields(&error);
        let help = error.help().map(|help| match error.recording() {
            Some(path) => present::naming(help, path),
            None => help.to_owned(),
        });
        let error = if error.is_usage() { Usage(error.to_string()).into() } else { error.into() };
        present::detailed(present::with_help(error, help), fields)
    })?;
    let text = text(&report, &options, files.len());
    if report.is_complete() {
        present::say(&text);
    } else {
        // It is the reason of exit code 1 or 3.
        present::always_say(&text);
    }
    if ctx.json {
        present::document(&ExportSummary {
            command: ctx.command,
            format: format.name(),
            output: &options.output,
            report: &report,
            unfinished: unfinished.iter().map(|path| path.display().to_string()).collect(),
        })?;
    }
    if report.is_empty() {
        return Err(present::with_help(anyhow::anyhow!("no frame could be exported"), report.help()));
    }
    Ok(if report.is_complete() && unfinished.is_empty() { Outcome::Done } else { Outcome::Lossy })
}

/// Returns the fields of `--json` for an export that has ended early.
fn end_fields(error: &ExportError) -> serde_json::Map<String, serde_json::Value> {
    let fields = match error {
        ExportError::Stopped { written, kept } => vec![("written", *written), ("kept", *kept)],
        ExportError::Incomplete { kept, .. } => vec![("kept", *kept)],
        _ => Vec::new(),
    };
    fields.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect()
}

#[derive(serde::Serialize)]
struct ExportSummary<'a> {
    command: &'static str,
    format: &'static str,
    #[serde(serialize_with = "file::serialize_path")]
    output: &'a std::path::Path,
    #[serde(flatten)]
    report: &'a ExportReport,
    /// Recordings below the given folders that were left out, because they are not finished.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unfinished: Vec<String>,
}

/// Returns the format that `--to` or the name of the output states.
fn format(args: &ExportArgs) -> anyhow::Result<ExportFormat> {
    let output = args.output.display();
    let of_name = args.output.extension().and_then(|end| match end.to_str()?.to_ascii_lowercase().as_str() {
        "mp4" => Some(ExportFormat::Mp4),
        "jsonl" => Some(ExportFormat::Jsonl),
        "csv" => Some(ExportFormat::Csv),
        "parquet" => Some(ExportFormat::Parquet),
        _ => None,
    });
    let of_name = of_name.filter(|_| !is_folder(&args.output));
    match (args.to, of_name) {
        (Some(to), Some(named)) if to != named => {
            let (to, named) = (to.name(), named.name());
            Err(Usage(format!("`--to {to}` contradicts `-o {output}`, which names a file of {named}")).into())
        }
        (Some(format), _) | (None, Some(format)) => Ok(format),
        (None, None) => {
            let names: Vec<_> = ExportFormat::ALL.map(ExportFormat::name).into();
            let text = format!("`-o {output}` does not tell the format: add `--to` and one of {}", names.join(", "));
            Err(Usage(text).into())
        }
    }
}

/// Refuses devices, and names of files for what would become a folder.
fn check_output(output: &Path, format: ExportFormat) -> anyhow::Result<()> {
    const VIDEOS: [&str; 9] = ["mkv", "avi", "mov", "webm", "h264", "h265", "264", "265", "mjpeg"];
    let shown = output.display();
    new_files::refuse_standard_output(output, "a file or folder")?;
    let is_special = output.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir());
    if is_special {
        return Err(Usage(format!("`-o {shown}` is a device or a pipe: expected a file or folder")).into());
    }
    let becomes_folder = !format.is_table();
    if !becomes_folder && output.extension().is_none() && !is_folder(output) {
        let name = format.name();
        let text =
            format!("`-o {shown}` has no ending: expected a file such as {shown}.{name}, or the folder {shown}/");
        return Err(Usage(text).into());
    }
    let end = output.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
    if becomes_folder && !is_folder(output) && VIDEOS.contains(&&*end) {
        let text = format!("`-o {shown}` names a file of {end}: expected a name that ends with .mp4, or a folder");
        return Err(Usage(text).into());
    }
    Ok(())
}

/// Returns the path to write: for a table in a folder, a file with the name of the recording, or `detections` for several.
fn output(args: &ExportArgs, format: ExportFormat, files: &[PathBuf]) -> anyhow::Result<PathBuf> {
    if !format.is_table() || !is_folder(&args.output) {
        return Ok(args.output.clone());
    }
    let stem = match files {
        [file] => file.file_stem().map(|stem| stem.to_string_lossy().into_owned()),
        _ => None,
    };
    let folder = &args.output;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    Ok(folder.join(format!("{}.{}", stem.as_deref().unwrap_or("detections"), format.name())))
}

/// Returns the frames that an export chooses from, in words: those of the chosen cameras and of the time range.
fn chosen_from(choice: &Choice, files: usize) -> String {
    let cameras = match &*choice.cameras {
        [] => None,
        [one] => Some(format!("of {one}")),
        several => Some(format!("of {} cameras", several.len())),
    };
    let range = (choice.from.is_some() || choice.until.is_some()).then(|| "in the time range".to_owned());
    let words: Vec<_> = cameras.into_iter().chain(range).collect();
    match (words.is_empty(), files) {
        (false, _) => words.join(" "),
        (true, 1) => "of the recording".to_owned(),
        (true, _) => "of the recordings".to_owned(),
    }
}

/// Returns the counts as text. The frames that are not exported are listed by reason, and add up to the difference.
fn text(report: &ExportReport, options: &ExportOptions, files: usize) -> String {
    // Of the frames outside the range, only those are read that the file stores beside chosen ones: no count for users.
    let in_range = report.read - report.out_of_range + report.missing;
    let detections = match report.detections {
        0 if !options.format.is_table() => String::new(),
        detections => format!(", {}", count(detections, "detection", "detections")),
    };
    let mut text = format!(
        "{}: {} of {} {} exported{detections}, {}, {}",
        options.output.display(),
        report.written,
        count(in_range, "frame", "frames"),
        chosen_from(&options.choice, files),
        count(report.files, "file", "files"),
        Bytes(report.bytes)
    );
    if let Some(path) = &report.measurements_in {
        let measurements = count(report.measurements, "measurement", "measurements");
        text.push_str(&format!("\n  {measurements} in {}", path.display()));
    }
    let left_out = [
        (report.between, "not selected by --every"),
        (report.without_label, "no detection selected by --only"),
        (report.depth, "depth without detections"),
    ];
    for (frames, why) in left_out.into_iter().filter(|(frames, _)| *frames > 0) {
        text.push_str(&format!("\n  {} skipped: {why}", count(frames, "frame", "frames")));
    }
    if report.missing > 0 {
        let missing = count(report.missing, "frame", "frames");
        text.push_str(&format!("\n  at least {missing} missing: in damaged parts of the recordings"));
    }
    for files in &report.missing_files {
        text.push_str(&format!("\n  {}", present::printable(&files.to_string())));
    }
    if report.not_recorded > 0 {
        let [one, many] = words::MISSING_IN_RECORDING;
        let missing = count(report.not_recorded, one, many);
        text.push_str(&format!("\n  {missing}: damaged, lost or not written when it was made"));
    }
    if report.after_gap > 0 {
        let copied = count(report.after_gap, "frame", "frames");
        text.push_str(&format!("\n  {copied} copied after a gap: players show them broken until the next key frame"));
    }
    if report.without_box > 0 {
        let boxes = count(report.without_box, "detection", "detections");
        text.push_str(&format!("\n  {boxes} skipped: box invalid or outside the picture"));
    }
    for skipped in &report.skipped {
        let (camera, kind, why) = (&skipped.camera, skipped.kind, &skipped.why);
        let frames = count(skipped.frames, "frame", "frames");
        let outcome = if skipped.is_loss() { "not exported" } else { "skipped" };
        text.push_str(&format!("\n  {frames} of {camera} {outcome}, {kind}: {why}"));
    }
    for unread in &report.unread {
        text.push_str(&format!("\n  {}: {}", unread.path.display(), unread.why));
        for why in &unread.also {
            text.push_str(&format!("\n    {why}"));
        }
        if unread.more > 0 {
            text.push_str(&format!("\n    {} more", count(unread.more, "damaged place", "damaged places")));
        }
        if let Some(help) = unread.help {
            text.push_str(&format!("\n    {}", present::naming(help, &unread.path)));
        }
    }
    for note in &report.notes {
        text.push_str(&format!("\n  {note}"));
    }
    if !report.balances() {
        text.push_str("\n  the frame counts do not balance: this is a bug in oaktap");
    }
    text
}
