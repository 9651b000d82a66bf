//! `oaktap list`: lists the cameras in all networks of this host.

use std::future::Future;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use oaktap::discovery::{self, CameraAddress, CameraChange, CameraState, CameraWatch, DiscoveredCamera, PortProbe};
use oaktap::net::clock::received_now;
use oaktap::net::discovery::{Survey, Targets, find};
use oaktap::net::interfaces::Interface;
use oaktap::net::port_probe::probe_port;
use oaktap::wire;
use serde::Serialize;

use crate::cli::camera_arg::{CameraArg, SearchArgs, runtime};
use crate::cli::configured_cameras::ConfiguredCamera;
use crate::cli::fleet::{FilePort, NamedCamera, configured_in, named_cameras, unknown_camera};
use crate::cli::present::{self, Usage, advised, printable};
use crate::cli::{Ctx, Outcome, json_option};

/// The limit for one port to accept or refuse a connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause between two searches with `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// The interval at which to check for Ctrl-C during a search.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(50);

const NOTES: &str = "\
Examples:
  oaktap list
  oaktap list --probe
  oaktap list --config oaktap.toml
  oaktap list --subnet 10.0.3.0/24 --watch

The search does not stop applications and changes nothing. The state is what the camera says: it has booted its \
application also if that is damaged and sends nothing. --probe shows whether the stream accepts connections, and `oaktap \
doctor` whether frames arrive.

A camera gets one row, even if it replies on several addresses \
and interfaces.

--probe connects to each camera and disconnects at once. Most applications serve one client at a time, and some \
distribute their frames over all clients, so another client can lose a frame.

Cameras of the command line, or else of --config, that do not reply are listed with the state missing.

Exit codes: 0 every such camera replied; 1 one is missing.";

#[derive(Args, Debug)]
#[command(after_help = NOTES, arg = json_option("Print the cameras as one line of JSON; with --watch, one line per change"))]
pub(crate) struct ListArgs {
    /// Also query these addresses or hosts, for cameras that broadcasts do not reach; sim: starts a simulated camera. NAME=IP
    /// names a camera; with --config, a name of the file selects that camera
    #[arg(value_name = "IP")]
    addresses: Vec<String>,

    /// Use the cameras of this file, with their names; report those that do not reply
    #[arg(long, value_name = "oaktap.toml")]
    config: Option<PathBuf>,

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
    /// Its name in the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
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

/// A camera that was named and did not reply.
#[derive(Debug, Serialize)]
struct MissingRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The address, the host or the id that the user gave.
    given: String,
    id: Option<String>,
    addresses: Vec<CameraAddress>,
    /// Always `missing`.
    state: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ListRow {
    Found(CameraRow),
    Missing(MissingRow),
}

impl ListRow {
    /// Describes a camera that has booted its application and has no stream.
    fn without_stream(&self) -> Option<String> {
        let Self::Found(CameraRow { camera, stream: StreamPort::Closed(_), .. }) = self else { return None };
        let (id, ip) = (&camera.id, camera.ip()?);
        let text = format!(
            "{id}: booted its application, but no stream accepts a connection: it uses another port, connects to a \
                            host, or does not work"
        );
        Some(format!("{text}\nhelp: `oaktap info {ip}` stops the application and checks it for damage"))
    }
}

#[derive(Serialize)]
struct ListReport<'a> {
    command: &'static str,
    cameras: &'a [ListRow],
    asked: &'a [Interface],
    unanswered: &'a [Ipv4Addr],
    unsent: Vec<String>,
}

pub(crate) fn run(ctx: &Ctx, args: &ListArgs) -> anyhow::Result<Outcome> {
    let runtime = runtime()?;
    let fleet = Fleet::read(args)?;
    if args.watch { runtime.block_on(watch(ctx, args, &fleet)) } else { runtime.block_on(list(ctx, args, &fleet)) }
}

/// A camera that the user named.
struct Known {
    camera: NamedCamera,
    /// `None`: the camera is given by its id.
    ip: Option<Ipv4Addr>,
}

impl Known {
    fn new(camera: NamedCamera) -> anyhow::Result<Self> {
        // Starts a simulated camera, which runs as long as its value lives.
        let ip = match (&camera.camera, camera.camera.ip()) {
            // The other cameras are listed all the same.
            (CameraArg::Host { .. }, Err(error)) => {
                present::say(&error.to_string());
                None
            }
            (_, ip) => ip?,
        };
        Ok(Self { camera, ip })
    }

    fn label(&self) -> String {
        self.camera.name.clone().unwrap_or_else(|| self.camera.camera.to_string())
    }

    fn is_simulated(&self) -> bool {
        self.camera.camera.is_simulated()
    }

    fn is(&self, found: &DiscoveredCamera) -> bool {
        match (self.ip, &self.camera.camera) {
            (Some(ip), _) => found.ips().contains(&ip),
            (None, CameraArg::Id(id)) => found.id.get(..id.len()).is_some_and(|start| start.eq_ignore_ascii_case(id)),
            (None, _) => false,
        }
    }
}

/// The cameras that the user named.
struct Fleet {
    /// Cameras that must reply: those of the command line, or else those of the configuration file.
    wanted: Vec<Known>,
    /// The other cameras of the configuration file.
    others: Vec<Known>,
    /// Only the cameras of the command line are listed: each is the name of one in the configuration file.
    only: bool,
}

impl Fleet {
    fn read(args: &ListArgs) -> anyhow::Result<Self> {
        let configured = configured_in(args.config.as_deref())?;
        let cameras = named_cameras(&args.addresses, &configured, FilePort::Drop)?;
        if !args.addresses.is_empty() {
            cameras.iter().try_for_each(|camera| check_given(camera, &configured))?;
        }
        let wanted = cameras.into_iter().map(Known::new).collect::<anyhow::Result<Vec<_>>>()?;
        let is_other = |camera: &&ConfiguredCamera| !wanted.iter().any(|known| known.camera.name == camera.name);
        let others = configured.iter().filter(is_other).filter_map(|camera| {
            // Other kinds of sources do not reply to a search.
            let address = camera.arg(FilePort::Drop).ok().filter(|camera| !camera.is_simulated())?;
            let (name, word) = (camera.name.clone(), camera.camera.clone());
            Known::new(NamedCamera { name, camera: address, word, port_help: None }).ok()
        });
        let is_name = |word: &String| configured.iter().any(|camera| camera.is_named(word));
        let only = !args.addresses.is_empty() && args.addresses.iter().all(is_name);
        Ok(Self { others: others.collect(), wanted, only })
    }

    fn name(&self, found: &DiscoveredCamera) -> Option<String> {
        let all = self.matching(found);
        // Of several cameras behind one address, it is not known which one replied.
        let shared = all.iter().filter(|known| known.ip.is_some()).count() > 1;
        all.iter().find(|known| !(shared && known.ip.is_some()))?.camera.name.clone()
    }

    fn matching(&self, found: &DiscoveredCamera) -> Vec<&Known> {
        self.wanted.iter().chain(&self.others).filter(|known| known.is(found)).collect()
    }

    /// Removes the cameras that are not to be listed.
    fn select(&self, cameras: &mut Vec<DiscoveredCamera>) {
        cameras.retain(|camera| !self.only || self.wanted.iter().any(|known| known.is(camera)));
    }

    /// Reports the words that mean the same camera: an id and an address, or several ports of one address.
    fn report_same(&self, cameras: &[DiscoveredCamera]) {
        for camera in cameras {
            let all = self.matching(camera);
            let Some((first, rest)) = all.split_first().filter(|(_, rest)| !rest.is_empty()) else { continue };
            if all.iter().all(|known| known.ip.is_some()) {
                let names: Vec<_> = all.iter().map(|known| known.label()).collect();
                let ips = first.ip.map_or_else(String::new, |ip| ip.to_string());
                let text = format!(
                    "{} cameras have the address {ips}, so the search cannot tell which of them replied",
                    names.len()
                );
                present::say(&printable(&format!("{text}: {}", present::listed(&names))));
            } else {
                for other in rest {
                    present::say(&printable(&format!("{}: the same camera as {}", other.label(), first.label())));
                }
            }
        }
    }

    /// Returns the cameras that must reply and are not among those found.
    fn missing<'a>(&'a self, found: &'a [DiscoveredCamera]) -> impl Iterator<Item = &'a Known> {
        self.wanted.iter().filter(|known| !found.iter().any(|camera| known.is(camera)))
    }
}

impl MissingRow {
    fn new(known: &Known) -> Self {
        let Known { camera: NamedCamera { name, camera, .. }, ip } = known;
        let id = if let CameraArg::Id(id) = camera { Some(id.clone()) } else { None };
        let addresses = ip.iter().map(|ip| CameraAddress { ip: *ip, interface: None }).collect();
        Self { name: name.clone(), given: camera.to_string(), id, addresses, state: "missing" }
    }

    fn cells(&self) -> [String; 5] {
        let id = self.id.as_deref().unwrap_or("-");
        let id = self.name.as_ref().map_or_else(|| id.to_owned(), |name| format!("{id} ({name})"));
        let given = if self.id.is_some() { "-" } else { &self.given };
        [&id, given, "-", self.state, "-"].map(str::to_owned)
    }
}

/// Refuses an id without a name: the search finds that camera anyway.
fn check_given(NamedCamera { name, camera, .. }: &NamedCamera, configured: &[ConfiguredCamera]) -> anyhow::Result<()> {
    let refused = |text: String, help: &str| Err(advised(Usage(text).into(), help.to_owned()));
    match camera {
        CameraArg::Simulated(_) | CameraArg::Address { port: None, .. } | CameraArg::Host { port: None, .. } => Ok(()),
        CameraArg::Id(_) if name.is_some() => Ok(()),
        CameraArg::Id(id) if !configured.is_empty() => Err(unknown_camera(id, configured)),
        CameraArg::Id(id) => refused(
            format!("`{id}` is not an IPv4 address; expected one such as 192.168.1.50, or sim:"),
            "`oaktap list` without it shows all cameras with their ids; a name of a file needs --config oaktap.toml",
        ),
        CameraArg::Address { .. } | CameraArg::Host { .. } => refused(
            format!("`{camera}` has a port; expected an address without one"),
            "the search uses UDP, at the port of --udp-port",
        ),
    }
}

async fn list(ctx: &Ctx, args: &ListArgs, fleet: &Fleet) -> anyhow::Result<Outcome> {
    let mut survey = survey(args, fleet).await?;
    fleet.select(&mut survey.cameras);
    fleet.report_same(&survey.cameras);
    let answered = |ip: &Ipv4Addr| survey.cameras.iter().any(|camera| camera.ips().contains(ip));
    let unanswered: Vec<_> = fleet.wanted.iter().filter_map(|known| known.ip).filter(|ip| !answered(ip)).collect();
    let mut rows = Vec::new();
    for camera in &survey.cameras {
        rows.push(ListRow::Found(row(camera.clone(), args, fleet).await));
    }
    rows.extend(fleet.missing(&survey.cameras).map(|known| ListRow::Missing(MissingRow::new(known))));
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
        let rows = rows.iter().map(|row| match row {
            ListRow::Found(row) => cells(row),
            ListRow::Missing(row) => row.cells(),
        });
        let table: Vec<_> = std::iter::once(headings).chain(rows).collect();
        present::result(printable(&present::aligned(&table, 5)).as_bytes())?;
    }
    rows.iter().filter_map(ListRow::without_stream).for_each(|text| present::say(&printable(&text)));
    survey.unsent.iter().for_each(|unsent| present::say(&unsent.to_string()));
    let missing: Vec<_> = fleet.missing(&survey.cameras).map(|known| &known.camera).collect();
    if !missing.is_empty() {
        let help = "`oaktap doctor CAMERA` finds out why".to_owned();
        let help = if let [only] = &*missing { present::naming_word(&help, &only.word) } else { help };
        let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
        return Err(advised(anyhow::anyhow!("no reply from a camera at {}", present::listed(&missing)), help));
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

async fn survey(args: &ListArgs, fleet: &Fleet) -> anyhow::Result<Survey> {
    let SearchArgs { subnet, wait, udp_port } = args.search.clone();
    let (simulated, others): (Vec<_>, Vec<_>) = fleet.wanted.iter().partition(|known| known.is_simulated());
    let addresses = |known: Vec<&Known>| known.into_iter().filter_map(|known| known.ip).collect();
    let mut targets = Targets { addresses: addresses(others), subnets: subnet, port: udp_port, ..Targets::default() };
    if udp_port == discovery::PORT {
        targets.addresses.extend(simulated.iter().filter_map(|known| known.ip));
    }
    let mut survey = find(&targets, wait, |_| false).await?;
    // `--udp-port` is that of the real cameras.
    if udp_port != discovery::PORT && !simulated.is_empty() {
        let targets = Targets { broadcast: false, addresses: addresses(simulated), ..Targets::default() };
        survey.cameras.extend(find(&targets, wait, |_| false).await?.cameras);
    }
    Ok(survey)
}

async fn row(camera: DiscoveredCamera, args: &ListArgs, fleet: &Fleet) -> CameraRow {
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
    CameraRow { name: fleet.name(&camera), camera, stream }
}

fn cells(row: &CameraRow) -> [String; 5] {
    let CameraRow { name, camera, stream } = row;
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
    let id = name.as_ref().map_or_else(|| camera.id.clone(), |name| format!("{} ({name})", camera.id));
    [id, ips.join(", "), interfaces, camera.state.to_string(), stream]
}

/// One line of `--watch --json`.
#[derive(Serialize)]
struct WatchEvent<'a> {
    event: &'static str,
    unix_ns: i64,
    camera: &'a ListRow,
}

async fn watch(ctx: &Ctx, args: &ListArgs, fleet: &Fleet) -> anyhow::Result<Outcome> {
    ctx.stop.on_signals()?;
    let mut watch = CameraWatch::default();
    let mut first = true;
    while let Some(survey) = unless_stopped(ctx, survey(args, fleet)).await {
        let mut cameras = survey?.cameras;
        fleet.select(&mut cameras);
        if first {
            fleet.report_same(&cameras);
        }
        for known in fleet.missing(&cameras).filter(|_| first) {
            let row = ListRow::Missing(MissingRow::new(known));
            let line = match &row {
                _ if ctx.json => {
                    present::json(&WatchEvent { event: "missing", unix_ns: received_now().unix_ns, camera: &row })?
                }
                _ => printable(&format!("{:<8} {}\n", "missing", known.camera)),
            };
            present::result(line.as_bytes())?;
        }
        first = false;
        for change in watch.round(cameras) {
            let (event, row) = match change {
                CameraChange::Appeared(camera) => ("new", row(camera, args, fleet).await),
                CameraChange::Changed { after, .. } => ("changed", row(after, args, fleet).await),
                CameraChange::Disappeared(camera) => {
                    ("gone", CameraRow { name: fleet.name(&camera), camera, stream: StreamPort::NotTried })
                }
            };
            let line = if ctx.json {
                let row = ListRow::Found(row);
                present::json(&WatchEvent { event, unix_ns: received_now().unix_ns, camera: &row })?
            } else {
                let [id, address, interface, state, stream] = cells(&row);
                let stream =
                    if args.probe && event != "gone" { format!("  stream port {stream}") } else { String::new() };
                let time = present::time_unless_terminal(&std::io::stdout());
                printable(&format!("{time}{event:<8} {id}  {address}  {interface}  {state}{stream}\n"))
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
