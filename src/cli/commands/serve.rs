//! `oaktap serve`: serves cameras to browsers and programs over HTTP.

use std::net::TcpListener;
use std::thread;

use clap::Args;
use oaktap::live;
use oaktap::serve::ServeAddress;
use oaktap::sink::record::RecordersMonitor;

use super::simulate::listener;
use super::view::{over, separated};
use crate::cli::camera_server::{AccessArgs, SERVER};
use crate::cli::fleet::FleetArgs;
use crate::cli::present;
use crate::cli::receiving::Receiving;
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option};

const EXAMPLES: &str = "\
Examples:
  oaktap serve 192.168.1.50
  oaktap serve front=192.168.1.50 back=192.168.1.51 --http 8000
  oaktap serve --config oaktap.toml --http 0.0.0.0:8080 --token token.txt
  oaktap serve --config oaktap.toml --http :8443 --tls-cert cert.pem --tls-key key.pem
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
    #[arg(long, value_name = "[ADDRESS:]PORT", default_value = "127.0.0.1:8080", help_heading = SERVER)]
    http: ServeAddress,

    /// Also serve each camera's own protocol, to any number of clients: the first camera here, the second one port higher, and so
    /// on. PORT alone: on this computer only. This protocol has no token
    #[arg(long, value_name = "[ADDRESS:]PORT", help_heading = SERVER)]
    camera_port: Option<ServeAddress>,

    #[command(flatten)]
    access: AccessArgs,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    until: Until,
}

/// Serves until a stop condition holds, and prints a summary.
pub(crate) fn run(ctx: &Ctx, args: &ServeArgs) -> anyhow::Result<Outcome> {
    let cameras = live::cameras(&separated(&args.fleet.sources()?));
    let mut server = args.access.open(args.http, "--http", args.source.style()?)?;
    let camera_ports = args.camera_port.map(|ServeAddress(first)| {
        (0..).zip(&cameras).map(|(number, _)| listener(first, number, "--camera-port")).collect::<anyhow::Result<_>>()
    });
    let camera_ports: Vec<TcpListener> = camera_ports.transpose()?.unwrap_or_default();
    let served: Vec<_> = camera_ports.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    server.connect(&cameras)?;
    let receiving = Receiving::start(ctx, cameras, &args.source, &args.until, RecordersMonitor::default())?;
    for (session, address) in receiving.sessions().iter().zip(served) {
        present::say(&format!("serving the protocol of {} at tcp://{address}", session.name()));
    }
    if args.camera_port.is_some_and(|address| address.is_exposed()) {
        present::say("every client that reaches a camera port sees its pictures, without a token");
    }
    server.start(receiving.sessions(), camera_ports)?;
    while !over(&receiving, &args.until) {
        thread::sleep(receiving.stop_check_interval());
    }
    // `finish` reports how the sessions ended.
    drop(receiving.stop());
    server.finish().print(ctx)?;
    receiving.finish(ctx, &[])
}
