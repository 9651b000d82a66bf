//! `oaktap serve`: serves cameras to browsers and programs over HTTP and RTSP.

mod connected;

use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;

use anyhow::Context as _;
use clap::Args;
use oaktap::frame::LabelMap;
use oaktap::hub::Budget;
use oaktap::serve::{ServeAddress, ServeOptions};
use oaktap::sink::record::{RecordOptions, RecordingTarget};
use oaktap::source::NamedSource;
use oaktap::units::count;

use self::connected::ConnectedFleet;
use super::simulate::listener;
use super::view::separated;
use crate::cli::camera_server::{Access, CameraServer, ServerArgs};
use crate::cli::fleet::FleetArgs;
use crate::cli::present;
use crate::cli::publisher::PublishBesideArgs;
use crate::cli::source_args::SourceArgs;
use crate::cli::supervisor::{Pulse, Supervisor};
use crate::cli::{Ctx, Outcome, Until, json_option};

const EXAMPLES: &str = "\
Examples:
  oaktap serve 192.168.1.50
  oaktap serve front=192.168.1.50 back=192.168.1.51 --http 8000
  oaktap serve --config oaktap.toml --http 0.0.0.0:8080 --token token.txt
  oaktap serve --config oaktap.toml --http :8443 --tls-cert cert.pem --tls-key key.pem
  oaktap serve 192.168.1.50 --rtsp 8554
  oaktap serve 192.168.1.50 --camera-port 5000
  oaktap serve 192.168.1.50 --publish mqtt://192.168.1.10/oaktap --home-assistant
  oaktap serve sim:

Addresses:
  /                     page with all cameras
  /snapshot/NAME.jpg    next picture; also .png, and ?boxes=1&h=480&crop=person
  /stream/NAME.mjpg     all pictures (MJPEG); also ?boxes=1&h=480
  /whep/NAME            video and detections over WebRTC (WHEP)
  /events/NAME          detections of each frame (server-sent events)
  /api/cameras          state, counts and viewers of all cameras (JSON)
  /api/recordings       recordings that clients have made (JSON)
  /metrics              counts for Prometheus
  /healthz              `ok` while the server runs
docs/serve.md describes them.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print the counts of viewers and a summary with all frame counts as two lines of JSON at the end"))]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    #[command(flatten)]
    server: ServerArgs,

    #[command(flatten)]
    publish: PublishBesideArgs,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    until: Until,
}

/// Returns how clients record. The folder is created now, so that a wrong one is an error at once.
fn recordings(folder: PathBuf, source: &SourceArgs, labels: Option<LabelMap>) -> anyhow::Result<RecordOptions> {
    let failed = || format!("cannot write recordings to {}", folder.display());
    oaktap::file::create_writable_folder(&folder).with_context(failed)?;
    let (budget, memory) = (Budget::new(source.waiting_bytes()), Some(source.frames().bound().clone()));
    Ok(RecordOptions { labels, budget, memory, ..RecordOptions::new(RecordingTarget::Folder(folder)) })
}

/// The cameras and who may connect: read again when the service is reloaded.
#[derive(Debug)]
struct Plan {
    sources: Vec<NamedSource>,
    access: Access,
}

impl ServeArgs {
    fn plan(&self) -> anyhow::Result<Plan> {
        Ok(Plan { sources: separated(&self.fleet.sources()?), access: self.server.read()? })
    }
}

/// Serves until a stop condition holds, and prints a summary.
pub(crate) fn run(ctx: &Ctx, args: &ServeArgs) -> anyhow::Result<Outcome> {
    let supervisor = Supervisor::from_environment();
    if supervisor.is_there() {
        ctx.stop.reload_on_hangup();
    }
    let publisher = args.publish.open(args.source.style()?)?;
    let mut plan = args.plan()?;
    let mut fleet = ConnectedFleet::new(ctx, args, publisher)?;
    loop {
        let server = open(args, &plan, &mut fleet)?;
        match wait(ctx, args, &plan, &fleet, &server, &supervisor) {
            Some(new) => {
                fleet.keep(server.into_cameras());
                plan = new;
            }
            None => {
                supervisor.stopping();
                return fleet.finish(server);
            }
        }
    }
}

/// Connects the cameras of a plan that are not connected yet, and begins to serve all of them.
fn open(args: &ServeArgs, plan: &Plan, fleet: &mut ConnectedFleet<'_>) -> anyhow::Result<CameraServer> {
    let style = args.source.style()?;
    let recordings = args.server.recordings.clone().map(|folder| recordings(folder, &args.source, style.names.clone()));
    let options = ServeOptions { style, recordings: recordings.transpose()?, ..ServeOptions::default() };
    let mut server = plan.access.open("--http", options)?;
    if let Some(address) = args.server.rtsp {
        server.open_rtsp(address, "--rtsp")?;
    }
    let camera_ports = args.server.camera_port.map(|ServeAddress(first)| {
        let numbers = (0..).take(plan.sources.len());
        numbers.map(|number| listener(first, number, "--camera-port")).collect::<anyhow::Result<_>>()
    });
    let camera_ports: Vec<TcpListener> = camera_ports.transpose()?.unwrap_or_default();
    let sessions = fleet.connect(&plan.sources, &mut server)?;
    for (session, listener) in sessions.iter().zip(&camera_ports) {
        let address = listener.local_addr()?;
        present::say(&format!("serving the protocol of {} at tcp://{address}", session.name()));
    }
    if args.server.camera_port.is_some_and(|address| address.is_exposed()) {
        present::say("every client that reaches a camera port sees its pictures, without a token");
    }
    server.start(&sessions, camera_ports)?;
    Ok(server)
}

/// Waits until a stop condition holds, or the cameras or the token have changed: returns the new plan.
fn wait(
    ctx: &Ctx,
    args: &ServeArgs,
    plan: &Plan,
    fleet: &ConnectedFleet<'_>,
    server: &CameraServer,
    supervisor: &Supervisor,
) -> Option<Plan> {
    let status = count(plan.sources.len() as u64, "camera", "cameras");
    supervisor.ready(&status);
    let mut pulse = Pulse::new(std::iter::once(fleet.runtime()).chain(server.runtime()).cloned().collect());
    while !fleet.is_over() {
        supervisor.feed(&mut pulse);
        if ctx.stop.take_reload() {
            supervisor.reloading();
            let new = reload(args, plan);
            if new.is_some() {
                return new;
            }
            supervisor.ready(&status);
        }
        thread::sleep(fleet.stop_check_interval());
    }
    None
}

/// Reads the files again. Returns the new plan if the cameras or the token have changed. A mistake in a file changes nothing.
fn reload(args: &ServeArgs, plan: &Plan) -> Option<Plan> {
    match args.plan() {
        Ok(new) if new.sources == plan.sources && new.access.has_same_token(&plan.access) => {
            match plan.access.reload_certificate() {
                Ok(()) => present::say("reloaded: the same cameras"),
                Err(error) => present::always_say(&format!("error: cannot reload: {error:#}")),
            }
            None
        }
        Ok(new) => {
            present::say("reloaded: serving again, because the cameras or the token have changed");
            Some(new)
        }
        Err(error) => {
            present::always_say(&format!("error: cannot reload, so nothing changes: {error:#}"));
            None
        }
    }
}
