//! `oaktap record`: records everything that cameras send to MCAP files.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use oaktap::frame::LabelMap;
use oaktap::hub::Budget;
use oaktap::live;
use oaktap::net::clock::received_now;
use oaktap::recording::Compression;
use oaktap::sink::record::{
    KeepLimit, RecordOptions, RecorderCounts, RecorderHealth, RecorderState, Recorders, RecordersHealth,
    RecordingTarget, SplitLimit, Trigger, format_remaining,
};
use oaktap::source::Session;
use oaktap::units::{Bytes, count};

use super::view::separated;
use crate::cli::beside::BesideArgs;
use crate::cli::fleet::FleetArgs;
use crate::cli::layout_note::Explained;
use crate::cli::receiving::Receiving;
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option, new_files, present, recording_summary, value_parsers};

/// How often the status line of a terminal is updated.
const STATUS_INTERVAL: Duration = Duration::from_millis(250);

/// How often a line is printed without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Extensions of videos, pictures, tables and other recordings. Folders rarely have one.
const FOREIGN_EXTENSIONS: [&str; 20] = [
    "mp4", "mkv", "avi", "mov", "webm", "h264", "h265", "264", "265", "mjpeg", "mjpg", "jpg", "jpeg", "png", "csv",
    "json", "jsonl", "parquet", "bag", "db3",
];

const EXAMPLES: &str = "\
Examples:
  oaktap record 192.168.1.50 192.168.1.51 -o recordings --split 10min --keep 500GB
  oaktap record 192.168.1.50 -o recordings --trigger 'person>0.6' --pre 10s --post 30s
  oaktap record --all -o recordings --status 10s
  oaktap record 192.168.1.50 -o recordings --serve 8080
  oaktap record 192.168.1.50 -o recordings --publish mqtt://192.168.1.10/oaktap
  oaktap record sim: -o cam.mcap -d 10s";

#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print the files and all frame counts as one line of JSON at the end"))]
pub(crate) struct RecordArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    /// Folder for one set of files per camera, or a .mcap file for all cameras together
    #[arg(short, long, value_name = "DIR|FILE.mcap")]
    output: PathBuf,

    /// Start a new file after this time or size, such as 10min or 1GB. Video continues to its next key frame, at most 10 s
    #[arg(long, value_name = "TIME|BYTES", help_heading = "Files")]
    split: Option<SplitLimit>,

    /// Delete the oldest finished files: those of a camera beyond this age or total size, such as 7d or 50GB, or those of all
    /// recorded cameras below this free share of the disk, such as 10%free
    #[arg(long, value_name = "LIMIT", help_heading = "Files")]
    keep: Option<KeepLimit>,

    /// Compression: none, lz4 or zstd. It hardly shrinks camera pictures
    #[arg(long, value_name = "METHOD", default_value = "none", help_heading = "Files", hide_possible_values = true,
          value_parser = value_parsers::one_of(["none", "lz4", "zstd"], str::parse::<Compression>))]
    compress: Compression,

    /// Sync files to the disk every second, so that a power failure loses at most that
    #[arg(long, help_heading = "Files")]
    sync: bool,

    /// Record only around detections with this label and a confidence above this, in quotes: 'person>0.6'
    #[arg(long, value_name = "TRIGGER", help_heading = "Trigger")]
    trigger: Option<Trigger>,

    /// Time to record before the first triggering detection. Video begins at the key frame before
    #[arg(long, value_name = "TIME", default_value = "5s", requires = "trigger", value_parser = value_parsers::duration)]
    #[arg(help_heading = "Trigger")]
    pre: Duration,

    /// Time to record after the last triggering detection
    #[arg(long, value_name = "TIME", default_value = "10s", requires = "trigger", value_parser = value_parsers::duration)]
    #[arg(help_heading = "Trigger")]
    post: Duration,

    #[command(flatten)]
    beside: BesideArgs,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    until: Until,
}

impl RecordArgs {
    fn options(&self, cameras: usize, labels: Option<LabelMap>) -> RecordOptions {
        let target = RecordingTarget::from_path(self.output.clone());
        // In a folder each camera has its own recorder, which buffers its own frames before a trigger.
        let recorders = if matches!(target, RecordingTarget::Folder(_)) { cameras.max(1) } else { 1 };
        // Frames before a trigger and frames that wait for the disk share the memory.
        let waiting_bytes = self.waiting_bytes();
        let trigger = self.trigger.clone().map(|trigger| Trigger {
            pre: self.pre,
            post: self.post,
            pre_bytes: waiting_bytes / recorders,
            ..trigger
        });
        RecordOptions {
            compression: self.compress,
            split: self.split,
            keep: self.keep,
            trigger,
            sync: self.sync,
            budget: Budget::new(waiting_bytes),
            memory: Some(self.source.frames().bound().clone()),
            // Around a trigger, which frames count is known only when they are recorded.
            frames_max: self.until.frames.filter(|_| self.trigger.is_none()),
            labels,
            ..RecordOptions::new(target)
        }
    }

    /// Returns the memory for frames that wait for the disk.
    fn waiting_bytes(&self) -> usize {
        let waiting = self.source.waiting_bytes();
        if self.trigger.is_some() { waiting / 2 } else { waiting }
    }

    /// Returns whether every camera has sent as many frames as requested.
    fn enough(&self, health: &RecordersHealth) -> bool {
        let enough =
            |counts: &RecorderCounts| self.until.frames.is_some_and(|most| counts.recorded + counts.missing() >= most);
        health.total.state == RecorderState::Finished || health.total.cameras.iter().all(enough)
    }
}

/// Records cameras and prints a summary.
pub(crate) fn run(ctx: &Ctx, args: &RecordArgs) -> anyhow::Result<Outcome> {
    let style = args.source.style()?;
    if style.threshold > 0.0 || !style.only.is_empty() {
        let text = "a recording keeps every detection, so --threshold and --only have no effect; --trigger selects \
                    what to record";
        return Err(present::Usage(text.to_owned()).into());
    }
    new_files::refuse_standard_output(&args.output, "a .mcap file or a folder")?;
    check_output(&args.output)?;
    let cameras = live::cameras(&separated(&args.fleet.sources()?));
    let mut beside = args.beside.open(&style)?;
    explain_guesses(&cameras);
    let mut recorders = Recorders::new(args.options(cameras.len(), style.names));
    live::connect(&cameras, &mut recorders)?;
    beside.connect(&cameras, recorders.monitor())?;
    recorders.start().map_err(recording_summary::refused)?;
    // With a trigger, the recorder counts fewer frames than the camera sends.
    let until = Until { frames: args.until.frames.filter(|_| args.trigger.is_none()), ..args.until };
    let receiving = Receiving::start(ctx, cameras, &args.source, &until, &recorders.monitor())?;
    beside.start(receiving.sessions())?;
    watch(ctx, args, &receiving, &mut recorders);
    let recordings = receiving.end_recordings(Some(recorders));
    let beside = beside.finish();
    beside.print(ctx)?;
    // With --json and --status, the paths are in the lines of JSON.
    if !ctx.json && args.source.status.is_none() {
        let paths = recordings.iter().flat_map(|recording| recording.paths());
        let lines: String = paths.map(|path| format!("{}\n", path.display())).collect();
        present::result(lines.as_bytes())?;
    }
    receiving.finish(ctx, &recordings).map(|outcome| beside.outcome(outcome))
}

/// Prints the layout of frames whose camera does not announce one, because nobody looks at a recording while it is made.
fn explain_guesses(cameras: &[live::Camera]) {
    for camera in cameras {
        let mut explained = Explained::new(&camera.name);
        camera.outlets.confirmed.tap(move |frame| explained.frame(frame));
    }
}

/// Rejects the name of a file of another format, which would otherwise become a folder.
fn check_output(path: &Path) -> anyhow::Result<()> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    if !FOREIGN_EXTENSIONS.contains(&&*extension) || path.is_dir() {
        return Ok(());
    }
    let text =
        format!("-o {}: a recording is an MCAP file: expected a folder or a name that ends in .mcap", path.display());
    let help = "record with -o NAME.mcap, then convert it with `oaktap export`";
    Err(present::advised(present::Usage(text).into(), help))
}

/// Prints the progress until a stop condition holds.
fn watch(ctx: &Ctx, args: &RecordArgs, receiving: &Receiving, recorders: &mut Recorders) {
    let terminal = std::io::stderr().is_terminal();
    let interval = if terminal { STATUS_INTERVAL } else { LINE_INTERVAL };
    let mut due = Instant::now() + interval;
    let mut state = RecorderState::Waiting;
    while !receiving.over() && !receiving.ended() {
        let Some(health) = recorders.health(received_now().mono_ns) else { break };
        if args.enough(&health) {
            break;
        }
        let trouble = |state: &RecorderState| matches!(state, RecorderState::Paused { .. });
        if health.total.state != state && (trouble(&health.total.state) || trouble(&state)) {
            // A line of its own, which the status line does not overwrite.
            present::log(&progress(&health, recorders.buffered(), args, receiving));
        }
        state = health.total.state.clone();
        if Instant::now() >= due {
            due = Instant::now() + interval;
            let line = progress(&health, recorders.buffered(), args, receiving);
            if terminal { present::status(&line) } else { present::log(&line) }
        }
        ctx.stop.wait_until(Some(Instant::now() + receiving.stop_check_interval()));
    }
    if terminal {
        present::status("");
    }
}

/// Returns the number of frames that are not in the files, with `~` if it contains an estimate: those that the recorder could
/// not write, and those that were lost before it.
fn missing_frames(in_recorder: u64, sessions: &[Session]) -> String {
    let stats: Vec<_> = sessions.iter().map(Session::stats).collect();
    let lost: u64 = stats.iter().map(|stats| stats.frames.lost + stats.frames.withdrawn + stats.frames.missing).sum();
    let is_estimate = stats.iter().any(|stats| stats.frames.estimated > 0);
    format!("{}{}", if is_estimate { "~" } else { "" }, in_recorder + lost)
}

fn progress(health: &RecordersHealth, buffered: usize, args: &RecordArgs, receiving: &Receiving) -> String {
    let RecordersHealth { total, bytes_per_s, seconds_left } = health;
    let RecorderHealth { state, frames, written, waiting, missing, bytes, disk_left, .. } = total;
    let doing = match (state, &args.trigger) {
        (RecorderState::Waiting, Some(trigger)) => format!("waiting for {trigger}"),
        (RecorderState::Waiting, None) => "waiting for frames".to_owned(),
        (RecorderState::Recording, _) => match (receiving.streaming(), receiving.sessions().len()) {
            (streaming, all) if streaming == all => "recording".to_owned(),
            (streaming, all) => format!("recording {streaming} of {all} cameras"),
        },
        (RecorderState::Paused { why }, _) => format!("PAUSED: {why}"),
        (RecorderState::Finished, _) => "ended".to_owned(),
    };
    let room = match (seconds_left, disk_left) {
        (Some(seconds), _) => format!(", {} left on the disk", format_remaining(*seconds)),
        (None, Some(left)) => format!(", {} free", Bytes(*left)),
        (None, None) => String::new(),
    };
    let speed = bytes_per_s / 1e6;
    let missing = missing_frames(*missing, receiving.sessions());
    if matches!(state, RecorderState::Paused { .. }) {
        let (written, waiting) = (count(*written, "frame", "frames"), count(*waiting, "frame", "frames"));
        let share = 100.0 * buffered as f64 / args.waiting_bytes().max(1) as f64;
        return format!(
            "{doing}: {written} written, {waiting} in memory ({share:.0} % of the room for them), {missing} not recorded{room}"
        );
    }
    let frames = count(*frames, "frame", "frames");
    let frames = match total.cameras.iter().map(|camera| camera.measurements).sum::<u64>() {
        0 => frames,
        measurements => format!("{frames}, {}", count(measurements, "measurement", "measurements")),
    };
    format!("{doing}: {frames}, {missing} not recorded, {}, {speed:.1} MB/s{room}", Bytes(*bytes))
}
