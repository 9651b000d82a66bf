//! Reads the network configuration from /sys and /proc, and from the listings of `ip`, `ethtool`, `nft` and `iptables`.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::doctor::facts::{HostFacts, HostLink, LinkKind, Neighbor, Route};
use crate::doctor::rules::{FirewallRules, parse_iptables, parse_nft};

const INTERFACES_PATH: &str = "/sys/class/net";
/// Interface flags (linux/if.h).
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 1 << 3;
const IFF_POINTOPOINT: u32 = 1 << 4;
/// Flag of /proc/net/arp: the request was answered (linux/if_arp.h).
const ATF_COM: u32 = 2;

pub(super) fn host() -> HostFacts {
    HostFacts {
        links: links(),
        routes: routes(&read("/proc/net/route")),
        neighbors: neighbors(&read("/proc/net/arp")),
        firewall: firewall(),
    }
}

/// Returns the interface through which packets to `ip` leave. Asks `ip route get`, because VPNs bypass the main table.
pub(super) fn outgoing_interface(ip: Ipv4Addr) -> Option<String> {
    let text = output("ip", &["-4", "route", "get", &ip.to_string()]).ok()?;
    let mut words = text.split_whitespace().skip_while(|word| *word != "dev").skip(1);
    words.next().map(str::to_owned)
}

/// Returns the content of a file, or an empty string if it cannot be read.
fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn links() -> Vec<HostLink> {
    let mut names: Vec<_> = fs::read_dir(INTERFACES_PATH)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    let addresses = addresses();
    names.into_iter().filter_map(|name| link(name, &addresses)).collect()
}

/// Returns the IPv4 addresses by interface, including interfaces without a carrier.
fn addresses() -> BTreeMap<String, Vec<(Ipv4Addr, u8)>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for interface in if_addrs::get_if_addrs().unwrap_or_default() {
        if let if_addrs::IfAddr::V4(v4) = interface.addr {
            all.entry(interface.name).or_default().push((v4.ip, v4.prefixlen));
        }
    }
    all
}

fn link(name: String, addresses: &BTreeMap<String, Vec<(Ipv4Addr, u8)>>) -> Option<HostLink> {
    let folder = Path::new(INTERFACES_PATH).join(&name);
    let text = |file: &str| read(folder.join(file)).trim().to_owned();
    let number = |file: &str| text(file).parse::<u32>().ok();
    let flags = u32::from_str_radix(text("flags").trim_start_matches("0x"), 16).ok()?;
    if flags & IFF_LOOPBACK != 0 {
        return None;
    }
    let has = |file: &str| folder.join(file).exists();
    let kind = if has("wireless") || has("phy80211") {
        LinkKind::Wireless
    } else if flags & IFF_POINTOPOINT != 0 || has("tun_flags") {
        LinkKind::Tunnel
    } else if has("device") {
        LinkKind::Wired
    } else {
        LinkKind::Virtual
    };
    Some(HostLink {
        kind,
        up: flags & IFF_UP != 0,
        // Cannot be read while the interface is down.
        carrier: number("carrier").map(|carrier| carrier == 1),
        // Drivers report -1 if the speed is unknown.
        speed_mbit_s: number("speed").filter(|speed| (1..u32::MAX).contains(speed)),
        full_duplex: match text("duplex").as_str() {
            "full" => Some(true),
            "half" => Some(false),
            _ => None,
        },
        mtu: number("mtu"),
        rx_usecs: (kind == LinkKind::Wired).then(|| rx_usecs(&name)).flatten(),
        addresses: addresses.get(&name).cloned().unwrap_or_default(),
        name,
    })
}

fn rx_usecs(interface: &str) -> Option<u32> {
    let text = output("ethtool", &["-c", interface]).ok()?;
    text.lines().find_map(|line| line.strip_prefix("rx-usecs:"))?.trim().parse().ok()
}

/// Parses /proc/net/route: hexadecimal numbers, addresses in memory order.
fn routes(text: &str) -> Vec<Route> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let address = |at: usize| {
                let bits = u32::from_str_radix(fields.get(at)?, 16).ok()?;
                Some(Ipv4Addr::from(bits.to_ne_bytes()))
            };
            let gateway = address(2)?;
            Some(Route {
                interface: (*fields.first()?).to_owned(),
                network: address(1)?,
                gateway: (!gateway.is_unspecified()).then_some(gateway),
                metric: fields.get(6)?.parse().ok()?,
                prefix: address(7)?.to_bits().count_ones() as u8,
            })
        })
        .collect()
}

/// Parses /proc/net/arp.
fn neighbors(text: &str) -> Vec<Neighbor> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [ip, _, flags, mac, .., interface] = fields.as_slice() else { return None };
            let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok()?;
            let mac = (flags & ATF_COM != 0).then(|| (*mac).to_owned());
            Some(Neighbor { ip: ip.parse().ok()?, mac, interface: (*interface).to_owned() })
        })
        .collect()
}

/// Lists the firewall rules. `nft` lists the rules of `iptables` too, except those of `iptables-legacy`, which the
/// kernel keeps apart.
fn firewall() -> FirewallRules {
    let mut firewall = FirewallRules::default();
    let mut unreadable = None;
    let legacy = read("/proc/net/ip_tables_names").lines().any(|table| table == "filter");
    let nft = output("nft", &["list", "ruleset"]);
    match &nft {
        Ok(text) => firewall.chains.extend(parse_nft(text)),
        Err(ToolError::Failed(why)) => unreadable = Some(why.clone()),
        Err(ToolError::Missing) => {}
    }
    if legacy || matches!(nft, Err(ToolError::Missing)) {
        let listed = if legacy {
            output("iptables-legacy", &["-S"]).or_else(|_| output("iptables", &["-S"]))
        } else {
            output("iptables", &["-S"])
        };
        match listed {
            Ok(text) => firewall.chains.extend(parse_iptables(&text)),
            Err(ToolError::Failed(why)) => unreadable = Some(why),
            Err(ToolError::Missing) if legacy => unreadable = Some("`iptables` is not installed".to_owned()),
            // Without a tool, no rules have been set.
            Err(ToolError::Missing) => {}
        }
    }
    firewall.unreadable = unreadable;
    firewall
}

enum ToolError {
    Missing,
    /// The tool failed. Holds the first line of its error output.
    Failed(String),
}

/// Runs a tool and returns its output. Also searches the folders of system tools, which are often missing in a user's
/// `PATH`.
fn output(program: &str, arguments: &[&str]) -> Result<String, ToolError> {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{path}:/usr/sbin:/sbin:/usr/local/sbin");
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    let program = found.ok_or(ToolError::Missing)?;
    let run = Command::new(program).args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).output();
    match run {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(ToolError::Failed(text.lines().next().unwrap_or("failed without a message").to_owned()))
        }
        Err(error) => Err(ToolError::Failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().expect("an address")
    }

    /// The kernel prints addresses in memory order; this listing is from a little-endian machine.
    #[test]
    #[cfg(target_endian = "little")]
    fn kernel_tables_are_parsed() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                    eth1\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                    eth2\t0500000A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\nbroken\n";
        let route = |network, prefix, gateway, interface: &str, metric| Route {
            network: ip(network),
            prefix,
            gateway,
            interface: interface.to_owned(),
            metric,
        };
        let expected = [
            route("0.0.0.0", 0, Some(ip("192.0.2.1")), "eth0", 100),
            route("169.254.0.0", 16, None, "eth1", 0),
            route("10.0.0.5", 32, None, "eth2", 0),
        ];
        assert_eq!(routes(text), expected);
        let text = "IP address       HW type     Flags       HW address            Mask     Device\n\
                    10.0.0.5         0x1         0x2         02:fc:00:00:00:05     *        eth0\n\
                    10.0.0.6         0x1         0x0         00:00:00:00:00:00     *        eth0\n";
        let found = neighbors(text);
        assert_eq!((found[0].ip, found[0].mac.as_deref()), (ip("10.0.0.5"), Some("02:fc:00:00:00:05")));
        assert_eq!((found[1].ip, found[1].mac.as_deref(), found.len()), (ip("10.0.0.6"), None, 2));
        assert_eq!((routes(""), neighbors("")), (vec![], vec![]));
    }

    #[test]
    fn links_of_this_host_have_name_and_mtu() {
        for link in host().links {
            assert!(!link.name.is_empty() && link.mtu.is_some(), "{link:?}");
        }
    }
}
