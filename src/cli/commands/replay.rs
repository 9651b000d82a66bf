//! `oaktap replay`: shows a recording in a window, or serves it like a camera.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use oaktap::recording::{Playback, Reader, RecordingError, RecordingServer, ServedCounts, Speed};
use oaktap::source::{FileSpec, SourceSpec};
use oaktap::units::Bytes;
use serde::Serialize;

use super::simulate::listener;
use super::view::{RECORDINGS, show, watch};
use crate::cli::receiving::StreamSummary;
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option, present};

/// How often the stop conditions are checked.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Args, Debug)]
#[command(arg = json_option("Print a summary with all frame counts as one line of JSON at the end"))]
pub(crate) struct ReplayArgs {
    /// Recording to play
    #[arg(value_name = "FILE")]
    file: PathBuf,

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
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:5000")]
    serve: Option<SocketAddr>,

    /// Play, convert and draw without opening a window; end with the recording
    #[arg(long, conflicts_with = "serve")]
    no_window: bool,

    /// Folder for recordings started with the key `r`
    #[arg(long, value_name = "DIR", default_value = RECORDINGS)]
    record: PathBuf,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    until: Until,
}

/// Plays the recording in a window or to clients, and prints a summary.
pub(crate) fn run(ctx: &Ctx, args: &ReplayArgs) -> anyhow::Result<Outcome> {
    let reader = Reader::open(&args.file).map_err(advised)?;
    let names: Vec<_> = reader.cameras().map(|camera| camera.name.clone()).collect();
    drop(reader);
    if let Some(unknown) = args.camera.iter().find(|camera| !names.contains(camera)) {
        let text = format!("the recording has no camera `{unknown}`; it has {}", names.join(", "));
        return Err(present::Usage(text).into());
    }
    let wanted = |(_, name): &(usize, String)| args.camera.is_empty() || args.camera.contains(name);
    let cameras: Vec<_> = names.into_iter().enumerate().filter(wanted).collect();
    match args.serve {
        Some(address) => serve(ctx, args, &cameras, address),
        None => window(ctx, args, cameras),
    }
}

fn advised(error: RecordingError) -> anyhow::Error {
    match error.help() {
        Some(help) => present::advised(error.into(), help),
        None => error.into(),
    }
}

/// Plays all cameras of the recording in one window, at the same time of the recording.
fn window(ctx: &Ctx, args: &ReplayArgs, cameras: Vec<(usize, String)>) -> anyhow::Result<Outcome> {
    let camera = |(_, name)| {
        SourceSpec::File(FileSpec {
            path: args.file.clone(),
            camera: Some(name),
            speed: args.speed,
            looped: args.looped,
        })
    };
    let uris: Vec<_> = cameras.into_iter().map(camera).map(Into::into).collect();
    let playback = Playback::new(args.speed, args.looped);
    // In a window, the user may seek back from the end.
    let playback = if args.no_window { playback } else { playback.waiting_at_end() };
    let source = SourceArgs { playback: Some(playback), ..args.source.clone() };
    let (receiving, screen) = watch(ctx, &uris, &source, &args.until, &args.record)?;
    show(ctx, receiving, screen, args.no_window, &args.until)
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
fn serve(ctx: &Ctx, args: &ReplayArgs, cameras: &[(usize, String)], address: SocketAddr) -> anyhow::Result<Outcome> {
    ctx.stop.on_signals()?;
    let mut servers = Vec::new();
    for (number, (camera, name)) in (0..).zip(cameras) {
        let listener = listener(address, number, "--serve")?;
        let server = RecordingServer::start(listener, &args.file, *camera, args.speed, args.looped).map_err(advised)?;
        servers.push((name, server));
    }
    for (name, server) in &servers {
        // Programs wait for this line to learn the address.
        present::say(&format!("listening on tcp://{} ({name})", server.local_addr()));
    }
    let deadline = args.until.duration.and_then(|duration| Instant::now().checked_add(duration));
    let sent = || servers.iter().map(|(_, server)| server.served().frames).sum::<u64>();
    loop {
        let now = Instant::now();
        let next = deadline.map_or(now + STOP_CHECK_INTERVAL, |deadline| deadline.min(now + STOP_CHECK_INTERVAL));
        let over = servers.iter().all(|(_, server)| server.is_over())
            || deadline.is_some_and(|deadline| deadline <= now)
            || args.until.frames.is_some_and(|frames| sent() >= frames);
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
    match cameras.into_iter().find_map(|camera| camera.served.error) {
        None => Ok(Outcome::Done),
        Some(error) => Err(present::advised(
            anyhow::Error::msg(error),
            "`oaktap recover FILE` saves the intact frames to a new file",
        )),
    }
}
