//! `oaktap snapshot`: saves pictures to files.

mod moments;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use oaktap::file::NewFolders;
use oaktap::frame::Frame;
use oaktap::hub::RecvTimeoutError;
use oaktap::live::{self, Camera, Sink as _};
use oaktap::overlay::Style;
use oaktap::sink::record::RecordersMonitor;
use oaktap::sink::snapshot::{SnapshotTarget, Snapshots};
use oaktap::source::{Session, SourceSpec};
use oaktap::units::count;
use serde::Serialize;

use self::moments::{FirstStream, FurtherStream, KEPT, Moments};
use super::view::separated;
use crate::cli::fleet::FleetArgs;
use crate::cli::layout_note::Explained;
use crate::cli::present::Usage;
use crate::cli::receiving::{Receiving, Unpictured};
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, WHEN_TO_STOP, json_option, new_files, present, value_parsers};

/// How long to wait for a frame without --duration.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);

/// Time after its first frame in which a camera that names its streams begins all of them.
const STREAMS_TIMEOUT: Duration = Duration::from_secs(1);

const FEW_HELP: &str = "give a smaller -n, or a longer time with -d";

/// Extensions of picture files that are not written: such a path is not meant as a folder.
const OTHER_PICTURES: [&str; 11] = ["jpg", "jpeg", "gif", "bmp", "tif", "tiff", "webp", "ppm", "heic", "mp4", "mcap"];

const EXAMPLES: &str = "\
Examples:
  oaktap snapshot 192.168.1.50 -o pictures
  oaktap snapshot 192.168.1.50 -o door.png --no-overlay
  oaktap snapshot --all -o pictures -n 3";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print each path as a line of JSON, and a summary with all frame counts at the end"))]
pub(crate) struct SnapshotArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    /// Save N pictures of each camera, and of each of its streams
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, help_heading = WHEN_TO_STOP,
          value_parser = value_parsers::positive)]
    frames: u64,

    /// Stop after this time, such as 500ms, 10s, 2min or 1h [default: 10s after the last picture]
    #[arg(short = 'd', long, value_name = "TIME", help_heading = WHEN_TO_STOP, value_parser = value_parsers::duration)]
    duration: Option<Duration>,

    /// Folder for new files, or a new .png file for the first stream, with a .json file beside it
    #[arg(short, long, value_name = "DIR|FILE.png", default_value = ".")]
    output: PathBuf,

    /// Do not draw boxes and labels
    #[arg(long)]
    no_overlay: bool,

    #[command(flatten)]
    source: SourceArgs,
}

/// Saves snapshots and prints a summary.
pub(crate) fn run(ctx: &Ctx, args: &SnapshotArgs) -> anyhow::Result<Outcome> {
    new_files::refuse_standard_output(&args.output, "a .png file or a folder")?;
    let target = SnapshotTarget::from_path(args.output.clone());
    if let SnapshotTarget::Folder(folder) = &target
        && !folder.is_dir()
        && let Some(extension) = folder.extension().map(|extension| extension.to_string_lossy().to_lowercase())
        && OTHER_PICTURES.contains(&extension.as_str())
    {
        let text =
            format!("snapshots are PNG files: expected `-o FILE.png` or a folder, found `-o {}`", folder.display());
        return Err(Usage(text).into());
    }
    let cameras = live::cameras(&separated(&args.fleet.sources()?));
    let needs_folder = match (args.frames, cameras.len()) {
        (1, 1) => None,
        (1, cameras) => Some(format!("{cameras} cameras need a folder")),
        (frames, _) => Some(format!("`--frames {frames}` needs a folder")),
    };
    if let (SnapshotTarget::File(path), Some(needs)) = (&target, needs_folder) {
        return Err(Usage(format!("{needs}, but `-o {}` is a file", path.display())).into());
    }
    // Without a picture, no empty folder is left.
    let mut new_folders = NewFolders::default();
    new_folders.add(&args.output);
    match &target {
        SnapshotTarget::File(path) => {
            new_files::check_file(path).and_then(|()| new_files::check_file(&path.with_extension("json")))?;
        }
        SnapshotTarget::Folder(folder) => new_files::check_folder(folder, "pictures")?,
    }
    let style = args.source.style()?;
    let pictures = Pictures { target: &target, style: &style, overlay: !args.no_overlay };
    let mut sinks = Vec::new();
    for camera in &cameras {
        sinks.push((camera.clone(), pictures.of(camera, 1)?));
    }
    let until = Until { frames: Some(args.frames), duration: args.duration };
    let receiving = Receiving::start(ctx, cameras, &args.source, &until, &RecordersMonitor::default())?;
    let json = ctx.json || args.source.status.is_some();
    let saving = Saving { receiving: &receiving, args, pictures: &pictures, json };
    let written = receiving.consume(sinks, |session, (camera, first)| saving.camera(session, &camera, first));
    let unpictured = written.iter().map(|saved| saved.as_ref().ok()?.first()?.unpictured.clone());
    let outcome = receiving.without_pictures(unpictured.collect()).finish(ctx, &[]);
    let written = written.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat();
    let few = |saved: &&Saved| saved.written < args.frames;
    // The error of a stream without frames, or without pictures, explains more.
    let outcome = outcome?;
    let text = |Saved { written, unpictured, is_first, skipped, .. }: &Saved| match unpictured {
        Some(_) if *is_first => None,
        Some(reason) => Some(format!("no picture was written: {}", reason.error)),
        None => {
            let wanted = args.frames;
            let skipped = match *skipped {
                0 => String::new(),
                some => format!(
                    "; {} because writing one takes longer than a frame",
                    count(some, "was skipped", "were skipped")
                ),
            };
            Some(format!(
                "{written} of {wanted} pictures were written before the end of the stream or of the time{skipped}"
            ))
        }
    };
    let lines: Vec<_> = written.iter().filter(few).filter_map(|saved| Some((&saved.name, text(saved)?))).collect();
    if lines.is_empty() {
        return Ok(outcome);
    }
    if written.iter().all(|saved| few(&saved)) {
        let lines: Vec<_> = lines.iter().map(|(name, text)| format!("{name}: {text}")).collect();
        return Err(present::advised(anyhow::anyhow!("{}", lines.join("\n")), FEW_HELP));
    }
    lines.iter().for_each(|(name, text)| present::always_say(&format!("{name}: exit code 3: {text}")));
    present::say(&format!("help: {FEW_HELP}"));
    Ok(Outcome::Lossy)
}

/// The result for one stream of a camera.
#[derive(Clone)]
struct Saved {
    /// Name of the camera or stream.
    name: String,
    is_first: bool,
    /// Number of pictures.
    written: u64,
    /// Frames that were not saved, because others were being saved.
    skipped: u64,
    /// Reason for a missing picture of a camera that sends video.
    unpictured: Option<Unpictured>,
}

/// The pictures to make.
struct Pictures<'a> {
    target: &'a SnapshotTarget,
    style: &'a Style,
    /// With the boxes drawn.
    overlay: bool,
}

impl Pictures<'_> {
    /// Begins to take the pictures of a camera or stream. `waiting_max`: frames that wait.
    fn of(&self, camera: &Camera, waiting_max: usize) -> anyhow::Result<Snapshots> {
        let snapshots = Snapshots::new(self.target.clone(), self.style.clone(), self.overlay);
        let mut snapshots = snapshots.with_waiting(waiting_max);
        snapshots.connect(camera)?;
        Ok(snapshots)
    }
}

/// How the pictures of each camera are saved.
struct Saving<'a> {
    receiving: &'a Receiving,
    args: &'a SnapshotArgs,
    pictures: &'a Pictures<'a>,
    /// Standard output has only lines of JSON.
    json: bool,
}

impl Saving<'_> {
    /// Saves pictures of a camera and of its further streams. The first result is that of the camera.
    fn camera(&self, session: &Session, camera: &Camera, first: Snapshots) -> anyhow::Result<Vec<Saved>> {
        // A file is for one picture. In a recording each stream is a camera.
        if matches!(self.pictures.target, SnapshotTarget::File(_)) || session.spec().recording().is_some() {
            return Ok(vec![self.stream(session, &camera.name, first, &mut Turn::Alone)?]);
        }
        let moments = Arc::<Moments>::default();
        thread::scope(|scope| {
            let mut turn = Turn::First(FirstStream::of(&moments));
            let first = scope.spawn(move || self.stream(session, &camera.name, first, &mut turn));
            let mut savers = Vec::new();
            let mut known: Vec<Arc<str>> = Vec::new();
            let mut begun: Option<Instant> = None;
            while !first.is_finished() && !self.receiving.over() {
                for name in session.ledger().update(|stats| stats.further_streams()).split_off(known.len()) {
                    let stream = camera.of_stream(&name);
                    let snapshots = self.pictures.of(&stream, KEPT)?;
                    let mut turn = Turn::Further(moments.further());
                    savers.push(scope.spawn(move || self.stream(session, &stream.name, snapshots, &mut turn)));
                    known.push(name);
                }
                if begun.is_none() && session.ledger().update(|stats| stats.names_streams()) {
                    begun = Some(Instant::now());
                }
                if begun.is_some_and(|begun| begun.elapsed() >= STREAMS_TIMEOUT) {
                    moments.open();
                }
                thread::sleep(self.receiving.stop_check_interval());
            }
            let join = |saver: thread::ScopedJoinHandle<'_, _>| {
                saver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            std::iter::once(first).chain(savers).map(join).collect()
        })
    }

    /// Saves frames of one stream until there are enough.
    fn stream(
        &self,
        session: &Session,
        name: &str,
        mut snapshots: Snapshots,
        turn: &mut Turn,
    ) -> anyhow::Result<Saved> {
        let Self { receiving, args, .. } = *self;
        // It appends the name of the stream.
        let mut explained = Explained::new(session.name());
        let saver = Saver { camera: name, json: self.json };
        let (mut written, mut says_depth) = (0, true);
        let mut deadline = Instant::now() + args.duration.unwrap_or(FRAME_TIMEOUT);
        while written < args.frames && !receiving.over() {
            let frame = match snapshots.recv_timeout(receiving.stop_check_interval()) {
                Ok(frame) => frame,
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline && !snapshots.is_unsupported() => continue,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            };
            deadline = Instant::now() + args.duration.unwrap_or(FRAME_TIMEOUT);
            // A camera sends a newer picture soon (wire.md 2.5). A broker has retained the newest one, and another may never follow.
            let is_retained = frame.is_stale() && matches!(session.spec(), SourceSpec::Mqtt(_));
            if is_retained || !frame.is_stale() {
                explained.frame(&frame);
                if frame.is_depth() && std::mem::take(&mut says_depth) {
                    let boxes = if args.no_overlay { "" } else { "; boxes are in the JSON file only" };
                    let text =
                        "pictures are 16-bit gray, in millimeters if the camera sends depth, otherwise disparities";
                    present::say(&format!("{name}: {text}{boxes}"));
                }
                if let Some(frame) = turn.next(session, frame) {
                    written += saver.save(&mut snapshots, &frame)?;
                    turn.taken();
                }
            }
            if is_retained {
                let text = "this picture was published before oaktap subscribed: the broker had retained it";
                present::log(&format!("{name}: {text}"));
            }
        }
        if let Some(frame) = turn.rest().filter(|_| written < args.frames) {
            written += saver.save(&mut snapshots, &frame)?;
        }
        let skipped = snapshots.skipped();
        let not_decoded = snapshots.not_decoded().filter(|_| written == 0);
        snapshots.finish();
        let unpictured = not_decoded.map(|error| Unpictured { error: error.to_string(), help: error.help() });
        let is_first = !matches!(turn, Turn::Further(_));
        Ok(Saved { name: name.to_owned(), is_first, written, skipped, unpictured })
    }
}

/// Selects the frames of a stream of which pictures are taken.
enum Turn {
    /// Of the only stream that has pictures: every frame.
    Alone,
    First(FirstStream),
    Further(FurtherStream),
}

impl Turn {
    /// Returns the frame of the next picture, if it is the turn of one.
    fn next(&mut self, session: &Session, frame: Arc<Frame>) -> Option<Arc<Frame>> {
        match self {
            Self::Alone => Some(frame),
            Self::First(first) => {
                let names_streams = session.ledger().update(|stats| stats.names_streams());
                (!names_streams || first.begins(&frame)).then_some(frame)
            }
            Self::Further(further) => further.next(frame),
        }
    }

    /// Returns the frame of the next picture after the last frame of the stream.
    fn rest(&self) -> Option<Arc<Frame>> {
        if let Self::Further(further) = self { further.rest() } else { None }
    }

    /// The picture was taken.
    fn taken(&mut self) {
        if let Self::Further(further) = self {
            further.taken();
        }
    }
}

/// Saves frames of one stream and prints the paths.
struct Saver<'a> {
    camera: &'a str,
    /// Standard output has only lines of JSON.
    json: bool,
}

#[derive(Serialize)]
struct SnapshotLine<'a> {
    snapshot: SavedSnapshot<'a>,
}

#[derive(Serialize)]
struct SavedSnapshot<'a> {
    camera: &'a str,
    path: &'a Path,
}

impl Saver<'_> {
    fn save(&self, snapshots: &mut Snapshots, frame: &Frame) -> anyhow::Result<u64> {
        let path = snapshots.save(frame)?;
        let line = if self.json {
            present::json(&SnapshotLine { snapshot: SavedSnapshot { camera: self.camera, path: &path } })?
        } else {
            format!("{}\n", path.display())
        };
        present::result(line.as_bytes())?;
        Ok(1)
    }
}
