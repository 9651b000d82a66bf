//! `oaktap replay`: shows a recording in a window or in the Foxglove app, or serves it like a camera.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use oaktap::file;
use oaktap::live;
use oaktap::recording::{
    CameraFiles, Joining, Playback, Reader, RecordingServer, ServedCounts, Speed, join, missing_files, natural_order,
};
use oaktap::sink::publish::{PublishTarget, PublishTargetError};
use oaktap::sink::record::RecordersMonitor;
use oaktap::sink::window::Screen;
use oaktap::source::{FileSpec, NamedSource, SourceSpec, check_name};
use oaktap::units::{Bytes, count, rounded_time};
use serde::Serialize;

use super::simulate::listener;
use super::view::{ShowArgs, over, watch};
use crate::cli::beside::Beside;
use crate::cli::publisher::Publisher;
use crate::cli::receiving::{Receiving, StreamSummary};
use crate::cli::recording_files::{FINISHED, NamedPath, find_all};
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option, present, value_parsers};

/// How often the stop conditions are checked.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Gaps between the files of a camera that are named.
const LISTED_GAPS: usize = 5;

/// Recordings are far apart if more than this, in nanoseconds, and this many times the recorded time is between them.
const EMPTY_MIN_NS: i64 = 60_000_000_000;
const EMPTY_SHARE: i64 = 10;

const EXAMPLES: &str = "\
Examples:
  oaktap replay evening.mcap
  oaktap replay recordings/ --speed 4 --loop
  oaktap replay before=monday.mcap after=friday.mcap --together
  oaktap replay evening.mcap --serve 127.0.0.1:5000
  oaktap replay evening.mcap --foxglove";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print a summary with all frame counts as one line of JSON at the end"))]
pub(crate) struct ReplayArgs {
    /// Recordings to play side by side, or folders of them; NAME=FILE names the camera. Files of one camera that follow
    /// each other play as one. All recordings play on one time line by their clocks; where none has frames, it is skipped
    #[arg(value_name = "[NAME=]FILE", required = true)]
    files: Vec<PathBuf>,

    /// Play this camera only; repeatable
    #[arg(long, value_name = "NAME")]
    camera: Vec<String>,

    /// Speed, such as 0.25x or 4, or max
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    speed: Speed,

    /// Start again at the end
    #[arg(long = "loop")]
    looped: bool,

    /// Start all recordings at the same time instead of by their clocks, to compare recordings of different times, also of
    /// one camera
    #[arg(long, conflicts_with = "serve")]
    together: bool,

    /// Serve the recording like a camera instead of showing it: one client at a time, each from the start, until one has
    /// received everything. Several cameras use consecutive ports [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:5000",
          value_parser = value_parsers::host_and_port, conflicts_with = "no_window")]
    serve: Option<SocketAddr>,

    /// Play the recording in the Foxglove app, which connects here, instead of a window: the app plays, pauses and seeks
    /// [default: 127.0.0.1:8765]
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, default_missing_value = "", value_parser = foxglove_target,
          conflicts_with_all = ["serve", "together", "no_window"])]
    foxglove: Option<PublishTarget>,

    #[command(flatten)]
    show: ShowArgs,
}

/// Parses the address of `--foxglove`.
fn foxglove_target(text: &str) -> Result<PublishTarget, String> {
    format!("foxglove://{text}").parse().map_err(|error: PublishTargetError| error.to_string())
}

impl ReplayArgs {
    /// Returns arguments that play these recordings once at normal speed.
    pub(super) fn of(files: Vec<PathBuf>, show: ShowArgs) -> Self {
        let speed = Speed::Times(1.0);
        Self { files, camera: Vec::new(), speed, looped: false, together: false, serve: None, foxglove: None, show }
    }
}

/// Plays recordings in a window or to clients, and prints a summary.
pub(crate) fn run(ctx: &Ctx, args: &ReplayArgs) -> anyhow::Result<Outcome> {
    let joining = if args.together { Joining::Parts } else { Joining::Recordings };
    let (cameras, is_whole) = recorded_cameras(&args.files, &args.camera, joining)?;
    name_gaps(&cameras);
    let outcome = match (args.serve, &args.foxglove) {
        (Some(address), _) => serve(ctx, args, &cameras, address),
        (None, Some(target)) => foxglove(ctx, args, &cameras, target),
        (None, None) => window(ctx, args, &cameras),
    }?;
    Ok(if is_whole { outcome } else { Outcome::Lossy })
}

/// A camera of recordings, and the name to show.
#[derive(Debug)]
struct RecordedCamera {
    /// `None`: that in the recording, with a number if several cameras have it.
    name: Option<String>,
    files: CameraFiles,
}

impl RecordedCamera {
    fn shown_name(&self) -> &str {
        self.name.as_ref().unwrap_or(&self.files.name)
    }
}

/// Returns the cameras of recordings, those of these names or all, and whether all of their files are there. Reports files that
/// are missing, and those that cannot be opened if there are others.
fn recorded_cameras(
    given: &[PathBuf],
    only: &[String],
    joining: Joining,
) -> anyhow::Result<(Vec<RecordedCamera>, bool)> {
    let given = NamedPath::all(given)?;
    let (mut names, mut cameras, mut unread, mut files) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let (mut parts, mut paths, mut has_unfinished) = (Vec::new(), Vec::new(), false);
    for NamedPath { name: given_name, path } in &given {
        let mut found = Vec::new();
        let below = find_all(std::slice::from_ref(path), &[FINISHED])?;
        has_unfinished |= !below.unfinished.is_empty();
        for path in below.files {
            files += 1;
            paths.push(path.clone());
            let reader = match Reader::open(&path) {
                Ok(reader) => reader,
                Err(error) => {
                    unread.push(present::recording_error(error, &path));
                    continue;
                }
            };
            parts.extend(reader.part());
            for camera in reader.cameras() {
                if only.is_empty() || only.contains(&camera.name) {
                    let (name, spans) = (camera.name.clone(), reader.span().into_iter().collect());
                    let recording = reader.part().map(|file| file.part.recording);
                    found.push(CameraFiles { name, paths: vec![path.clone()], spans, recording });
                }
                names.push(camera.name.clone());
            }
        }
        let is_alone = found.iter().all(|files| files.name == found[0].name);
        cameras.extend(found.into_iter().map(|files| {
            let name = given_name.as_ref().map(|name| name_of_camera(name, &files.name, is_alone));
            (name, files)
        }));
    }
    if unread.len() == files {
        return Err(unread.swap_remove(0));
    }
    let missing = missing_files(parts, &paths);
    let is_whole = unread.is_empty() && missing.is_empty() && !has_unfinished;
    for error in unread {
        present::say(&format!("left out: {error:#}"));
    }
    for files in missing {
        present::say(&present::printable(&files.to_string()));
    }
    if let Some(unknown) = only.iter().find(|camera| !names.contains(camera)) {
        let (has, it_has) = match files {
            1 => ("the recording has", "it has"),
            _ => ("the recordings have", "they have"),
        };
        names.sort_by(|a, b| natural_order(a, b));
        names.dedup();
        let text = format!("{has} no camera `{unknown}`; {it_has} {}", names.join(", "));
        return Err(present::Usage(text).into());
    }
    // Files with one name, given or not, are joined; others are not.
    let mut groups: Vec<(Option<String>, Vec<CameraFiles>)> = Vec::new();
    for (name, files) in cameras {
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, group)) => group.push(files),
            None => groups.push((name, vec![files])),
        }
    }
    let joined = groups.into_iter().flat_map(|(name, files)| {
        let camera = move |files| RecordedCamera { name: name.clone(), files };
        join(files, joining).into_iter().map(camera)
    });
    Ok((with_distinct_names(joined.collect()), is_whole))
}

/// Returns the name of a camera of a recording that the user named. A recording of several cameras has it before their names.
pub(super) fn name_of_camera(given: &str, camera: &str, is_alone: bool) -> String {
    if is_alone { given.to_owned() } else { format!("{given}-{camera}") }
}

/// Returns the cameras of the recordings below a folder, each as one source with the options of the folder.
///
/// # Errors
/// The folder has no recording or not the chosen camera, or is to continue in another file.
pub(crate) fn cameras_below(name: Option<&str>, folder: &FileSpec) -> anyhow::Result<Vec<NamedSource>> {
    let FileSpec { path, later, camera, speed, looped } = folder;
    if !later.is_empty() {
        let text =
            format!("`then` continues a file: expected a recording before it, found the folder {}", path.display());
        return Err(present::Usage(text).into());
    }
    let mut word = OsString::from(name.map_or_else(String::new, |name| format!("{name}=")));
    word.push(path);
    let only: Vec<_> = camera.clone().into_iter().collect();
    let (cameras, _) = recorded_cameras(&[word.into()], &only, Joining::Recordings)?;
    Ok(sources(&cameras, *speed, *looped))
}

/// Adds the name of the file to names of cameras that occur several times, if that makes them distinct.
fn with_distinct_names(mut cameras: Vec<RecordedCamera>) -> Vec<RecordedCamera> {
    let name_with_file = |camera: &RecordedCamera| {
        let stem = camera.files.paths[0].file_stem()?.to_string_lossy().into_owned();
        let name = format!("{}-{stem}", camera.shown_name());
        check_name(&name).is_ok().then_some(name)
    };
    let long: Vec<_> = cameras.iter().map(name_with_file).collect();
    let short: Vec<_> = cameras.iter().map(|camera| camera.shown_name().to_owned()).collect();
    for (number, camera) in cameras.iter_mut().enumerate() {
        let occurs_again = short.iter().filter(|name| **name == short[number]).count() > 1;
        let is_distinct = long.iter().filter(|name| **name == long[number]).count() == 1;
        if occurs_again && is_distinct && long[number].is_some() {
            camera.name.clone_from(&long[number]);
        }
    }
    cameras
}

/// Says where files of a camera do not follow each other at once: playback skips these gaps.
fn name_gaps(cameras: &[RecordedCamera]) {
    for camera in cameras {
        let pairs = camera.files.spans.windows(2).zip(&camera.files.paths);
        let gaps: Vec<_> =
            pairs.map(|(pair, path)| (pair[1].0.saturating_sub(pair[0].1) / 1_000_000_000, path)).collect();
        for (seconds, path) in gaps.into_iter().filter(|(seconds, _)| *seconds > 2).take(LISTED_GAPS) {
            let (name, path) = (camera.shown_name(), path.display());
            let gap = rounded_time(Duration::from_secs(seconds.unsigned_abs()));
            present::say(&format!("{name}: nothing was recorded for {gap} after {path}: skipped after 2 s"));
        }
    }
}

/// Says how to play recordings of different times together, if most of their time line is empty.
fn name_distance(cameras: &[RecordedCamera]) {
    let spans = || cameras.iter().filter_map(|camera| camera.files.span());
    let (Some(first), Some(last)) = (spans().map(|span| span.0).min(), spans().map(|span| span.1).max()) else {
        return;
    };
    let recorded: i64 = spans().map(|(from, to)| to.saturating_sub(from)).fold(0, i64::saturating_add);
    let empty = last.saturating_sub(first).saturating_sub(recorded);
    if empty > EMPTY_MIN_NS && empty / EMPTY_SHARE > recorded {
        let apart = rounded_time(Duration::from_nanos(empty.unsigned_abs()));
        present::say(&format!(
            "nothing was recorded for {apart} between the recordings: --together starts all at once"
        ));
    }
}

/// Starts to play recordings from their start at normal speed, for a window. The other options are those of the stream that
/// the window has shown before.
pub(super) fn open(
    ctx: &Ctx,
    paths: &[PathBuf],
    source: &SourceArgs,
    record: &Path,
) -> anyhow::Result<(Receiving, Screen)> {
    let (cameras, _) = recorded_cameras(paths, &[], Joining::Recordings)?;
    let playback = on_one_time_line(Playback::new(Speed::Times(1.0), false), &cameras, false).waiting_at_end();
    let source = SourceArgs { playback: Some(playback), expect: None, ..source.clone() };
    watch(
        ctx,
        (&sources(&cameras, Speed::Times(1.0), false), &[]),
        &source,
        &Until::default(),
        record,
        &mut Beside::default(),
    )
}

fn sources(cameras: &[RecordedCamera], speed: Speed, looped: bool) -> Vec<NamedSource> {
    let camera = |RecordedCamera { name, files }: &RecordedCamera| {
        let (path, later) = (files.paths[0].clone(), files.paths[1..].to_vec());
        let spec = SourceSpec::File(FileSpec { path, later, camera: Some(files.name.clone()), speed, looped });
        NamedSource { name: name.clone(), spec }
    };
    cameras.iter().map(camera).collect()
}

/// Puts recordings on one time line: by the clocks that they were recorded with, or all from its start.
fn on_one_time_line(playback: Playback, cameras: &[RecordedCamera], together: bool) -> Playback {
    let spans = || cameras.iter().filter_map(|camera| camera.files.span());
    let (Some(first_ns), Some(last_ns)) = (spans().map(|span| span.0).min(), spans().map(|span| span.1).max()) else {
        return playback;
    };
    if together {
        return playback.starting_together(first_ns);
    }
    playback.covering((first_ns, last_ns))
}

/// Plays cameras in one window.
fn window(ctx: &Ctx, args: &ReplayArgs, cameras: &[RecordedCamera]) -> anyhow::Result<Outcome> {
    if !args.together {
        name_distance(cameras);
    }
    let playback = on_one_time_line(Playback::new(args.speed, args.looped), cameras, args.together);
    let uris = sources(cameras, args.speed, args.looped);
    // In a window, the user may seek back from the end.
    let playback = if args.show.no_window { playback } else { playback.waiting_at_end() };
    let source = SourceArgs { playback: Some(playback), ..args.show.source.clone() };
    ShowArgs { source, ..args.show.clone() }.show(ctx, &uris, &[], Beside::default())
}

/// Plays cameras in the Foxglove app until a stop condition holds: paused at the start, until the app plays.
fn foxglove(
    ctx: &Ctx,
    args: &ReplayArgs,
    cameras: &[RecordedCamera],
    target: &PublishTarget,
) -> anyhow::Result<Outcome> {
    if args.speed == Speed::Max {
        return Err(present::Usage("--foxglove plays at a speed such as 4, not max".to_owned()).into());
    }
    name_distance(cameras);
    let playback = on_one_time_line(Playback::new(args.speed, args.looped), cameras, false).waiting_at_end();
    playback.pause(true);
    let source = SourceArgs { playback: Some(playback.clone()), ..args.show.source.clone() };
    let mut publisher = Publisher::of_playback(target, source.style()?, playback.clone());
    let cameras = live::cameras(&sources(cameras, args.speed, args.looped));
    publisher.connect(&cameras)?;
    let until = &args.show.until;
    let receiving = Receiving::start(ctx, cameras, &source, until, &RecordersMonitor::default())?;
    publisher.start(receiving.sessions())?;
    // Shows the first frame.
    playback.step();
    while !over(&receiving, until) {
        thread::sleep(receiving.stop_check_interval());
    }
    // `finish` reports how the sessions ended.
    drop(receiving.stop());
    let published = publisher.finish();
    published.print(ctx)?;
    receiving.finish(ctx, &[])
}

/// Counts of one served camera.
#[derive(Debug, Serialize)]
struct ServedCamera {
    camera: String,
    address: SocketAddr,
    #[serde(flatten)]
    served: ServedCounts,
}

/// Serves until a client has received everything, or a stop condition holds.
fn serve(ctx: &Ctx, args: &ReplayArgs, cameras: &[RecordedCamera], address: SocketAddr) -> anyhow::Result<Outcome> {
    ctx.stop.on_signals()?;
    let mut servers = Vec::new();
    for (number, camera) in (0..).zip(cameras) {
        let listener = listener(address, number, "--serve")?;
        let failed = |error| present::recording_error(error, &camera.files.paths[0]);
        let series = camera.files.open().map_err(failed)?;
        let server = RecordingServer::start(listener, series, args.speed, args.looped).map_err(failed)?;
        servers.push((camera.shown_name(), server));
    }
    for camera in cameras.iter().filter(|camera| camera.files.paths.last().is_some_and(|path| file::is_locked(path))) {
        let name = camera.shown_name();
        present::say(&format!("{name}: still being recorded, played up to the frames written so far"));
    }
    for (name, server) in &servers {
        // Programs wait for this line to learn the address.
        present::say(&format!("listening on tcp://{} ({name})", server.local_addr()));
    }
    let deadline = args.show.until.duration.and_then(|duration| Instant::now().checked_add(duration));
    let sent = || servers.iter().map(|(_, server)| server.served().frames).sum::<u64>();
    loop {
        let now = Instant::now();
        let next = deadline.map_or(now + STOP_CHECK_INTERVAL, |deadline| deadline.min(now + STOP_CHECK_INTERVAL));
        let over = servers.iter().all(|(_, server)| server.is_over())
            || deadline.is_some_and(|deadline| deadline <= now)
            || args.show.until.frames.is_some_and(|frames| sent() >= frames);
        if over || ctx.stop.wait_until(Some(next)) {
            break;
        }
    }
    let cameras: Vec<_> = servers
        .into_iter()
        .map(|(name, server)| ServedCamera {
            camera: name.to_owned(),
            address: server.local_addr(),
            served: server.stop(),
        })
        .collect();
    for ServedCamera { camera, address, served: ServedCounts { connections, frames, abandoned, bytes, .. } } in &cameras
    {
        present::say(&format!(
            "tcp://{address} ({camera}): {}, {}, {abandoned} abandoned by clients, {}",
            count(*connections, "connection", "connections"),
            count(*frames, "frame", "frames"),
            Bytes(*bytes)
        ));
    }
    if ctx.json {
        present::document(&StreamSummary { command: ctx.command, cameras: &cameras, recordings: &[] })?;
    }
    let sent: u64 = cameras.iter().map(|camera| camera.served.frames).sum();
    match cameras.into_iter().find_map(|camera| camera.served.error) {
        None => Ok(Outcome::Done),
        Some(error) if sent > 0 => {
            present::say(&error);
            present::say("help: `oaktap recover FILE` saves the intact frames to a new file");
            Ok(Outcome::Lossy)
        }
        Some(error) => Err(present::advised(
            anyhow::Error::msg(error),
            "`oaktap recover FILE` saves the intact frames to a new file",
        )),
    }
}
