//! `oaktap simulate --udp`: sends the stream of a camera in datagrams.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use oaktap::sim::{DatagramCamera, Reel, Sent};
use oaktap::units::{Bytes, count};

use super::{SimulateArgs, SimulatedStream, UNDECODABLE, numbered, wait};
use crate::cli::receiving::StreamSummary;
use crate::cli::{Ctx, Outcome, present};

pub(super) fn run(ctx: &Ctx, args: &SimulateArgs, host: SocketAddr) -> anyhow::Result<Outcome> {
    let no_effect = args.scene.fragment.map(|_| "--fragment").or(args.scene.nodelay.then_some("--nodelay"));
    if args.scene.depth {
        return Err(present::Usage(
            "--udp sends one picture in each message, so it cannot be used with --depth".to_owned(),
        )
        .into());
    }
    if let Some(option) = no_effect {
        return Err(present::Usage(format!("`{option}` has no effect on --udp, which has no connection")).into());
    }
    let reel = Arc::new(Reel::new(&args.scene.config()?)?);
    ctx.stop.on_signals()?;
    let mut cameras = Vec::new();
    for number in 0..args.count {
        let host = numbered("--udp", host, number, args.count)?;
        let camera =
            DatagramCamera::start(host, Arc::clone(&reel)).with_context(|| format!("cannot send to {host}"))?;
        // Other programs wait for this line to learn the address.
        present::say(&format!("sending to udp://{host} from {}", camera.local_addr()));
        cameras.push(camera);
    }
    if !reel.is_decodable() {
        present::say(UNDECODABLE);
    }
    wait(ctx, &args.until, || cameras.iter().map(DatagramCamera::sent).map(|sent| sent.intact + sent.damaged).sum());
    for camera in &cameras {
        camera.finish();
    }
    let cameras: Vec<_> = cameras
        .into_iter()
        .map(|camera| SimulatedStream { address: camera.local_addr(), sent: camera.stop() })
        .collect();
    for SimulatedStream { address, sent: Sent { intact, damaged, datagrams, bytes, .. } } in &cameras {
        present::say(&format!(
            "{address}: {}, {damaged} damaged on purpose, in {}, {}",
            count(*intact, "frame", "frames"),
            count(*datagrams, "datagram", "datagrams"),
            Bytes(*bytes)
        ));
    }
    if ctx.json {
        present::document(&StreamSummary { command: ctx.command, cameras: &cameras, recordings: &[] })?;
    }
    Ok(Outcome::Done)
}
