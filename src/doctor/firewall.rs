//! Checks whether the firewall of this host drops a camera's packets, and suggests rules that accept them.

use std::net::Ipv4Addr;

use super::facts::{CheckedCamera, Facts};
use super::rules::{Chain, Direction, FirewallRules, FirewallTool};
use super::{Finding, Level};
use crate::discovery::{PORT, PortProbe, Subnet};
use crate::xlink;

/// The effect of a rule on a camera's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accept,
    Drop,
    /// The rule does not apply to them.
    NoMatch,
}

/// The properties of a camera's packets that rules match on.
#[derive(Clone, Copy, Debug, Default)]
struct CameraPackets<'a> {
    /// The camera's address, if known.
    ip: Option<Ipv4Addr>,
    /// This host's interface, if known.
    interface: Option<&'a str>,
    /// They answer a broadcast, so connection tracking does not assign them to a connection.
    untracked: bool,
}

impl Chain {
    /// Returns the effect of `rule` on packets from or to the camera's `port`.
    fn verdict(&self, rule: &str, packets: &CameraPackets, port: u16) -> Verdict {
        let words: Vec<_> =
            rule.split(|c: char| c.is_whitespace() || ",{}".contains(c)).filter(|w| !w.is_empty()).collect();
        let has = |word: &str| words.contains(&word);
        let drops = has("drop") || has("reject") || has("DROP") || has("REJECT");
        let accepts = has("accept") || has("ACCEPT");
        if !drops && !accepts {
            return Verdict::NoMatch;
        }
        let (camera_port, host_port, address, interface) = match self.direction {
            Direction::In => (["sport", "--sport"], ["dport", "--dport"], ["saddr", "-s"], ["iifname", "-i"]),
            Direction::Out => (["dport", "--dport"], ["sport", "--sport"], ["daddr", "-d"], ["oifname", "-o"]),
        };
        let values_of = |names: &[&str]| {
            let at = words.iter().position(|word| names.contains(word))?;
            Some(words[at + 1..].iter().copied())
        };
        // A camera's packets are never any of these. This host's port is ephemeral, so rules about it do not match
        // either.
        let never = ["invalid", "INVALID", "icmp", "icmpv6", "ip6"];
        let established = has("established") || has("ESTABLISHED") || has("RELATED");
        let new_connection = self.direction == Direction::Out || packets.untracked;
        if never.into_iter().any(has) || values_of(&host_port).is_some() || (established && accepts && new_connection) {
            return Verdict::NoMatch;
        }
        if let Some(mut values) = values_of(&camera_port)
            && !values.any(|value| includes_port(value, port))
        {
            return Verdict::NoMatch;
        }
        if let Some(named) = values_of(&interface).and_then(|mut values| values.next())
            && packets.interface.is_none_or(|interface| interface != named.trim_matches('"'))
        {
            return Verdict::NoMatch;
        }
        if let Some(named) = values_of(&address).and_then(|mut values| values.next())
            && !packets.ip.is_some_and(|ip| network(named).is_some_and(|network| network.contains(ip)))
        {
            return Verdict::NoMatch;
        }
        if drops { Verdict::Drop } else { Verdict::Accept }
    }

    /// Names the rule or the policy that drops a camera's packets, if one does. For each port, the first matching rule
    /// decides.
    fn dropped_by(&self, packets: &CameraPackets, ports: &[u16]) -> Option<String> {
        ports.iter().find_map(|port| {
            let mut verdicts = self.rules.iter().map(|rule| (rule, self.verdict(rule, packets, *port)));
            match verdicts.find(|(_, verdict)| *verdict != Verdict::NoMatch) {
                Some((rule, Verdict::Drop)) => Some(format!("rule `{rule}` of chain {}", self.name)),
                Some(_) => None,
                None => self.drops_the_rest.then(|| format!("the default policy of chain {}", self.name)),
            }
        })
    }

    /// Returns commands that insert, before all other rules, a rule that accepts a camera's packets.
    fn accept_commands(&self, ip: Option<Ipv4Addr>, ports: &[u16]) -> Vec<String> {
        let (from, address, nft_address, side) = match self.direction {
            Direction::In => ("from", "-s", "saddr", "sport"),
            Direction::Out => ("to", "-d", "daddr", "dport"),
        };
        let name = &self.name;
        match (self.tool, ip) {
            (FirewallTool::Ufw, Some(ip)) if self.direction == Direction::In => {
                vec![format!("ufw insert 1 allow {from} {ip}")]
            }
            (FirewallTool::Ufw, Some(ip)) => {
                vec![format!("ufw insert 1 allow out {from} {ip}"), format!("ufw insert 1 allow out {PORT}/udp")]
            }
            (FirewallTool::Nft, Some(ip)) => {
                let all = format!("nft insert rule {name} ip {nft_address} {ip} accept");
                // Broadcast queries are not sent to a camera's address.
                let queries = format!("nft insert rule {name} udp dport {PORT} accept");
                std::iter::once(all).chain((self.direction == Direction::Out).then_some(queries)).collect()
            }
            (FirewallTool::Iptables, Some(ip)) => {
                let all = format!("iptables -I {name} {address} {ip} -j ACCEPT");
                let queries = format!("iptables -I {name} -p udp --dport {PORT} -j ACCEPT");
                std::iter::once(all).chain((self.direction == Direction::Out).then_some(queries)).collect()
            }
            (_, None) => ports
                .iter()
                .map(|port| {
                    let protocol = if *port == PORT { "udp" } else { "tcp" };
                    match self.tool {
                        FirewallTool::Nft => format!("nft insert rule {name} {protocol} {side} {port} accept"),
                        // ufw cannot match the remote port alone, but its chains are those of iptables.
                        FirewallTool::Iptables | FirewallTool::Ufw => {
                            format!("iptables -I {name} -p {protocol} --{side} {port} -j ACCEPT")
                        }
                    }
                })
                .collect(),
        }
    }
}

/// Matches `11491` and the ranges `11000-12000` and `11000:12000`.
fn includes_port(word: &str, port: u16) -> bool {
    let number = |text: &str| text.parse::<u16>().ok();
    match word.split_once(['-', ':']) {
        Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| (from..=to).contains(&port)),
        None => number(word) == Some(port),
    }
}

/// Parses `10.0.0.5` and `10.0.0.0/24`.
fn network(word: &str) -> Option<Subnet> {
    let (ip, prefix) = word.split_once('/').unwrap_or((word, "32"));
    Subnet::of(ip.parse().ok()?, prefix.parse().ok()?)
}

pub(super) fn judge(facts: &Facts, target: Option<&CheckedCamera>) -> Vec<Finding> {
    let FirewallRules { chains, unreadable } = &facts.host.firewall;
    let subject = target.map_or("host", |target| target.name.as_str());
    let finding = |level, observed: String| Finding::new("firewall", subject, level, observed);
    let stream_ports = target.map_or(&[][..], |target| &target.ports);
    let suspects = unanswered_ports(target, stream_ports);
    let broadcast_unanswered = target.is_some_and(|target| target.by_unicast && !target.by_broadcast);
    if let Some(why) = unreadable {
        let finding = finding(Level::Skip, format!("cannot read the firewall rules: {why}"));
        let hint = "only root can read the rules: run `sudo oaktap doctor`";
        return vec![if suspects.is_empty() && !broadcast_unanswered { finding } else { finding.hint(hint) }];
    }
    let ip = target.and_then(|target| target.ip);
    let interface = target.and_then(|target| target.route.interface.as_deref());
    let packets = CameraPackets { ip, interface, untracked: false };
    let dropping = |packets: CameraPackets, ports: &[u16]| {
        chains.iter().filter_map(|chain| Some((chain, chain.dropped_by(&packets, ports)?))).collect::<Vec<_>>()
    };
    let mut guilty = dropping(packets, &suspects);
    if broadcast_unanswered || target.is_none() {
        let mut more = dropping(CameraPackets { untracked: true, ..packets }, &[PORT]);
        more.retain(|(chain, _)| !guilty.iter().any(|(known, _)| known == chain));
        guilty.extend(more);
    }
    if let Some((_, rule)) = guilty.first() {
        let (level, hint) = if suspects.is_empty() {
            (
                Level::Warn,
                "answers to broadcasts do not belong to a tracked connection, so they are dropped: accept the camera's \
                 packets",
            )
        } else {
            (
                Level::Fail,
                "accept the camera's packets, and give the camera a fixed address so that the new rule stays valid",
            )
        };
        let ports: Vec<_> = [PORT, xlink::PORT].into_iter().chain(stream_ports.iter().map(|(port, _)| *port)).collect();
        let commands = guilty.iter().flat_map(|(chain, _)| chain.accept_commands(ip, &ports));
        return vec![finding(level, format!("{rule} drops the camera's packets")).hint(hint).commands(commands)];
    }
    vec![match dropping(packets, &[xlink::PORT]).first() {
        Some((chain, rule)) => finding(Level::Warn, format!("{rule} drops TCP port {}", xlink::PORT))
            .hint("accept this port: flashing and changing settings need it")
            .commands(chain.accept_commands(ip, &[xlink::PORT])),
        None if chains.is_empty() => finding(Level::Pass, "this host has no firewall rules".to_owned()),
        None => finding(Level::Pass, format!("the {} firewall chains accept the camera's packets", chains.len())),
    }]
}

/// Returns the camera's ports that do not answer. A port that answers passes the firewall, whatever the rules say.
fn unanswered_ports(target: Option<&CheckedCamera>, stream_ports: &[(u16, PortProbe)]) -> Vec<u16> {
    let mut ports = Vec::new();
    if !target.is_some_and(|target| target.by_unicast) {
        ports.push(PORT);
    }
    if !stream_ports.iter().any(|(_, probe)| *probe == PortProbe::Open) {
        let unanswered = |probe: &PortProbe| matches!(probe, PortProbe::TimedOut | PortProbe::Unreachable(_));
        ports.extend(stream_ports.iter().filter(|(_, probe)| unanswered(probe)).map(|(port, _)| *port));
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::super::rules::tests::{IPTABLES, NFT};
    use super::super::rules::{parse_iptables, parse_nft};
    use super::*;

    fn ip(text: &str) -> Option<Ipv4Addr> {
        Some(text.parse().expect("an address"))
    }

    /// Names the rule that drops a camera's answer to a broadcast.
    fn dropped_by(chain: &Chain, ip: Option<Ipv4Addr>, port: u16) -> Option<String> {
        chain.dropped_by(&CameraPackets { ip, interface: None, untracked: true }, &[port])
    }

    #[test]
    fn nft_rules_are_judged_in_order() {
        let chains = parse_nft(NFT);
        let [input, iptables] = chains.as_slice() else { panic!("{chains:#?}") };
        let rule = dropped_by(input, ip("10.0.0.5"), PORT);
        assert_eq!(rule.as_deref(), Some("rule `udp sport 11491 drop` of chain inet x input"));
        assert_eq!(dropped_by(input, None, 5000).as_deref(), Some("the default policy of chain inet x input"));
        let tracked = CameraPackets { ip: None, interface: Some("eth0"), untracked: false };
        assert_eq!(input.dropped_by(&tracked, &[5000, PORT]), None, "packets of an established connection pass");
        let commands = input.accept_commands(ip("10.0.0.5"), &[]);
        assert_eq!(commands, ["nft insert rule inet x input ip saddr 10.0.0.5 accept"]);
        assert_eq!(dropped_by(iptables, None, PORT), None);
        assert!(dropped_by(iptables, None, xlink::PORT).is_some());
        let commands = iptables.accept_commands(None, &[PORT]);
        assert_eq!(commands, ["iptables -I INPUT -p udp --sport 11491 -j ACCEPT"]);
    }

    #[test]
    fn iptables_rules_are_judged_in_order() {
        let chains = parse_iptables(IPTABLES);
        let [input, output] = chains.as_slice() else { panic!("{chains:#?}") };
        assert_eq!(dropped_by(input, ip("10.0.0.5"), PORT), None);
        let rule = dropped_by(input, ip("10.0.0.6"), PORT);
        assert_eq!(rule.as_deref(), Some("the default policy of chain INPUT"));
        let rule = dropped_by(input, ip("10.0.1.6"), PORT);
        assert_eq!(rule.as_deref(), Some("rule `-A mine -s 10.0.1.0/24 -j DROP` of chain INPUT"));
        assert!(dropped_by(output, ip("10.0.0.5"), PORT).is_some());
        assert_eq!(dropped_by(output, ip("10.0.0.5"), 5000), None);
        let commands =
            ["iptables -I OUTPUT -d 10.0.0.5 -j ACCEPT", "iptables -I OUTPUT -p udp --dport 11491 -j ACCEPT"];
        assert_eq!(output.accept_commands(ip("10.0.0.5"), &[]), commands);
        let ufw = parse_iptables("-P INPUT DROP\n-A INPUT -j ufw-before-input\n-N ufw-before-input\n");
        assert_eq!(ufw[0].accept_commands(ip("10.0.0.5"), &[]), ["ufw insert 1 allow from 10.0.0.5"]);
    }

    #[test]
    fn ports_match_numbers_and_ranges() {
        for (word, port, matches) in
            [("11491", 11_491, true), ("11490-11491", 11_491, true), ("1:2", 3, false), ("x", 1, false)]
        {
            assert_eq!(includes_port(word, port), matches, "{word}");
        }
    }
}
