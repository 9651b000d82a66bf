//! `oaktap list`: lists the cameras in all networks of this host.

use std::future::Future;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use clap::Args;
use oaktap::discovery::{CameraChange, CameraState, CameraWatch, DiscoveredCamera, PortProbe};
use oaktap::net::clock::received_now;
use oaktap::net::discovery::{Survey, Targets, find};
use oaktap::net::interfaces::Interface;
use oaktap::net::port_probe::probe_port;
use oaktap::wire;
use serde::Serialize;

use crate::cli::camera_arg::{CameraArg, SearchArgs, runtime};
use crate::cli::present::{self, advised, printable};
use crate::cli::{Ctx, Outcome, json_option};

/// The limit for one port to accept or refuse a connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause between two searches with `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// The interval at which to check for Ctrl-C during a search.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(50);

const NOTES: &str = "\
The search does not stop applications and changes nothing. A camera gets one row, even if it replies on several addresses \
and interfaces.

--probe connects to each camera and disconnects at once. Most applications serve one client at a time, and some \
distribute their frames over all clients, so another client can lose a frame.";

#[derive(Args, Debug)]
#[command(after_help = NOTES, arg = json_option("Print the cameras as one line of JSON; with --watch, one line per change"))]
pub(crate) struct ListArgs {
    /// Also query these addresses, for cameras that broadcasts do not reach; sim: starts a simulated camera
    #[arg(value_name = "IP", value_parser = CameraArg::with_address)]
    addresses: Vec<CameraArg>,

    /// Find the stream port of each camera by connecting to it
    #[arg(long)]
    probe: bool,

    /// Ports for --probe to try, in this order
    #[arg(long, value_name = "PORT,...", value_delimiter = ',', default_values_t = wire::USUAL_PORTS,
          value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,

    /// Keep searching, and print a line whenever a camera appears, changes or disappears
    #[arg(long)]
    watch: bool,

    #[command(flatten)]
    search: SearchArgs,
}

#[derive(Debug, Serialize)]
struct CameraRow {
    #[serde(flatten)]
    camera: DiscoveredCamera,
    stream: StreamPort,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum StreamPort {
    /// Without `--probe`.
    NotTried,
    /// No application runs that could have a stream.
    NoApplication,
    /// This port accepted a connection.
    Open(u16),
    /// None of these ports accepted a connection.
    Closed(Vec<u16>),
}

#[derive(Serialize)]
struct ListReport<'a> {
    command: &'static str,
    cameras: &'a [CameraRow],
    asked: &'a [Interface],
    unanswered: &'a [Ipv4Addr],
    unsent: Vec<String>,
}

pub(crate) fn run(ctx: &Ctx, args: &ListArgs) -> anyhow::Result<Outcome> {
    let runtime = runtime()?;
    let addresses = args.addresses.iter().map(CameraArg::ip).collect::<anyhow::Result<Vec<_>>>()?;
    let addresses: Vec<_> = addresses.into_iter().flatten().collect();
    if args.watch {
        runtime.block_on(watch(ctx, args, &addresses))
    } else {
        runtime.block_on(list(ctx, args, &addresses))
    }
}

async fn list(ctx: &Ctx, args: &ListArgs, addresses: &[Ipv4Addr]) -> anyhow::Result<Outcome> {
    let survey = survey(args, addresses).await?;
    let answered = |ip: &Ipv4Addr| survey.cameras.iter().any(|camera| camera.ips().contains(ip));
    let unanswered: Vec<_> = addresses.iter().copied().filter(|ip| !answered(ip)).collect();
    let mut rows = Vec::new();
    for camera in &survey.cameras {
        rows.push(row(camera.clone(), args).await);
    }
    for (ip, error) in &survey.unrecognized {
        present::say(&format!("{ip} replied, but is not a camera: {error}"));
    }
    if ctx.json {
        let unsent = survey.unsent.iter().map(ToString::to_string).collect();
        present::document(&ListReport {
            command: ctx.command,
            cameras: &rows,
            asked: &survey.queried,
            unanswered: &unanswered,
            unsent,
        })?;
    } else if !rows.is_empty() {
        let headings = ["id", "address", "interface", "state", "stream port"].map(str::to_owned);
        let rows = rows.iter().map(cells);
        let table: Vec<_> = std::iter::once(headings).chain(rows).collect();
        present::result(printable(&present::aligned(&table, 5)).as_bytes())?;
    }
    survey.unsent.iter().for_each(|unsent| present::say(&unsent.to_string()));
    if !unanswered.is_empty() {
        let silent: Vec<_> = unanswered.iter().map(ToString::to_string).collect();
        return Err(advised(
            anyhow::anyhow!("no reply from a camera at {}", silent.join(", ")),
            "`oaktap doctor IP` finds out why",
        ));
    }
    if rows.is_empty() {
        let asked = survey.queried.iter().map(|interface| format!("{} ({})", interface.name, interface.ip));
        let asked = asked.collect::<Vec<_>>().join(", ");
        let asked = if asked.is_empty() { "no interface with an IPv4 address is up".to_owned() } else { asked };
        present::say(&format!(
            "no camera replied; searched by broadcast: {asked}\nhelp: `oaktap doctor` finds out why"
        ));
    }
    Ok(Outcome::Done)
}

async fn survey(args: &ListArgs, addresses: &[Ipv4Addr]) -> anyhow::Result<Survey> {
    let targets = Targets {
        addresses: addresses.to_vec(),
        subnets: args.search.subnet.clone(),
        port: args.search.udp_port,
        ..Targets::default()
    };
    Ok(find(&targets, args.search.wait, |_| false).await?)
}

async fn row(camera: DiscoveredCamera, args: &ListArgs) -> CameraRow {
    let stream = match (camera.ip(), camera.state) {
        _ if !args.probe => StreamPort::NotTried,
        // A camera that was booted by a host talks to that host only.
        (_, CameraState::Bootloader | CameraState::Booted) | (None, _) => StreamPort::NoApplication,
        (Some(ip), _) => {
            let mut open = None;
            for port in &args.ports {
                if probe_port(ip, *port, PROBE_TIMEOUT).await == PortProbe::Open {
                    open = Some(*port);
                    break;
                }
            }
            open.map_or_else(|| StreamPort::Closed(args.ports.clone()), StreamPort::Open)
        }
    };
    CameraRow { camera, stream }
}

fn cells(row: &CameraRow) -> [String; 5] {
    let CameraRow { camera, stream } = row;
    let ips: Vec<_> = camera.ips().iter().map(ToString::to_string).collect();
    let interfaces = camera.interfaces();
    let stream = match stream {
        StreamPort::NotTried => "not tried (--probe)".to_owned(),
        StreamPort::NoApplication => "-".to_owned(),
        StreamPort::Open(port) => port.to_string(),
        StreamPort::Closed(ports) => {
            let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
            format!("none of {}", ports.join(", "))
        }
    };
    let interfaces = if interfaces.is_empty() { "?".to_owned() } else { interfaces.join(", ") };
    [camera.id.clone(), ips.join(", "), interfaces, camera.state.to_string(), stream]
}

/// One line of `--watch --json`.
#[derive(Serialize)]
struct WatchEvent<'a> {
    event: &'static str,
    unix_ns: i64,
    camera: &'a CameraRow,
}

async fn watch(ctx: &Ctx, args: &ListArgs, addresses: &[Ipv4Addr]) -> anyhow::Result<Outcome> {
    ctx.stop.on_signals()?;
    let mut watch = CameraWatch::default();
    while let Some(survey) = unless_stopped(ctx, survey(args, addresses)).await {
        for change in watch.round(survey?.cameras) {
            let (event, row) = match change {
                CameraChange::Appeared(camera) => ("new", row(camera, args).await),
                CameraChange::Changed { after, .. } => ("changed", row(after, args).await),
                CameraChange::Disappeared(camera) => ("gone", CameraRow { camera, stream: StreamPort::NotTried }),
            };
            let line = if ctx.json {
                present::json(&WatchEvent { event, unix_ns: received_now().unix_ns, camera: &row })?
            } else {
                let [id, address, interface, state, stream] = cells(&row);
                let stream =
                    if args.probe && event != "gone" { format!("  stream port {stream}") } else { String::new() };
                printable(&format!("{event:<8} {id}  {address}  {interface}  {state}{stream}\n"))
            };
            present::result(line.as_bytes())?;
        }
        if ctx.stop.wait_until(Some(Instant::now() + WATCH_INTERVAL)) {
            break;
        }
    }
    Ok(Outcome::Done)
}

/// Returns `None` if the user stops the program first.
async fn unless_stopped<T>(ctx: &Ctx, work: impl Future<Output = T>) -> Option<T> {
    let asked = async {
        while !ctx.stop.asked() {
            tokio::time::sleep(STOP_POLL_INTERVAL).await;
        }
    };
    tokio::select! {
        done = work => Some(done),
        () = asked => None,
    }
}
