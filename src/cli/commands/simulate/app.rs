//! `oaktap simulate --app`: the Script of an application, run on this computer by the one who names it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use oaktap::package::Package;
use oaktap::sim::Program;
use oaktap::sim::bootloader::CameraConfig;
use serde::Serialize;

use super::{LOOK, SimulateArgs};
use crate::cli::{Ctx, Outcome, present};

/// So long the program may take until it listens; one that connects by itself never does.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);

/// What it did.
#[derive(Debug, Serialize)]
struct Camera {
    /// Where it listened, if it did.
    address: Option<SocketAddr>,
    /// Pictures that its sensor has taken.
    frames: u64,
}

/// Runs it until it ends, or is told to.
pub(super) fn run(ctx: &Ctx, args: &SimulateArgs, path: &Path) -> anyhow::Result<Outcome> {
    if args.count != 1 {
        return Err(present::Usage("--app is one camera: start the program again for another one".into()).into());
    }
    if args.until.frames.is_some() {
        return Err(present::Usage("--app knows no --frames: say --duration".into()).into());
    }
    let IpAddr::V4(ip) = args.listen.ip() else {
        return Err(present::Usage("--app needs an IPv4 address to --listen at: cameras have no other".into()).into());
    };
    let at = || path.display().to_string();
    let bytes = std::fs::read(path).with_context(at)?;
    let program =
        Package::parse(bytes).map_err(Into::into).and_then(|package| Program::of(&package)).with_context(at)?;
    if let Some(option) = args.scene.in_vain(program.tells_pictures()) {
        let text = format!("{option} has no effect on {}: its own program sends the stream", path.display());
        return Err(present::Usage(text).into());
    }
    ctx.stop.on_signals()?;
    let id = args.bootloader.id.clone().unwrap_or_else(|| CameraConfig::default().id);
    let running = program.start(ip, args.listen.port(), &id, &args.scene.config()?).with_context(at)?;
    let ended = |why: String| anyhow::anyhow!("{}: its program has ended: {why}", at());
    let mut address = None;
    let until = Instant::now() + LISTENS_WITHIN;
    while address.is_none() && Instant::now() < until && !ctx.stop.wait_until(Some(Instant::now())) {
        address = running.listening(LOOK).map_err(ended)?;
    }
    match address {
        // For programs too: the address is what they wait for.
        Some(address) => present::say(&format!("listening on tcp://{address}")),
        None => present::say("it listens nowhere: it may connect to its host by itself"),
    }
    let deadline = args.until.deadline();
    loop {
        let next = Instant::now() + LOOK;
        if ctx.stop.wait_until(Some(deadline.map_or(next, |deadline| deadline.min(next))))
            || deadline.is_some_and(|deadline| deadline <= Instant::now())
        {
            break;
        }
        running.listening(Duration::ZERO).map_err(ended)?;
    }
    let camera = Camera { address, frames: running.frames() };
    present::say(&format!("{} pictures were taken", camera.frames));
    if ctx.json {
        present::document(&present::Document { command: "simulate", cameras: &[camera], recordings: &[] })?;
    }
    Ok(Outcome::Done)
}
