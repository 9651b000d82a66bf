//! `oaktap fleet`: lists the receivers and cameras on a bus.

use clap::Args;

use crate::cli::json_option;
#[cfg(not(feature = "zenoh"))]
use crate::cli::present::{Usage, advised};
#[cfg(not(feature = "zenoh"))]
use crate::cli::{Ctx, Outcome};

const NOTES: &str = "\
Examples:
  oaktap fleet
  oaktap fleet --router 192.168.1.10
  oaktap fleet --router bus.lan:7448 --watch

Receivers are machines on which `oaktap publish CAMERA --to zenoh://ROUTER` runs, or another command with --publish. \
`oaktap view 'zenoh://ROUTER/HOST/CAMERA'` shows a camera; * for HOST and CAMERA means all, in quotes because shells \
replace it.

lost: frames that were damaged, or of which only a part arrived at the receiver
missing: frames of which nothing arrived there; ~: estimated

Exit codes: 0 the router was asked; 1 it cannot be reached.";

#[derive(Args, Debug)]
#[command(after_help = NOTES, arg = json_option("Print receivers and cameras as one line of JSON; with --watch, one line per change"))]
pub(crate) struct FleetCommandArgs {
    /// Ask this Zenoh router, at port 7447 unless another one is given
    #[cfg(feature = "zenoh")]
    #[arg(long, value_name = "ROUTER[:PORT]", default_value = "localhost", value_parser = on_bus::router)]
    router: oaktap::source::ZenohRouter,

    /// Ask this Zenoh router, at port 7447 unless another one is given
    #[cfg(not(feature = "zenoh"))]
    #[arg(long, value_name = "ROUTER[:PORT]", default_value = "localhost")]
    router: String,

    /// Keep searching, and print a line whenever a camera appears, changes or disappears
    #[arg(long)]
    watch: bool,
}

#[cfg(not(feature = "zenoh"))]
pub(crate) fn run(_: &Ctx, args: &FleetCommandArgs) -> anyhow::Result<Outcome> {
    let FleetCommandArgs { router, watch: _ } = args;
    let error = Usage(format!("cannot ask the router {router}: this oaktap was built without Zenoh"));
    Err(advised(error.into(), "build it with `cargo install --path . --features zenoh`"))
}

#[cfg(feature = "zenoh")]
pub(crate) use on_bus::run;

#[cfg(feature = "zenoh")]
mod on_bus {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use oaktap::net::clock::received_now;
    use oaktap::source::{FleetCamera, FleetReceiver, FleetState, SourceSpec, ZenohFleet, ZenohRouter};
    use oaktap::units::rounded_mbit_s;
    use serde::Serialize;

    use super::FleetCommandArgs;
    use crate::cli::bus_cameras::bus_runtime;
    use crate::cli::present::{self, printable};
    use crate::cli::{Ctx, Outcome};

    /// Longest time between two looks at Ctrl-C.
    const STOP_POLL_INTERVAL: Duration = Duration::from_millis(50);

    /// Parses a router.
    pub(super) fn router(text: &str) -> Result<ZenohRouter, String> {
        match format!("zenoh://{text}/*/*").parse() {
            Ok(SourceSpec::Zenoh(spec)) if !text.contains('/') => Ok(spec.router),
            _ => Err("expected ROUTER or ROUTER:PORT, such as 192.168.1.10".to_owned()),
        }
    }

    #[derive(Serialize)]
    struct FleetReport<'a> {
        command: &'static str,
        router: String,
        receivers: &'a [FleetReceiver],
    }

    pub(crate) fn run(ctx: &Ctx, args: &FleetCommandArgs) -> anyhow::Result<Outcome> {
        let runtime = bus_runtime()?;
        ctx.stop.on_signals()?;
        let failed = |error: oaktap::source::ZenohError| {
            let help = error.help();
            present::with_help(error.into(), help)
        };
        runtime.block_on(async {
            let mut fleet = ZenohFleet::open(&args.router).await.map_err(failed)?;
            fleet.settle().await;
            fleet.watch_states().await.map_err(failed)?;
            let outcome = if args.watch { watch(ctx, &fleet).await } else { list(ctx, args, &fleet) };
            fleet.close().await;
            outcome
        })
    }

    fn list(ctx: &Ctx, args: &FleetCommandArgs, fleet: &ZenohFleet) -> anyhow::Result<Outcome> {
        let receivers = present_now(fleet.receivers());
        if ctx.json {
            let router = args.router.to_string();
            present::document(&FleetReport { command: ctx.command, router, receivers: &receivers })?;
        } else if !receivers.is_empty() {
            let headings = ["receiver", "camera", "state", "fps", "Mbit/s", "lost", "missing"].map(str::to_owned);
            let rows = receivers.iter().flat_map(rows);
            let table: Vec<_> = std::iter::once(headings).chain(rows).collect();
            present::result(printable(&present::aligned(&table, 3)).as_bytes())?;
        }
        if receivers.is_empty() {
            present::say(&format!(
                "nothing is alive at the router {}\nhelp: `oaktap publish CAMERA --to zenoh://{}` publishes a camera",
                args.router, args.router
            ));
        }
        Ok(Outcome::Done)
    }

    /// Removes what is not there any more.
    fn present_now(mut receivers: Vec<FleetReceiver>) -> Vec<FleetReceiver> {
        for receiver in &mut receivers {
            receiver.cameras.retain(|camera| camera.alive);
        }
        receivers.retain(|receiver| receiver.alive || !receiver.cameras.is_empty());
        receivers
    }

    fn rows(receiver: &FleetReceiver) -> Vec<[String; 7]> {
        if receiver.cameras.is_empty() {
            return vec![[&receiver.host, "-", "no cameras", "-", "-", "-", "-"].map(str::to_owned)];
        }
        receiver.cameras.iter().map(|camera| cells(&receiver.host, camera)).collect()
    }

    fn cells(host: &str, camera: &FleetCamera) -> [String; 7] {
        let name = camera.camera.clone();
        let Some(state) = &camera.state else {
            return [host, &name, "no answer", "-", "-", "-", "-"].map(str::to_owned);
        };
        let FleetState { fps, mbit_s, lost, missing, missing_is_estimate, .. } = state;
        let missing = format!("{}{missing}", if *missing_is_estimate { "~" } else { "" });
        [host.to_owned(), name, word(state), format!("{fps:.1}"), rounded_mbit_s(*mbit_s), lost.to_string(), missing]
    }

    /// Returns the state in a few words: why, if the camera is not there.
    fn word(state: &FleetState) -> String {
        if state.online || state.text.is_empty() { state.state.clone() } else { state.text.clone() }
    }

    /// One line of `--watch --json`.
    #[derive(Serialize)]
    struct WatchEvent<'a> {
        event: &'static str,
        unix_ns: i64,
        receiver: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        camera: Option<&'a FleetCamera>,
    }

    async fn watch(ctx: &Ctx, fleet: &ZenohFleet) -> anyhow::Result<Outcome> {
        // By receiver and camera, or the receiver itself.
        let mut known: BTreeMap<(String, Option<String>), (String, FleetCamera)> = BTreeMap::new();
        let mut was_connected = true;
        loop {
            let is_connected = fleet.is_connected().await;
            if is_connected != was_connected {
                present::log(if is_connected {
                    "the router is there again"
                } else {
                    "the router is lost; reconnecting"
                });
                was_connected = is_connected;
            }
            let mut now = BTreeMap::new();
            for receiver in present_now(fleet.receivers()) {
                if receiver.alive {
                    now.insert((receiver.host.clone(), None), (String::new(), FleetCamera::default()));
                }
                for camera in receiver.cameras {
                    let state = camera.state.as_ref().map(word).unwrap_or_default();
                    now.insert((receiver.host.clone(), Some(camera.camera.clone())), (state, camera));
                }
            }
            let gone: Vec<_> = known.keys().filter(|key| !now.contains_key(*key)).cloned().collect();
            for key in gone {
                if let Some((_, camera)) = known.remove(&key) {
                    print(ctx, "gone", &key, &camera)?;
                }
            }
            for (key, (state, camera)) in now {
                let event = match known.get(&key) {
                    None => "new",
                    Some((before, _)) if *before != state => "changed",
                    Some(_) => continue,
                };
                print(ctx, event, &key, &camera)?;
                known.insert(key, (state, camera));
            }
            let check = Instant::now() + Duration::from_secs(1);
            tokio::select! {
                () = fleet.changed() => {}
                () = until_stopped_or(ctx, check) => {}
            }
            if ctx.stop.asked() {
                return Ok(Outcome::Done);
            }
        }
    }

    /// Waits until this time, or until the user stops.
    async fn until_stopped_or(ctx: &Ctx, time: Instant) {
        while !ctx.stop.asked() && Instant::now() < time {
            tokio::time::sleep(STOP_POLL_INTERVAL).await;
        }
    }

    fn print(
        ctx: &Ctx,
        event: &'static str,
        (receiver, camera): &(String, Option<String>),
        row: &FleetCamera,
    ) -> anyhow::Result<()> {
        let line = if ctx.json {
            let camera = camera.as_ref().map(|_| row);
            present::json(&WatchEvent { event, unix_ns: received_now().unix_ns, receiver, camera })?
        } else {
            let time = present::time_unless_terminal(&std::io::stdout());
            let camera = camera.as_ref().map_or_else(String::new, |camera| format!("  {camera}"));
            let state = row.state.as_ref().filter(|_| event != "gone").map(word);
            let state = state.map_or_else(String::new, |state| format!("  {state}"));
            printable(&format!("{time}{event:<8} {receiver}{camera}{state}\n"))
        };
        present::result(line.as_bytes())
    }
}
