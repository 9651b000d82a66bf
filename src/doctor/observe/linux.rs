//! What Linux tells of its network, in /sys and /proc, and by tools that only list.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::doctor::facts::{Host, Kind, Link, Neighbour, Route};
use crate::doctor::firewall::{Firewall, parse_iptables, parse_nft};

const INTERFACES: &str = "/sys/class/net";
/// Interface flags (linux/if.h).
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 1 << 3;
const IFF_POINTOPOINT: u32 = 1 << 4;
/// Of the flags in /proc/net/arp: an answer came (linux/if_arp.h, ATF_COM).
const COMPLETE: u32 = 2;

pub(super) fn host() -> Host {
    Host {
        links: links(),
        routes: routes(&read("/proc/net/route")),
        neighbours: neighbours(&read("/proc/net/arp")),
        firewall: firewall(),
    }
}

/// The interface that packets to an address leave by. The system is asked, because VPNs route past the main table.
pub(super) fn leaves_by(ip: Ipv4Addr) -> Option<String> {
    let text = output("ip", &["-4", "route", "get", &ip.to_string()]).ok()?;
    let mut words = text.split_whitespace().skip_while(|word| *word != "dev").skip(1);
    words.next().map(str::to_owned)
}

/// What a file says; nothing, where there is none.
fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn links() -> Vec<Link> {
    let mut names: Vec<_> = fs::read_dir(INTERFACES)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    let addresses = addresses();
    names.into_iter().filter_map(|name| link(name, &addresses)).collect()
}

/// Every IPv4 address, of interfaces without a carrier too.
fn addresses() -> BTreeMap<String, Vec<(Ipv4Addr, u8)>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for interface in if_addrs::get_if_addrs().unwrap_or_default() {
        if let if_addrs::IfAddr::V4(v4) = interface.addr {
            all.entry(interface.name).or_default().push((v4.ip, v4.prefixlen));
        }
    }
    all
}

fn link(name: String, addresses: &BTreeMap<String, Vec<(Ipv4Addr, u8)>>) -> Option<Link> {
    let folder = Path::new(INTERFACES).join(&name);
    let text = |file: &str| read(folder.join(file)).trim().to_owned();
    let number = |file: &str| text(file).parse::<u32>().ok();
    let flags = u32::from_str_radix(text("flags").trim_start_matches("0x"), 16).ok()?;
    if flags & IFF_LOOPBACK != 0 {
        return None;
    }
    let has = |file: &str| folder.join(file).exists();
    let kind = if has("wireless") || has("phy80211") {
        Kind::Wireless
    } else if flags & IFF_POINTOPOINT != 0 || has("tun_flags") {
        Kind::Tunnel
    } else if has("device") {
        Kind::Wired
    } else {
        Kind::Virtual
    };
    Some(Link {
        kind,
        up: flags & IFF_UP != 0,
        // It cannot be read of one that is switched off.
        carrier: number("carrier").map(|carrier| carrier == 1),
        // -1 is a driver that does not know.
        speed_mbit_s: number("speed").filter(|speed| (1..u32::MAX).contains(speed)),
        full_duplex: match text("duplex").as_str() {
            "full" => Some(true),
            "half" => Some(false),
            _ => None,
        },
        mtu: number("mtu"),
        rx_usecs: (kind == Kind::Wired).then(|| rx_usecs(&name)).flatten(),
        addresses: addresses.get(&name).cloned().unwrap_or_default(),
        name,
    })
}

fn rx_usecs(interface: &str) -> Option<u32> {
    let text = output("ethtool", &["-c", interface]).ok()?;
    text.lines().find_map(|line| line.strip_prefix("rx-usecs:"))?.trim().parse().ok()
}

/// Reads /proc/net/route: numbers in hex, addresses as the bytes lie in memory.
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

/// Reads /proc/net/arp.
fn neighbours(text: &str) -> Vec<Neighbour> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [ip, _, flags, mac, .., interface] = fields.as_slice() else { return None };
            let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok()?;
            let mac = (flags & COMPLETE != 0).then(|| (*mac).to_owned());
            Some(Neighbour { ip: ip.parse().ok()?, mac, interface: (*interface).to_owned() })
        })
        .collect()
}

/// nft lists what iptables has set too, unless that is the old kind, which has its own list in the kernel.
fn firewall() -> Firewall {
    let mut firewall = Firewall::default();
    let mut refused = None;
    let old = read("/proc/net/ip_tables_names").lines().any(|table| table == "filter");
    let nft = output("nft", &["list", "ruleset"]);
    match &nft {
        Ok(text) => firewall.chains.extend(parse_nft(text)),
        Err(Tool::Refused(why)) => refused = Some(why.clone()),
        Err(Tool::Missing) => {}
    }
    if old || matches!(nft, Err(Tool::Missing)) {
        let listed = if old {
            output("iptables-legacy", &["-S"]).or_else(|_| output("iptables", &["-S"]))
        } else {
            output("iptables", &["-S"])
        };
        match listed {
            Ok(text) => firewall.chains.extend(parse_iptables(&text)),
            Err(Tool::Refused(why)) => refused = Some(why),
            Err(Tool::Missing) if old => refused = Some("there are rules, and no `iptables` to list them".to_owned()),
            // There is no tool, so nobody has set a rule with one.
            Err(Tool::Missing) => {}
        }
    }
    firewall.unreadable = refused;
    firewall
}

/// Why a tool did not list.
enum Tool {
    Missing,
    Refused(String),
}

/// What a tool prints. It is found where root finds it, too: users may not have these folders in their path.
fn output(program: &str, arguments: &[&str]) -> Result<String, Tool> {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{path}:/usr/sbin:/sbin:/usr/local/sbin");
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    let program = found.ok_or(Tool::Missing)?;
    let run = Command::new(program).args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).output();
    match run {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            Err(Tool::Refused(text.lines().next().unwrap_or("it failed").to_owned()))
        }
        Err(error) => Err(Tool::Refused(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().expect("an address")
    }

    /// As the kernel prints it where numbers are little endian, which all machines are that this is built for.
    #[test]
    #[cfg(target_endian = "little")]
    fn the_tables_of_the_kernel() {
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
        let found = neighbours(text);
        assert_eq!((found[0].ip, found[0].mac.as_deref()), (ip("10.0.0.5"), Some("02:fc:00:00:00:05")));
        assert_eq!((found[1].ip, found[1].mac.as_deref(), found.len()), (ip("10.0.0.6"), None, 2));
        assert_eq!((routes(""), neighbours("")), (vec![], vec![]));
    }

    #[test]
    fn this_host() {
        for link in host().links {
            assert!(!link.name.is_empty() && link.mtu.is_some(), "{link:?}");
        }
    }
}
