//! `oaktap network`: shows or changes the network settings of cameras, and refuses to put them out of reach.

use std::net::Ipv4Addr;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use oaktap::bootloader::bson::BsonValue;
use oaktap::bootloader::config::{Config, ConfigChange, HostWait, Mac, NetworkConfig, StaticAddress};
use oaktap::bootloader::reach::{Hazard, HostAddress, dhcp_hazards, host_wait_hazard, static_hazards};
use oaktap::bootloader::{Caller, SettingsError};
use oaktap::discovery::{CameraState, DiscoveredCamera};
use oaktap::net::discovery::wait_for;
use oaktap::net::interfaces::interfaces;
use serde::Serialize;

use crate::cli::bootloader_fleet::{BootloaderFleetArgs, Turn};
use crate::cli::camera_arg::{CameraArg, runtime};
use crate::cli::camera_label::CameraLabel;
use crate::cli::camera_session::BootloaderCamera;
use crate::cli::effect::{Effect, Waits};
use crate::cli::fleet::NamedCamera;
use crate::cli::present::{self, Refused, Usage, advised, printable, settings_error};
use crate::cli::{Ctx, Outcome, json_option, value_parsers};

/// The limit for the camera to answer after a change, unless the user gave another one.
const REPLY_TIMEOUT: Duration = Duration::from_secs(90);
/// A camera with a new static address that answers at another one this long after its reset has not taken the new one.
const OLD_ADDRESS_LIMIT: Duration = Duration::from_secs(15);
/// The limit for its application to run again, beside the time for which its bootloader waits for a host.
const APPLICATION_TIMEOUT: Duration = Duration::from_secs(60);
/// The time for which the bootloader waits for a host unless its settings say another one (bootloader.md 4).
const HOST_WAIT: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "\
Examples:
  oaktap network 192.168.1.50 show
  oaktap network 14442C static 192.168.1.60/24 192.168.1.1
  oaktap network front yard dhcp --config oaktap.toml

A change needs the name of each camera, not --config alone. It asks once, with a list of the cameras, and stops at the first \
that fails.";

#[derive(Args, Debug)]
#[command(
    after_help = EXAMPLES,
    subcommand_precedence_over_arg = true,
    arg = json_option("Print the settings and what changed as one line of JSON per camera")
)]
pub(crate) struct NetworkArgs {
    #[command(flatten)]
    fleet: BootloaderFleetArgs,

    #[command(subcommand)]
    action: NetworkAction,

    /// Write settings even if they put the camera out of reach of this host
    #[arg(long, global = true)]
    force: bool,

    /// Do not wait until the camera and its application run again
    #[arg(long, global = true)]
    no_wait: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum NetworkAction {
    /// Show the settings. This stops the application for a moment
    #[command(override_usage = "oaktap network [CAMERA]... show [OPTIONS]")]
    Show,
    /// Set a static address
    #[command(override_usage = "oaktap network <CAMERA> static [OPTIONS] <IP/PREFIX> <GATEWAY>")]
    Static {
        /// Address and prefix length or network mask, such as 192.168.1.50/24 or 192.168.1.50/255.255.255.0
        #[arg(value_name = "IP/PREFIX")]
        address: AddressArg,
        /// Gateway. Required by the camera, even in a network without one
        #[arg(value_name = "GATEWAY")]
        gateway: Ipv4Addr,
        #[command(flatten)]
        more: MoreSettings,
    },
    /// Get the address from a DHCP server
    #[command(override_usage = "oaktap network <CAMERA>... dhcp [OPTIONS]")]
    Dhcp {
        #[command(flatten)]
        more: MoreSettings,
    },
    /// Delete the network settings, so that the camera uses DHCP; delete all settings if they cannot be parsed
    #[command(override_usage = "oaktap network <CAMERA>... clear [OPTIONS]")]
    Clear,
}

impl NetworkAction {
    /// Returns the setting that two cameras cannot share.
    fn own(&self) -> Option<String> {
        match self {
            Self::Static { address, .. } => Some(format!("the address {}", address.address)),
            Self::Dhcp { more } => more.mac.map(|mac| format!("the Ethernet address {mac}")),
            Self::Show | Self::Clear => None,
        }
    }
}

#[derive(Args, Clone, Debug, Default)]
struct MoreSettings {
    /// Name servers, at most two
    #[arg(long, value_name = "IP", num_args = 1..=2)]
    dns: Vec<Ipv4Addr>,
    /// Ethernet address, such as 02:11:22:33:44:55
    #[arg(long, value_name = "MAC")]
    mac: Option<Mac>,
    /// Time for which the bootloader waits for a host before it boots the application, such as 30s
    #[arg(long, value_name = "TIME", value_parser = value_parsers::duration)]
    host_wait: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct AddressArg {
    address: Ipv4Addr,
    prefix: u8,
}

impl FromStr for AddressArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected an address and a prefix length or mask, such as 192.168.1.50/24";
        let (address, prefix) = text.split_once('/').ok_or_else(|| format!("`{text}` has no /PREFIX; {expected}"))?;
        let address = address.parse().map_err(|_| format!("`{address}` is not an IPv4 address; {expected}"))?;
        if let Ok(mask) = prefix.parse::<Ipv4Addr>() {
            let prefix = mask.to_bits().leading_ones();
            return match mask.to_bits().checked_shl(prefix).unwrap_or(0) {
                0 => Ok(Self { address, prefix: prefix as u8 }),
                _ => Err(format!("`{mask}` is not a network mask: its ones are not all on the left; {expected}")),
            };
        }
        match prefix.parse() {
            Ok(prefix @ 0..=32) if !text.contains('+') => Ok(Self { address, prefix }),
            Ok(prefix @ 33..=u8::MAX) => {
                Err(format!("prefix length {prefix} is above 32, the bits of an IPv4 address; {expected}"))
            }
            _ => Err(format!("`{prefix}` is not a prefix length from 0 to 32; {expected}")),
        }
    }
}

#[derive(Serialize)]
struct NetworkReport {
    command: &'static str,
    #[serde(flatten)]
    label: CameraLabel,
    /// `null`: the camera has no settings and uses its defaults.
    settings: Option<serde_json::Value>,
    network: Option<NetworkConfig>,
    /// One line per changed key.
    changed: Vec<String>,
    /// The address at which the camera answered afterwards; `null` with `--no-wait`.
    address: Option<Ipv4Addr>,
    /// The state of the camera at that address. The application runs again if it ran before.
    state: Option<&'static str>,
    /// `clear` found no network settings.
    #[serde(skip)]
    nothing_to_clear: bool,
}

/// The settings of a camera before and after a change.
struct Changed {
    before: Option<Config>,
    after: Option<Config>,
    /// They were written and read back.
    written: bool,
}

pub(crate) fn run(ctx: &Ctx, args: &NetworkArgs) -> anyhow::Result<Outcome> {
    let effect = match args.action {
        NetworkAction::Show => {
            Effect { waits: Waits::Always.unless(args.no_wait), ..Effect::reading("reading the network settings") }
        }
        // The same mistake would put every camera out of reach.
        _ => Effect {
            stops_at_failure: true,
            waits: Waits::AfterFailure.unless(args.no_wait),
            ..Effect::changing("changing the network settings")
        },
    };
    let fleet = args.fleet.fleet(&effect)?;
    if let (Some(own), true) = (args.action.own(), args.fleet.given() > 1) {
        let text = format!("{own} belongs to one camera, but {} are given", args.fleet.given());
        return Err(Usage(text).into());
    }
    let show_or_change = |turn: &Turn<'_>| {
        let report = runtime()?.block_on(show_or_change(ctx, args, turn))?;
        if ctx.json { present::document(&report) } else { present::result(printable(&text(&report)).as_bytes()) }
    };
    let check = |turn: &Turn<'_>| check(args, turn.located.camera.as_ref());
    fleet.each_checked(ctx, &effect, check, show_or_change)?;
    Ok(Outcome::Done)
}

async fn show_or_change(ctx: &Ctx, args: &NetworkArgs, turn: &Turn<'_>) -> anyhow::Result<NetworkReport> {
    let entered = turn.enter(ctx).await?;
    let action = args.action.clone();
    let task = async move |caller: Caller| change(&caller, &action).await;
    let Changed { before, after, written } = entered.talk(task).await?.map_err(settings_error)?;
    let outcome = if written { "the settings were written and read back" } else { "nothing was written" };
    let changed = before.clone().unwrap_or_default().changes(&after.clone().unwrap_or_default());
    let value =
        |value: &Option<BsonValue>| value.as_ref().map_or("nothing".to_owned(), |value| value.to_json().to_string());
    let line = |change: &ConfigChange| format!("{}: {} -> {}", change.key, value(&change.before), value(&change.after));
    let changed: Vec<_> = changed.iter().map(line).collect();
    let found = match (&args.action, args.no_wait) {
        (NetworkAction::Show, _) | (_, true) => None,
        (..) => Some(wait_for_reply(&entered, &args.action, outcome).await?),
    };
    let new = match &args.action {
        NetworkAction::Static { address, .. } => Some(address.address),
        _ => found.as_ref().map(|(address, _)| *address),
    };
    if let (Some(file), Some(new)) = (args.fleet.config(), new)
        && let Some(text) = outdated_line(file, turn.named, new)
    {
        present::always_say(&printable(&text));
    }
    let network = after.as_ref().map(Config::network).transpose()?;
    let found = match found {
        Some((address, _)) if turn.runs_an_application() => {
            Some(wait_for_application(&entered, address, network.as_ref(), outcome).await?)
        }
        found => found,
    };
    let (address, state) = found.map(|(address, state)| (address, state.name())).unzip();
    Ok(NetworkReport {
        command: ctx.command,
        label: entered.label,
        settings: after.map(|config| config.document().to_json()),
        network,
        changed,
        address,
        state,
        nothing_to_clear: matches!(args.action, NetworkAction::Clear) && !written,
    })
}

/// Changes the settings. Written settings have been read back.
async fn change(caller: &Caller, action: &NetworkAction) -> Result<Changed, SettingsError> {
    caller.identify().await?;
    let before = match (caller.settings().await, action) {
        // Settings that cannot be parsed cannot be edited.
        (Err(SettingsError::Config(_)), NetworkAction::Clear) => {
            caller.clear_settings().await?;
            return Ok(Changed { before: None, after: None, written: true });
        }
        (before, _) => before?,
    };
    // Like the vendor's client, write every known key if there are no settings yet.
    let mut after = before.clone().unwrap_or_else(Config::vendor_default);
    match action {
        NetworkAction::Show => return Ok(Changed { after: before.clone(), before, written: false }),
        NetworkAction::Clear => {
            // The settings also name the memory to boot from, so keep the rest.
            after.clear_network();
            if before.as_ref().is_none_or(|before| before.changes(&after).is_empty()) {
                return Ok(Changed { after: before.clone(), before, written: false });
            }
        }
        NetworkAction::Static { address, gateway, more } => {
            after.set_static_address(&static_address(*address, *gateway))?;
            more.set(&mut after)?;
        }
        NetworkAction::Dhcp { more } => {
            after.set_dhcp(None)?;
            more.set(&mut after)?;
        }
    }
    caller.store_settings(&after).await?;
    Ok(Changed { before, after: Some(after), written: true })
}

impl MoreSettings {
    fn set(&self, config: &mut Config) -> Result<(), SettingsError> {
        if !self.dns.is_empty() {
            config.set_dns([self.dns.first().copied(), self.dns.get(1).copied()])?;
        }
        if self.mac.is_some() {
            config.set_mac(self.mac)?;
        }
        if let Some(time) = self.host_wait {
            config.set_network_host_wait(HostWait::For(time))?;
        }
        Ok(())
    }
}

fn static_address(address: AddressArg, gateway: Ipv4Addr) -> StaticAddress {
    StaticAddress { address: address.address, prefix: address.prefix, gateway }
}

/// Refuses settings that put the camera out of reach, and warns of those that may.
fn check(args: &NetworkArgs, camera: Option<&DiscoveredCamera>) -> anyhow::Result<()> {
    let host: Vec<HostAddress> = interfaces()?
        .into_iter()
        .map(|interface| HostAddress { interface: interface.name, address: interface.ip, prefix: interface.prefix })
        .collect();
    let (mut hazards, more) = match &args.action {
        NetworkAction::Show => return Ok(()),
        NetworkAction::Clear => (dhcp_hazards(&host, None), None),
        NetworkAction::Static { address, gateway, more } => (
            static_hazards(&host, camera.and_then(DiscoveredCamera::ip), &static_address(*address, *gateway)),
            Some(more),
        ),
        NetworkAction::Dhcp { more } => (dhcp_hazards(&host, None), Some(more)),
    };
    let wait = more.and_then(|more| more.host_wait);
    hazards.extend(wait.and_then(|wait| host_wait_hazard(HostWait::For(wait))));
    let (strand, warn): (Vec<_>, Vec<_>) = hazards.iter().partition(|hazard| hazard.is_fatal());
    for hazard in warn {
        present::say(&format!("warning: {hazard}"));
    }
    if strand.is_empty() || args.force {
        for hazard in strand {
            present::say(&format!("warning: {hazard}"));
        }
        return Ok(());
    }
    let all: Vec<_> = strand.iter().map(|hazard| Hazard::to_string(hazard)).collect();
    let error = Refused(all.join("; "));
    Err(advised(error.into(), "nothing was written; --force writes the settings anyway"))
}

/// Describes the change of the camera's line in the configuration file. `None`: the file does not have its address, or has
/// the new one.
fn outdated_line(file: &Path, camera: &NamedCamera, new: Ipv4Addr) -> Option<String> {
    let name = camera.name.as_ref().filter(|name| **name == camera.word)?;
    match camera.camera {
        CameraArg::Address { ip, .. } if ip != new => {
            Some(format!("change {ip} to {new} in the line of {name} in {}", file.display()))
        }
        _ => None,
    }
}

/// Describes how long [`wait_for_reply`] waits.
fn answer_wait(limit: Duration, has_new_address: bool) -> String {
    let seconds = limit.as_secs_f32();
    if !has_new_address || limit <= OLD_ADDRESS_LIMIT {
        return format!("{seconds} s");
    }
    format!("{seconds} s, or {} s if it still answers at its old address", OLD_ADDRESS_LIMIT.as_secs())
}

/// Waits until the camera answers at its new address. `outcome` says what was done to its settings.
async fn wait_for_reply(
    entered: &BootloaderCamera,
    action: &NetworkAction,
    outcome: &str,
) -> anyhow::Result<(Ipv4Addr, CameraState)> {
    let expected = if let NetworkAction::Static { address, .. } = action { Some(address.address) } else { None };
    let limit = entered.answer_limit(REPLY_TIMEOUT);
    let at = expected.map_or_else(String::new, |ip| format!(" at {ip}"));
    let waits = answer_wait(limit, expected.is_some());
    present::say(&format!("{}: waiting until the camera answers{at}, at most {waits}", entered.label));
    let mut known = entered.camera.ips();
    known.extend(expected);
    let (start, mut elsewhere) = (Instant::now(), None);
    let ends = |camera: &DiscoveredCamera| {
        let is_there = expected.is_none_or(|expected| camera.ips().contains(&expected));
        elsewhere = camera.ip().filter(|_| !is_there).or(elsewhere);
        is_there || start.elapsed() > OLD_ADDRESS_LIMIT
    };
    let found = wait_for(&entered.camera.id, &known, entered.udp_port(), limit, ends);
    let what = format!("waiting for the camera; {outcome}");
    let found = entered.unless_stopped(found, &what).await??;
    if let Some(camera) = found.filter(|camera| expected.is_none_or(|expected| camera.ips().contains(&expected))) {
        return Ok((expected.or_else(|| camera.ip()).unwrap_or(Ipv4Addr::UNSPECIFIED), camera.state));
    }
    let id = &entered.camera.id;
    let seconds = start.elapsed().min(limit).as_secs_f32().round();
    let (now, help) = match elsewhere {
        Some(ip) => (format!("; it still answers at {ip}"), "`oaktap network CAMERA show` shows its settings"),
        None => (String::new(), "power-cycle the camera; `oaktap list` and `oaktap doctor` then search every network"),
    };
    let error = anyhow::anyhow!("{outcome}, but camera {id} did not answer{at} within {seconds} s{now}");
    Err(advised(error, help))
}

/// Waits until the camera, which answered at this address, runs its application again. Its bootloader waits for a host first.
async fn wait_for_application(
    entered: &BootloaderCamera,
    address: Ipv4Addr,
    network: Option<&NetworkConfig>,
    outcome: &str,
) -> anyhow::Result<(Ipv4Addr, CameraState)> {
    let host_wait = match network.and_then(|network| network.host_wait) {
        // The application is never booted without a host.
        Some(HostWait::Forever) => return Ok((address, CameraState::Bootloader)),
        Some(HostWait::For(time)) => time,
        Some(HostWait::None) => Duration::ZERO,
        None => HOST_WAIT,
    };
    present::say(&format!("{}: waiting until the application runs again", entered.label));
    let (limit, known, mut last) = (APPLICATION_TIMEOUT + host_wait, [address], None);
    // A DHCP server can give the application another address than the bootloader.
    let is_static = network.is_some_and(|network| network.is_static);
    let runs = wait_for(&entered.camera.id, &known, entered.udp_port(), limit, |camera| {
        let is_there = !is_static || camera.ips().contains(&address);
        last = Some(camera.state).filter(|_| is_there).or(last);
        is_there && camera.state == CameraState::FlashBooted
    });
    let what = format!("waiting for the application; {outcome}");
    if let Some(camera) = entered.unless_stopped(runs, &what).await?? {
        let now = camera.ip().filter(|_| !camera.ips().contains(&address)).unwrap_or(address);
        return Ok((now, camera.state));
    }
    let state = last.map_or("it does not answer".to_owned(), |state| format!("state: {state}"));
    let error = anyhow::anyhow!(
        "{outcome}, and camera {} answered at {address}, but it does not run its application {} s later ({state})",
        entered.camera.id,
        limit.as_secs()
    );
    let help = format!("`oaktap doctor {address}` finds out why; power-cycle the camera if it does not answer");
    Err(advised(error, help))
}

fn text(report: &NetworkReport) -> String {
    let NetworkReport { label, settings, network, changed, address, state, nothing_to_clear, .. } = report;
    let mut text = format!("{label}\n");
    match network {
        None if *nothing_to_clear => text.push_str("  no settings: nothing to clear\n"),
        None => {
            text.push_str("  no settings: the camera uses its defaults (DHCP, and 169.254.1.222 without a server)\n");
        }
        Some(network) => {
            let show = |ip: &Option<Ipv4Addr>| ip.map_or_else(|| "none".to_owned(), |ip| ip.to_string());
            let address = network.address.map(|address| format!("{address}/{}", network.prefix().unwrap_or(0)));
            let address = match (network.is_static, address) {
                (true, address) => format!("static {}", address.as_deref().unwrap_or("none")),
                (false, None) => "DHCP".to_owned(),
                (false, Some(address)) => format!("DHCP; {address} without a server"),
            };
            text.push_str(&format!("  address  {address}\n"));
            text.push_str(&format!("  gateway  {}\n", show(&network.gateway)));
            text.push_str(&format!("  DNS      {} {}\n", show(&network.dns[0]), show(&network.dns[1])));
            if let Some(mac) = network.mac {
                text.push_str(&format!("  MAC      {mac}\n"));
            }
        }
    }
    if let Some(settings) = settings {
        text.push_str(&format!("  all      {settings}\n"));
    }
    if *nothing_to_clear && network.is_some() {
        text.push_str("  no network settings: nothing to clear\n");
    }
    for change in changed {
        text.push_str(&format!("  changed  {change}\n"));
    }
    if let Some(address) = address {
        let runs = if *state == Some(CameraState::FlashBooted.name()) { ", and runs its application" } else { "" };
        text.push_str(&format!("  answers  at {address}{runs}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_file_that_is_outdated_is_named() {
        let line = |name: &str, word: &str, camera: &str, new: [u8; 4]| {
            let (name, camera) = (Some(name.to_owned()), camera.parse().expect("a camera"));
            outdated_line(
                Path::new("m.toml"),
                &NamedCamera { name, camera, word: word.to_owned(), port_help: None },
                new.into(),
            )
        };
        let expected = "change 10.0.0.5 to 10.0.0.6 in the line of door in m.toml";
        assert_eq!(line("door", "door", "10.0.0.5", [10, 0, 0, 6]).as_deref(), Some(expected));
        assert_eq!(line("door", "door", "10.0.0.5", [10, 0, 0, 5]), None);
        assert_eq!(line("door", "door", "14442C", [10, 0, 0, 6]), None);
        assert_eq!(line("door", "door=10.0.0.5", "10.0.0.5", [10, 0, 0, 6]), None);
    }

    #[test]
    fn each_limit_of_the_wait_for_an_answer_is_announced() {
        let old = "90 s, or 15 s if it still answers at its old address";
        assert_eq!(answer_wait(Duration::from_secs(90), true), old);
        assert_eq!(answer_wait(Duration::from_secs(90), false), "90 s");
        assert_eq!(answer_wait(Duration::from_secs(1), true), "1 s");
    }

    #[test]
    fn a_network_is_given_by_its_prefix_length_or_its_mask() {
        for (text, expected) in [
            ("192.168.1.50/24", 24),
            ("192.168.1.50/255.255.255.0", 24),
            ("10.0.0.5/255.255.240.0", 20),
            ("10.0.0.5/255.255.255.255", 32),
            ("10.0.0.5/0.0.0.0", 0),
            ("10.0.0.5/32", 32),
        ] {
            let AddressArg { address, prefix } = text.parse().expect(text);
            assert_eq!((prefix, text.starts_with(&address.to_string())), (expected, true), "{text}");
        }
        for (text, error) in [
            ("192.168.1.50", "`192.168.1.50` has no /PREFIX"),
            ("192.168.1.256/24", "`192.168.1.256` is not an IPv4 address"),
            ("192.168.1.50/33", "prefix length 33 is above 32"),
            ("192.168.1.50/300", "`300` is not a prefix length from 0 to 32"),
            ("192.168.1.50/+24", "`+24` is not a prefix length"),
            ("192.168.1.50/-1", "`-1` is not a prefix length"),
            ("192.168.1.50/", "`` is not a prefix length"),
            ("192.168.1.50/255.255.0.255", "`255.255.0.255` is not a network mask"),
            ("192.168.1.50/0.0.0.255", "`0.0.0.255` is not a network mask"),
            ("192.168.1.50/255.255.255", "`255.255.255` is not a prefix length"),
        ] {
            let found = text.parse::<AddressArg>().unwrap_err();
            assert!(found.starts_with(error) && found.contains("such as 192.168.1.50/24"), "{text}: {found}");
        }
    }
}
