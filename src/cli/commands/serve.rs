//! `oaktap serve`: serves cameras to browsers and programs over HTTP.

use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;

use anyhow::Context as _;
use clap::Args;
use oaktap::live::{self, Sink as _};
use oaktap::serve::{self, CameraViewers, Serve, ServeAddress, ServeOptions, Token, is_host_name};
use oaktap::sink::record::RecordersMonitor;
use oaktap::units::count;
use serde::Serialize;

use super::simulate::listener;
use super::view::{over, separated};
use crate::cli::fleet::FleetArgs;
use crate::cli::present::{self, Usage, advised};
use crate::cli::receiving::Receiving;
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option};

const EXAMPLES: &str = "\
Examples:
  oaktap serve 192.168.1.50
  oaktap serve front=192.168.1.50 back=192.168.1.51 --http 8000
  oaktap serve --config oaktap.toml --http 0.0.0.0:8080 --token token.txt
  oaktap serve 192.168.1.50 --camera-port 5000
  oaktap serve sim:

Addresses:
  /                     page with all cameras
  /snapshot/NAME.jpg    next picture
  /stream/NAME.mjpg     all pictures (MJPEG)
  /events/NAME          detections of each frame (server-sent events)
  /api/cameras          state, counts and viewers of all cameras (JSON)
  /metrics              counts for Prometheus
  /healthz              `ok` while the server runs
docs/serve.md describes them.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print the counts of viewers and a summary with all frame counts as two lines of JSON at the end"))]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    /// Listen here. PORT alone: on this computer only
    #[arg(long, value_name = "[ADDRESS:]PORT", default_value = "127.0.0.1:8080")]
    http: ServeAddress,

    /// Also serve each camera's own protocol, to any number of clients: the first camera here, the second one port higher, and so
    /// on. PORT alone: on this computer only. This protocol has no token
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    camera_port: Option<ServeAddress>,

    /// File with the token that clients must send, 16 to 256 characters; required beyond 127.0.0.1
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,

    /// Also accept requests for this name of the computer, such as cameras.lan; repeatable
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    host_name: Vec<String>,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    until: Until,
}

fn host_name(text: &str) -> Result<String, String> {
    if is_host_name(text) {
        Ok(text.to_owned())
    } else {
        Err("expected a name without port, such as cameras.lan".to_owned())
    }
}

/// Counts of viewers for `--json`.
#[derive(Serialize)]
struct ViewersLine<'a> {
    viewers: &'a [CameraViewers],
}

/// Serves until a stop condition holds, and prints a summary.
pub(crate) fn run(ctx: &Ctx, args: &ServeArgs) -> anyhow::Result<Outcome> {
    let token = args.token.as_deref().map(Token::read).transpose()?;
    if args.http.is_exposed() && token.is_none() {
        let error = Usage(format!("other computers can reach {}: expected --token FILE", args.http));
        return Err(advised(error.into(), "create a token: (umask 077; head -c 24 /dev/urandom | base64 > token.txt)"));
    }
    let cameras = live::cameras(&separated(&args.fleet.sources()?));
    let http = listener(args.http.0, 0, "--http")?;
    let camera_ports = args.camera_port.map(|ServeAddress(first)| {
        (0..).zip(&cameras).map(|(number, _)| listener(first, number, "--camera-port")).collect::<anyhow::Result<_>>()
    });
    let camera_ports: Vec<TcpListener> = camera_ports.transpose()?.unwrap_or_default();
    let served: Vec<_> = camera_ports.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    let address = http.local_addr()?;
    let options = ServeOptions { style: args.source.style()?, token, host_names: args.host_name.clone() };
    let mut server = Serve::new(options);
    live::connect(&cameras, &mut server)?;
    let receiving = Receiving::start(ctx, cameras, &args.source, &args.until, RecordersMonitor::default())?;
    server.start(receiving.sessions(), http, camera_ports).context("cannot start the server")?;
    for (session, address) in receiving.sessions().iter().zip(served) {
        present::say(&format!("serving the protocol of {} at tcp://{address}", session.name()));
    }
    if args.camera_port.is_some_and(|address| address.is_exposed()) {
        present::say("every client that reaches a camera port sees its pictures, without a token");
    }
    let cameras = count(receiving.sessions().len() as u64, "camera", "cameras");
    present::say(&format!("serving {cameras} at http://{address}/"));
    if args.http.is_exposed() {
        present::say("clients need the token; pictures are not encrypted on the network");
    }
    while !over(&receiving, &args.until) {
        thread::sleep(receiving.stop_check_interval());
    }
    // Frames that arrive while connections end would count as superseded.
    drop(receiving.stop());
    let viewers = server.finish();
    lines(&viewers).iter().for_each(|line| present::say(line));
    if ctx.json {
        present::result(present::json(&ViewersLine { viewers: &viewers })?.as_bytes())?;
    }
    receiving.finish(ctx, &[])
}

/// Returns a line for each kind of viewer of each camera.
fn lines(viewers: &[CameraViewers]) -> Vec<String> {
    let line = |camera: &str, counts: &serve::ViewerCounts| {
        format!(
            "{camera}: {} by {}: {} offered = {} sent + {} superseded + {} pending",
            counts.kind.name(),
            count(counts.viewers_total, "viewer", "viewers"),
            counts.offered,
            counts.sent,
            counts.superseded,
            counts.pending
        )
    };
    viewers.iter().flat_map(|camera| camera.viewers.iter().map(move |counts| line(&camera.camera, counts))).collect()
}
