//! `oaktap simulate --connect`: connects to hosts that wait with `listen://`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use oaktap::sim::{ConnectingCamera, Reel, Sent};
use oaktap::units::{Bytes, count};

use super::{SimulateArgs, SimulatedStream, UNDECODABLE, numbered, wait};
use crate::cli::receiving::StreamSummary;
use crate::cli::{Ctx, Outcome, present};

pub(super) fn run(ctx: &Ctx, args: &SimulateArgs, host: SocketAddr) -> anyhow::Result<Outcome> {
    let reel = Arc::new(Reel::new(&args.scene.config()?)?);
    ctx.stop.on_signals()?;
    let mut cameras = Vec::new();
    for number in 0..args.count {
        let host = numbered("--connect", host, number, args.count)?;
        let camera =
            ConnectingCamera::start(host, Arc::clone(&reel)).context("cannot start a thread for the camera")?;
        // Other programs wait for this line.
        present::say(&format!("connecting to {host}, where `oaktap view listen://:{}` waits", host.port()));
        cameras.push(camera);
    }
    if !reel.is_decodable() {
        present::say(UNDECODABLE);
    }
    wait(ctx, &args.until, || cameras.iter().map(ConnectingCamera::sent).map(|sent| sent.intact + sent.damaged).sum());
    for camera in &cameras {
        camera.finish();
    }
    let cameras: Vec<_> =
        cameras.into_iter().map(|camera| SimulatedStream { address: camera.host(), sent: camera.stop() }).collect();
    for SimulatedStream { address, sent: Sent { connections, intact, damaged, bytes, .. } } in &cameras {
        present::say(&format!(
            "{address}: {}, {}, {damaged} damaged on purpose, {}",
            count(*connections, "connection", "connections"),
            count(*intact, "frame", "frames"),
            Bytes(*bytes)
        ));
    }
    if ctx.json {
        present::document(&StreamSummary { command: ctx.command, cameras: &cameras, recordings: &[] })?;
    }
    Ok(Outcome::Done)
}
