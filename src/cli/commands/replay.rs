//! `oaktap replay`: shows a recording in a window, or serves it like a camera.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use oaktap::recording::{Playback, Reader, RecordingError, RecordingServer, ServedCounts, Speed};
use oaktap::sink::window::Screen;
use oaktap::source::{FileSpec, NamedSource, SourceSpec};
use oaktap::units::Bytes;
use serde::Serialize;

use super::simulate::listener;
use super::view::{ShowArgs, watch};
use crate::cli::receiving::{Receiving, StreamSummary};
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option, present};

/// How often the stop conditions are checked.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(20);

const EXAMPLES: &str = "\
Examples:
  oaktap replay evening.mcap
  oaktap replay evening.mcap --speed 4 --loop
  oaktap replay evening.mcap --serve 127.0.0.1:5000";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print a summary with all frame counts as one line of JSON at the end"))]
pub(crate) struct ReplayArgs {
    /// Recordings to play side by side, or folders of them
    #[arg(value_name = "FILE", required = true)]
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

    /// Serve the recording like a camera instead of showing it: one client at a time, each from the start, until one has
    /// received everything. Several cameras use consecutive ports [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:5000",
          conflicts_with = "no_window")]
    serve: Option<SocketAddr>,

    #[command(flatten)]
    show: ShowArgs,
}

/// One camera of a recording.
struct RecordedCamera {
    path: PathBuf,
    /// Index in the recording.
    index: usize,
    name: String,
}

/// Plays recordings in a window or to clients, and prints a summary.
pub(crate) fn run(ctx: &Ctx, args: &ReplayArgs) -> anyhow::Result<Outcome> {
    let files = recordings(&args.files)?;
    let (cameras, spans) = recorded_cameras(&files, &args.camera)?;
    match (args.serve, &*files) {
        (Some(address), [file]) => serve(ctx, args, file, &cameras, address),
        (Some(_), _) => {
            let text = format!("`--serve` takes one recording, found {}", files.len());
            Err(present::Usage(text).into())
        }
        (None, _) => window(ctx, args, cameras, &spans),
    }
}

/// First and last time of a recording, in nanoseconds since 1970, UTC.
type Span = (i64, i64);

/// Returns the cameras of recordings, those of these names or all, and the times of the recordings.
fn recorded_cameras(files: &[PathBuf], only: &[String]) -> anyhow::Result<(Vec<RecordedCamera>, Vec<Span>)> {
    let (mut names, mut cameras, mut spans) = (Vec::new(), Vec::new(), Vec::new());
    for path in files {
        let reader = Reader::open(path).map_err(advised)?;
        spans.extend(reader.span());
        for (index, camera) in reader.cameras().enumerate() {
            if only.is_empty() || only.contains(&camera.name) {
                cameras.push(RecordedCamera { path: path.clone(), index, name: camera.name.clone() });
            }
            names.push(camera.name.clone());
        }
    }
    if let Some(unknown) = only.iter().find(|camera| !names.contains(camera)) {
        let (has, it_has) = match files.len() {
            1 => ("the recording has", "it has"),
            _ => ("the recordings have", "they have"),
        };
        let text = format!("{has} no camera `{unknown}`; {it_has} {}", names.join(", "));
        return Err(present::Usage(text).into());
    }
    Ok((cameras, spans))
}

/// Returns the recordings at these paths: files, and the files `*.mcap` below folders in the order of their names.
fn recordings(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        let mut folders = vec![path.clone()];
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let entries = entries.with_context(|| format!("cannot read the folder {}", folder.display()))?;
            for entry in entries {
                // Links to folders are not followed: they may lead in circles.
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    _ if entry.path().extension().is_some_and(|end| end == "mcap") => files.push(entry.path()),
                    _ => {}
                }
            }
        }
        if files.len() == before {
            return Err(present::advised(
                anyhow::anyhow!("no recording (*.mcap) below the folder {}", path.display()),
                "`oaktap recover FILE.mcap.partial` finishes a recording that was interrupted",
            ));
        }
        files[before..].sort();
    }
    Ok(files)
}

fn advised(error: RecordingError) -> anyhow::Error {
    match error.help() {
        Some(help) => present::advised(error.into(), help),
        None => error.into(),
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
    let (cameras, spans) = recorded_cameras(&recordings(paths)?, &[])?;
    let playback = together(Playback::new(Speed::Times(1.0), false), &spans).waiting_at_end();
    let source = SourceArgs { playback: Some(playback), expect: None, ..source.clone() };
    watch(ctx, &sources(cameras, Speed::Times(1.0), false), &source, &Until::default(), record)
}

fn sources(cameras: Vec<RecordedCamera>, speed: Speed, looped: bool) -> Vec<NamedSource> {
    let camera =
        |RecordedCamera { path, name, .. }| SourceSpec::File(FileSpec { path, camera: Some(name), speed, looped });
    cameras.into_iter().map(camera).map(Into::into).collect()
}

/// Plays recordings at the same time, or from their starts if they have no time in common.
fn together(playback: Playback, spans: &[Span]) -> Playback {
    let (starts, ends) = (spans.iter().map(|span| span.0), spans.iter().map(|span| span.1));
    if let (Some(first), Some(last), Some(end)) = (starts.clone().min(), starts.max(), ends.min())
        && last > end
    {
        present::say("the recordings have no time in common: they start together");
        return playback.starting_together(first);
    }
    playback
}

/// Plays cameras in one window.
fn window(ctx: &Ctx, args: &ReplayArgs, cameras: Vec<RecordedCamera>, spans: &[Span]) -> anyhow::Result<Outcome> {
    let uris = sources(cameras, args.speed, args.looped);
    let playback = together(Playback::new(args.speed, args.looped), spans);
    // In a window, the user may seek back from the end.
    let playback = if args.show.no_window { playback } else { playback.waiting_at_end() };
    let source = SourceArgs { playback: Some(playback), ..args.show.source.clone() };
    ShowArgs { source, ..args.show.clone() }.show(ctx, &uris)
}

/// Counts of one served camera.
#[derive(Debug, Serialize)]
struct ServedCamera {
    name: String,
    address: SocketAddr,
    #[serde(flatten)]
    served: ServedCounts,
}

/// Serves until a client has received everything, or a stop condition holds.
fn serve(
    ctx: &Ctx,
    args: &ReplayArgs,
    file: &Path,
    cameras: &[RecordedCamera],
    address: SocketAddr,
) -> anyhow::Result<Outcome> {
    ctx.stop.on_signals()?;
    let mut servers = Vec::new();
    for (number, RecordedCamera { index, name, .. }) in (0..).zip(cameras) {
        let listener = listener(address, number, "--serve")?;
        let server = RecordingServer::start(listener, file, *index, args.speed, args.looped).map_err(advised)?;
        servers.push((name, server));
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
        .map(|(name, server)| ServedCamera { name: name.clone(), address: server.local_addr(), served: server.stop() })
        .collect();
    for ServedCamera { name, address, served: ServedCounts { connections, frames, abandoned, bytes, .. } } in &cameras {
        present::say(&format!(
            "tcp://{address} ({name}): {connections} connections, {frames} frames, {abandoned} abandoned by clients, \
             {}",
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
