//! `oaktap simulate --app`: runs the Script of an application on this host.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use oaktap::package::Package;
use oaktap::sim::Program;
use oaktap::sim::bootloader::CameraConfig;
use serde::Serialize;

use super::{POLL_INTERVAL, SimulateArgs};
use crate::cli::receiving::StreamSummary;
use crate::cli::{Ctx, Outcome, present};
use oaktap::units::count;

/// The limit for the program to listen. One that connects to its host never does.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize)]
struct SimulatedApplication {
    /// The address on which it listened, if it did.
    address: Option<SocketAddr>,
    /// Pictures taken by the simulated sensor.
    frames: u64,
}

pub(super) fn run(ctx: &Ctx, args: &SimulateArgs, path: &Path) -> anyhow::Result<Outcome> {
    if args.count != 1 {
        return Err(present::Usage(
            "--app simulates one camera, so it cannot be used with --count; run `oaktap simulate` once per camera"
                .into(),
        )
        .into());
    }
    if args.until.frames.is_some() {
        return Err(present::Usage("--app cannot be used with --frames; use --duration".into()).into());
    }
    let IpAddr::V4(ip) = args.listen.ip() else {
        return Err(
            present::Usage("--app requires an IPv4 address in --listen, because cameras have no other".into()).into()
        );
    };
    let at = || format!("cannot simulate {}", path.display());
    let bytes = std::fs::read(path).with_context(at)?;
    let program =
        Package::parse(bytes).map_err(Into::into).and_then(|package| Program::of(&package)).with_context(at)?;
    if let Some(option) = args.scene.ineffective(program.defines_pictures()) {
        let text = format!("{option} has no effect on {}, whose program sends the stream itself", path.display());
        return Err(present::Usage(text).into());
    }
    ctx.stop.on_signals()?;
    let id = args.bootloader.id.clone().unwrap_or_else(|| CameraConfig::default().id);
    let running = program.start(ip, args.listen.port(), &id, &args.scene.config()?).with_context(at)?;
    let ended = |why: String| anyhow::anyhow!("{}: the program has ended: {why}", path.display());
    let mut address = None;
    let until = Instant::now() + LISTEN_TIMEOUT;
    while address.is_none() && Instant::now() < until && !ctx.stop.wait_until(Some(Instant::now())) {
        address = running.listening(POLL_INTERVAL).map_err(ended)?;
    }
    match address {
        // Other programs wait for this line to learn the address.
        Some(address) => present::say(&format!("listening on tcp://{address}")),
        None => present::say("the program does not listen; it may connect to its host"),
    }
    let deadline = args.until.deadline();
    loop {
        let next = Instant::now() + POLL_INTERVAL;
        if ctx.stop.wait_until(Some(deadline.map_or(next, |deadline| deadline.min(next))))
            || deadline.is_some_and(|deadline| deadline <= Instant::now())
        {
            break;
        }
        running.listening(Duration::ZERO).map_err(ended)?;
    }
    let camera = SimulatedApplication { address, frames: running.frames() };
    present::say(&format!("{} taken", count(camera.frames, "picture", "pictures")));
    if ctx.json {
        present::document(&StreamSummary { command: ctx.command, cameras: &[camera], recordings: &[] })?;
    }
    Ok(Outcome::Done)
}
