//! `oaktap list`: which cameras are there.

use std::future::Future;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use clap::Args;
use oaktap::discovery::{Camera, Change, PortProbe, State, Watch};
use oaktap::net::clock::received_now;
use oaktap::net::discovery::{Survey, Targets, find};
use oaktap::net::interfaces::Interface;
use oaktap::net::port_probe::probe_port;
use serde::Serialize;

use super::camera::{CameraArg, SearchArgs, runtime};
use super::present::{self, advised, printable};
use super::{Ctx, Outcome};

/// How long one port may take to answer: ten times what the slowest network here takes.
const KNOCK: Duration = Duration::from_secs(1);
/// From one round of `--watch` to the next.
const PERIOD: Duration = Duration::from_secs(2);
/// How soon Ctrl-C is noticed.
const LOOK: Duration = Duration::from_millis(50);

const NOTES: &str = "\
It asks who is there, and nothing else: no application is stopped, nothing is changed. One row is one camera, however \
many addresses and interfaces it answers on.

The port of the stream is not tried unless --probe says so. It takes a connection, which is closed at once; but most \
programs on cameras serve one client at a time, and some share the frames among all who are connected, so somebody who \
watches can lose a frame by it.";

#[derive(Args, Debug)]
#[command(after_help = NOTES)]
pub(crate) struct ListArgs {
    /// Ask these too, for cameras that broadcasts do not reach; sim: is one that does not exist
    #[arg(value_name = "IP", value_parser = CameraArg::with_address)]
    addresses: Vec<CameraArg>,

    /// Find out at which port the stream of each camera is, by connecting to it for a moment
    #[arg(long)]
    probe: bool,

    /// Ports that --probe tries, in this order
    #[arg(long, value_name = "PORT,...", value_delimiter = ',', default_value = "5000,9876,8080",
          value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,

    /// Go on, and print a line whenever a camera comes, changes or goes
    #[arg(long)]
    watch: bool,

    #[command(flatten)]
    search: SearchArgs,
}

/// One row.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    camera: Camera,
    stream: Stream,
}

/// What is known of the stream's port.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Stream {
    /// It was not tried.
    NotTried,
    /// No application runs, so there is no stream.
    NoApplication,
    /// Somebody listens at this port.
    Open(u16),
    /// Nobody listens at any of these.
    Closed(Vec<u16>),
}

#[derive(Serialize)]
struct Document<'a> {
    command: &'static str,
    cameras: &'a [Row],
    asked: &'a [Interface],
    unanswered: &'a [Ipv4Addr],
    unsent: Vec<String>,
}

/// Asks, and tells who answered.
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
        present::say(&format!("{ip} answered, and is no camera: {error}"));
    }
    if ctx.json {
        let unsent = survey.unsent.iter().map(ToString::to_string).collect();
        present::document(&Document {
            command: "list",
            cameras: &rows,
            asked: &survey.queried,
            unanswered: &unanswered,
            unsent,
        })?;
    } else if !rows.is_empty() {
        let headings = ["id", "address", "interface", "state", "stream port"].map(str::to_owned);
        let rows = rows.iter().map(cells);
        let table: Vec<_> = std::iter::once(headings).chain(rows).collect();
        present::result(printable(&present::aligned(&table)).as_bytes())?;
    }
    survey.unsent.iter().for_each(|unsent| present::say(&unsent.to_string()));
    if !unanswered.is_empty() {
        let silent: Vec<_> = unanswered.iter().map(ToString::to_string).collect();
        return Err(advised(
            anyhow::anyhow!("no camera answers at {}", silent.join(", ")),
            "`oaktap doctor IP` finds out why",
        ));
    }
    if rows.is_empty() {
        let asked = survey.queried.iter().map(|interface| format!("{} ({})", interface.name, interface.ip));
        let asked = asked.collect::<Vec<_>>().join(", ");
        let asked = if asked.is_empty() { "no interface with an IPv4 address is up".to_owned() } else { asked };
        present::say(&format!("no camera answered; asked by broadcast: {asked}\nhelp: `oaktap doctor` finds out why"));
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

async fn row(camera: Camera, args: &ListArgs) -> Row {
    let stream = match (camera.ip(), camera.state) {
        _ if !args.probe => Stream::NotTried,
        // What a host has booted talks to that host alone.
        (_, State::Bootloader | State::Booted) | (None, _) => Stream::NoApplication,
        (Some(ip), _) => {
            let mut open = None;
            for port in &args.ports {
                if probe_port(ip, *port, KNOCK).await == PortProbe::Open {
                    open = Some(*port);
                    break;
                }
            }
            open.map_or_else(|| Stream::Closed(args.ports.clone()), Stream::Open)
        }
    };
    Row { camera, stream }
}

fn cells(row: &Row) -> [String; 5] {
    let Row { camera, stream } = row;
    let ips: Vec<_> = camera.ips().iter().map(ToString::to_string).collect();
    let interfaces = camera.interfaces();
    let stream = match stream {
        Stream::NotTried => "not tried (--probe)".to_owned(),
        Stream::NoApplication => "-".to_owned(),
        Stream::Open(port) => port.to_string(),
        Stream::Closed(ports) => {
            let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
            format!("none of {}", ports.join(", "))
        }
    };
    let interfaces = if interfaces.is_empty() { "?".to_owned() } else { interfaces.join(", ") };
    [camera.id.clone(), ips.join(", "), interfaces, camera.state.to_string(), stream]
}

/// One line of `--watch --json`.
#[derive(Serialize)]
struct Event<'a> {
    event: &'static str,
    unix_ns: i64,
    camera: &'a Row,
}

/// Asks again and again until it is told to stop.
async fn watch(ctx: &Ctx, args: &ListArgs, addresses: &[Ipv4Addr]) -> anyhow::Result<Outcome> {
    ctx.stop.on_signals()?;
    let mut watch = Watch::default();
    while let Some(survey) = unless_stopped(ctx, survey(args, addresses)).await {
        for change in watch.round(survey?.cameras) {
            let (event, row) = match change {
                Change::Came(camera) => ("new", row(camera, args).await),
                Change::Changed { is, .. } => ("changed", row(is, args).await),
                Change::Gone(camera) => ("gone", Row { camera, stream: Stream::NotTried }),
            };
            let line = if ctx.json {
                present::json(&Event { event, unix_ns: received_now().unix_ns, camera: &row })?
            } else {
                let [id, address, interface, state, stream] = cells(&row);
                let stream =
                    if args.probe && event != "gone" { format!("  stream port {stream}") } else { String::new() };
                printable(&format!("{event:<8} {id}  {address}  {interface}  {state}{stream}\n"))
            };
            present::result(line.as_bytes())?;
        }
        if ctx.stop.wait_until(Some(Instant::now() + PERIOD)) {
            break;
        }
    }
    Ok(Outcome::Done)
}

/// `None`: the user asked to stop first.
async fn unless_stopped<T>(ctx: &Ctx, work: impl Future<Output = T>) -> Option<T> {
    let asked = async {
        while !ctx.stop.asked() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        done = work => Some(done),
        () = asked => None,
    }
}
