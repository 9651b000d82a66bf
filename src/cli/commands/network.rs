//! `oaktap network`: how a camera gets its address, changed so that it is not lost.

use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand};
use oaktap::bootloader::bson::BsonValue;
use oaktap::bootloader::config::{Config, ConfigChange, HostWait, Mac, NetworkConfig, StaticAddress};
use oaktap::bootloader::reach::{Hazard, HostAddress, dhcp_hazards, host_wait_hazard, static_hazards};
use oaktap::bootloader::{Caller, SettingsError};
use oaktap::discovery::DiscoveredCamera;
use oaktap::net::discovery::wait_for;
use oaktap::net::interfaces::interfaces;
use serde::Serialize;

use crate::cli::camera_arg::runtime;
use crate::cli::camera_session::{EnterArgs, Entered};
use crate::cli::present::{self, Refused, advised, printable, settings_error};
use crate::cli::{Ctx, Outcome, value_parsers};

#[derive(Args, Debug)]
pub(crate) struct NetworkArgs {
    #[command(flatten)]
    enter: EnterArgs,

    #[command(subcommand)]
    what: What,

    /// Write what would put the camera out of this host's reach
    #[arg(long, global = true)]
    force: bool,

    /// Do not wait until the camera answers again
    #[arg(long, global = true)]
    no_wait: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Show the settings
    Show,
    /// Give the camera an address of its own
    Static {
        /// The address and the bits of its network: 192.168.1.50/24
        #[arg(value_name = "IP/PREFIX")]
        address: AddressArg,
        /// The way out of its network. The camera wants one, even if there is none
        #[arg(value_name = "GATEWAY")]
        gateway: Ipv4Addr,
        #[command(flatten)]
        more: More,
    },
    /// Let the camera ask a DHCP server for its address
    Dhcp {
        #[command(flatten)]
        more: More,
    },
    /// Delete the settings of the network: the camera uses its defaults, which is DHCP. Settings that cannot be understood
    /// are deleted as a whole
    Clear,
}

/// What can be set beside the address.
#[derive(Args, Clone, Debug, Default)]
struct More {
    /// Name servers, two at most
    #[arg(long, value_name = "IP", num_args = 1..=2)]
    dns: Vec<Ipv4Addr>,
    /// The Ethernet address: 02:11:22:33:44:55
    #[arg(long, value_name = "MAC")]
    mac: Option<Mac>,
    /// How long the bootloader waits for a host before it boots the application: 30s
    #[arg(long, value_name = "TIME", value_parser = value_parsers::duration)]
    host_wait: Option<Duration>,
}

/// `192.168.1.50/24`
#[derive(Clone, Copy, Debug)]
struct AddressArg {
    address: Ipv4Addr,
    prefix: u8,
}

impl FromStr for AddressArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected an address and the bits of its network, such as 192.168.1.50/24";
        let (address, prefix) = text.split_once('/').ok_or_else(|| format!("`{text}` has no /PREFIX; {expected}"))?;
        let address = address.parse().map_err(|_| format!("`{address}` is no IPv4 address; {expected}"))?;
        let prefix = prefix.parse().map_err(|_| format!("`{prefix}` is no number of bits; {expected}"))?;
        Ok(Self { address, prefix })
    }
}

#[derive(Serialize)]
struct Document {
    command: &'static str,
    camera: String,
    /// `null`: the camera has no settings and uses its defaults.
    settings: Option<serde_json::Value>,
    network: Option<NetworkConfig>,
    /// What was changed, key by key.
    changed: Vec<String>,
    /// Where the camera answered afterwards; `null` when it was not waited for.
    address: Option<Ipv4Addr>,
}

/// Shows or changes.
pub(crate) fn run(ctx: &Ctx, args: &NetworkArgs) -> anyhow::Result<Outcome> {
    let document = runtime()?.block_on(settle(args))?;
    if ctx.json {
        present::document(&document)?;
    } else {
        present::result(printable(&text(&document)).as_bytes())?;
    }
    Ok(Outcome::Done)
}

async fn settle(args: &NetworkArgs) -> anyhow::Result<Document> {
    // What would strand it is refused before anything is stopped.
    let located = args.enter.camera.locate(&args.enter.how.search).await?;
    check(args, located.camera.as_ref())?;
    let entered = args.enter.how.enter_at(located, "the settings are in the bootloader").await?;
    let what = args.what.clone();
    let task = async move |caller: Caller| change(&caller, &what).await;
    let (before, after) = entered.talk(task).await?.map_err(settings_error)?;
    let changed = before.clone().unwrap_or_default().changes(&after.clone().unwrap_or_default());
    let value =
        |value: &Option<BsonValue>| value.as_ref().map_or("nothing".to_owned(), |value| value.to_json().to_string());
    let line = |change: &ConfigChange| format!("{}: {} -> {}", change.key, value(&change.before), value(&change.after));
    let changed: Vec<_> = changed.iter().map(line).collect();
    let address = match (&args.what, args.no_wait) {
        (What::Show, _) | (_, true) => None,
        (..) => Some(again(&entered, &args.what).await?),
    };
    let network = after.as_ref().map(Config::network).transpose()?;
    Ok(Document {
        command: "network",
        camera: entered.camera.id,
        settings: after.map(|config| config.document().to_json()),
        network,
        changed,
        address,
    })
}

/// Before and after. What is written was read back.
async fn change(caller: &Caller, what: &What) -> Result<(Option<Config>, Option<Config>), SettingsError> {
    caller.identify().await?;
    let before = match (caller.settings().await, what) {
        // Nobody can tell what else is in it.
        (Err(SettingsError::Config(_)), What::Clear) => {
            caller.clear_settings().await?;
            return Ok((None, None));
        }
        (before, _) => before?,
    };
    // What is not there yet is written as the vendor's client does it: with every key that it knows.
    let mut after = before.clone().unwrap_or_else(Config::vendor_default);
    match what {
        What::Show => return Ok((before.clone(), before)),
        What::Clear => {
            // The memory to boot from stands there too.
            after.clear_network();
        }
        What::Static { address, gateway, more } => {
            after.set_static_address(&wanted(*address, *gateway))?;
            more.set(&mut after)?;
        }
        What::Dhcp { more } => {
            after.set_dhcp(None)?;
            more.set(&mut after)?;
        }
    }
    caller.store_settings(&after).await?;
    Ok((before, Some(after)))
}

impl More {
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

fn wanted(address: AddressArg, gateway: Ipv4Addr) -> StaticAddress {
    StaticAddress { address: address.address, prefix: address.prefix, gateway }
}

/// Refuses what would put the camera out of reach, and warns of what may.
fn check(args: &NetworkArgs, camera: Option<&DiscoveredCamera>) -> anyhow::Result<()> {
    let host: Vec<HostAddress> = interfaces()?
        .into_iter()
        .map(|interface| HostAddress { interface: interface.name, address: interface.ip, prefix: interface.prefix })
        .collect();
    let (mut hazards, more) = match &args.what {
        What::Show => return Ok(()),
        What::Clear => (dhcp_hazards(&host, None), None),
        What::Static { address, gateway, more } => {
            (static_hazards(&host, camera.and_then(DiscoveredCamera::ip), &wanted(*address, *gateway)), Some(more))
        }
        What::Dhcp { more } => (dhcp_hazards(&host, None), Some(more)),
    };
    let wait = more.and_then(|more| more.host_wait);
    hazards.extend(wait.and_then(|wait| host_wait_hazard(HostWait::For(wait))));
    let (strand, warn): (Vec<_>, Vec<_>) = hazards.iter().partition(|hazard| hazard.is_fatal());
    for hazard in warn {
        present::say(&format!("warning: {hazard}"));
    }
    if strand.is_empty() || args.force {
        for hazard in strand {
            present::say(&format!("warning, --force: {hazard}"));
        }
        return Ok(());
    }
    let all: Vec<_> = strand.iter().map(|hazard| Hazard::to_string(hazard)).collect();
    let error = Refused(all.join("; "));
    Err(advised(error.into(), "nothing was written; --force writes it all the same"))
}

/// Waits until the camera answers again, where it should.
async fn again(entered: &Entered, what: &What) -> anyhow::Result<Ipv4Addr> {
    let expected = if let What::Static { address, .. } = what { Some(address.address) } else { None };
    present::say(&format!("{}: waiting until it answers again", entered.camera.id));
    let mut known = entered.camera.ips();
    known.extend(expected);
    let is = |camera: &DiscoveredCamera| expected.is_none_or(|expected| camera.ips().contains(&expected));
    let limit = Duration::from_secs(90);
    match wait_for(&entered.camera.id, &known, entered.udp_port(), limit, is).await? {
        Some(camera) => Ok(expected.or_else(|| camera.ip()).unwrap_or(Ipv4Addr::UNSPECIFIED)),
        None => {
            let where_ = expected.map_or_else(String::new, |ip| format!(" at {ip}"));
            let error = anyhow::anyhow!(
                "the settings were written and read back, and camera {} did not answer{where_} within 90 s",
                entered.camera.id
            );
            Err(advised(error, "power-cycle it; `oaktap list` and `oaktap doctor` look for it at every address"))
        }
    }
}

fn text(document: &Document) -> String {
    let Document { camera, settings, network, changed, address, .. } = document;
    let mut text = format!("{camera}\n");
    match network {
        None => {
            text.push_str("  no settings: the camera uses its defaults (DHCP, and 169.254.1.222 without a server)\n");
        }
        Some(network) => {
            let way = if network.is_static { "static" } else { "DHCP, then" };
            let show = |ip: &Option<Ipv4Addr>| ip.map_or_else(|| "none".to_owned(), |ip| ip.to_string());
            text.push_str(&format!("  address  {way} {}/{}\n", show(&network.address), network.prefix().unwrap_or(0)));
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
    for change in changed {
        text.push_str(&format!("  changed  {change}\n"));
    }
    if let Some(address) = address {
        text.push_str(&format!("  answers  at {address}\n"));
    }
    text
}
