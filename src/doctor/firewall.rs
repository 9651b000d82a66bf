//! What this host filters: rules as the tools print them -> what could stop a camera's packets, and what lets them pass.

use std::net::Ipv4Addr;

use serde::Serialize;

use super::facts::{Facts, Port, Target};
use super::{Finding, Level};
use crate::discovery::{PORT, Subnet};
use crate::xlink;

/// What is known of the filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Firewall {
    /// The chains that packets of this host pass.
    pub chains: Vec<Chain>,
    /// Why they are not known.
    pub unreadable: Option<String>,
}

/// Which way packets go through a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// What comes in.
    In,
    /// What goes out.
    Out,
}

/// Who keeps a chain, and with what it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// `nft`.
    Nft,
    /// `iptables`.
    Iptables,
    /// `ufw`.
    Ufw,
}

/// A chain of rules that packets begin in, with those that it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// Who keeps it.
    pub tool: Tool,
    /// Its name, as the tool wants it: `inet filter input`, `INPUT`.
    pub name: String,
    /// Which way packets go.
    pub direction: Direction,
    /// What no rule says anything about is dropped.
    pub drops_the_rest: bool,
    /// The rules, in order.
    pub rules: Vec<String>,
}

/// Reads what `nft list ruleset` prints.
#[must_use]
pub fn parse_nft(text: &str) -> Vec<Chain> {
    struct Open {
        name: String,
        hook: Option<(Direction, bool)>,
        rules: Vec<String>,
    }
    let mut table: Option<(String, String)> = None;
    let mut chains: Vec<(String, String, Open)> = Vec::new();
    let mut inside = false;
    let mut depth = 0_i32;
    for line in text.lines().map(str::trim) {
        let words: Vec<_> = line.split_whitespace().collect();
        match (words.as_slice(), depth) {
            (["table", family, name, ..], 0) => table = Some(((*family).to_owned(), (*name).to_owned())),
            (["chain", name, ..], 1) => {
                if let Some((family, table)) = &table {
                    let open = Open { name: (*name).to_owned(), hook: None, rules: Vec::new() };
                    chains.push((family.clone(), table.clone(), open));
                    inside = true;
                }
            }
            (["type", "filter", "hook", hook, ..], 2) if inside => {
                let direction = match *hook {
                    "input" => Some(Direction::In),
                    "output" => Some(Direction::Out),
                    _ => None,
                };
                if let Some((_, _, open)) = chains.last_mut() {
                    open.hook = direction.map(|direction| (direction, line.contains("policy drop")));
                }
            }
            ([] | ["}"], _) => {}
            _ if inside && depth == 2 => {
                if let Some((_, _, open)) = chains.last_mut() {
                    open.rules.push(line.split(" # handle").next().unwrap_or(line).to_owned());
                }
            }
            _ => {}
        }
        depth += line.matches('{').count() as i32 - line.matches('}').count() as i32;
        inside &= depth >= 2 || line.ends_with('{');
    }
    let v4 = |family: &str| matches!(family, "ip" | "inet");
    let begins = chains.iter().filter(|(family, _, open)| v4(family) && open.hook.is_some());
    let led_to = |family: &str, table: &str, open: &Open| {
        let mut rules = Vec::new();
        let mut names = vec![open.name.as_str()];
        let mut at = 0;
        while let Some(name) = names.get(at).copied() {
            at += 1;
            let of = |(f, t, o): &&(String, String, Open)| f == family && t == table && o.name == name;
            for rule in chains.iter().find(of).map_or(&[][..], |(_, _, open)| &open.rules) {
                let mut words = rule.split_whitespace().skip_while(|word| !matches!(*word, "jump" | "goto")).skip(1);
                match words.next() {
                    Some(next) if !names.contains(&next) => {
                        names.extend(chains.iter().map(|(_, _, open)| open.name.as_str()).find(|name| *name == next));
                    }
                    _ => {}
                }
                rules.push(rule.clone());
            }
        }
        rules
    };
    begins
        .filter_map(|(family, table, open)| {
            let (direction, drops_the_rest) = open.hook?;
            let rules = led_to(family, table, open);
            // These are iptables' own, and are kept with it.
            let iptables = family == "ip" && table == "filter" && matches!(open.name.as_str(), "INPUT" | "OUTPUT");
            let (tool, name) = match iptables {
                true if open.rules.iter().any(|rule| rule.contains("ufw-")) => (Tool::Ufw, open.name.clone()),
                true => (Tool::Iptables, open.name.clone()),
                false => (Tool::Nft, format!("{family} {table} {}", open.name)),
            };
            Some(Chain { tool, name, direction, drops_the_rest, rules })
        })
        .collect()
}

/// Reads what `iptables -S` prints.
#[must_use]
pub fn parse_iptables(text: &str) -> Vec<Chain> {
    let mut chains = Vec::new();
    for (name, direction) in [("INPUT", Direction::In), ("OUTPUT", Direction::Out)] {
        let policy = format!("-P {name} ");
        let Some(policy) = text.lines().find_map(|line| line.strip_prefix(&policy)) else { continue };
        let mut names = vec![name];
        let mut rules = Vec::new();
        let mut at = 0;
        while let Some(name) = names.get(at).copied() {
            at += 1;
            let mark = format!("-A {name} ");
            for line in text.lines().filter(|line| line.starts_with(&mark)) {
                let target = line.split_whitespace().skip_while(|word| !matches!(*word, "-j" | "-g")).nth(1);
                let own = text.lines().filter_map(|line| line.strip_prefix("-N ")).find(|own| Some(*own) == target);
                if let Some(own) = own.filter(|own| !names.contains(own)) {
                    names.push(own);
                }
                rules.push(line.to_owned());
            }
        }
        let tool = if rules.iter().any(|rule| rule.contains("ufw-")) { Tool::Ufw } else { Tool::Iptables };
        let drops_the_rest = matches!(policy.trim(), "DROP" | "REJECT");
        chains.push(Chain { tool, name: name.to_owned(), direction, drops_the_rest, rules });
    }
    chains
}

/// What a rule does to packets of a camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It lets them pass.
    Accepts,
    /// It drops them.
    Drops,
    /// It says nothing about them.
    None,
}

/// Packets of a camera.
#[derive(Clone, Copy, Debug, Default)]
struct Packets<'a> {
    /// Its address, if that is known.
    ip: Option<Ipv4Addr>,
    /// This host's interface that they pass, if that is known.
    interface: Option<&'a str>,
    /// They answer a broadcast, so they belong to no connection that the filter knows.
    unasked: bool,
}

impl Chain {
    /// What a rule does to packets of the camera's port.
    fn verdict(&self, rule: &str, packets: &Packets, port: u16) -> Verdict {
        let words: Vec<_> =
            rule.split(|c: char| c.is_whitespace() || ",{}".contains(c)).filter(|w| !w.is_empty()).collect();
        let is = |word: &str| words.contains(&word);
        let drops = is("drop") || is("reject") || is("DROP") || is("REJECT");
        let accepts = is("accept") || is("ACCEPT");
        if !drops && !accepts {
            return Verdict::None;
        }
        let (theirs, ours, address, interface) = match self.direction {
            Direction::In => (["sport", "--sport"], ["dport", "--dport"], ["saddr", "-s"], ["iifname", "-i"]),
            Direction::Out => (["dport", "--dport"], ["sport", "--sport"], ["daddr", "-d"], ["oifname", "-o"]),
        };
        let follows = |names: &[&str]| {
            let at = words.iter().position(|word| names.contains(word))?;
            Some(words[at + 1..].iter().copied())
        };
        // What no packet of a camera is; our end of a connection has any port.
        let never = ["invalid", "INVALID", "icmp", "icmpv6", "ip6"];
        let of_a_connection = is("established") || is("ESTABLISHED") || is("RELATED");
        let begins = self.direction == Direction::Out || packets.unasked;
        if never.into_iter().any(is) || follows(&ours).is_some() || (of_a_connection && accepts && begins) {
            return Verdict::None;
        }
        if let Some(mut values) = follows(&theirs)
            && !values.any(|value| names_port(value, port))
        {
            return Verdict::None;
        }
        if let Some(named) = follows(&interface).and_then(|mut values| values.next())
            && packets.interface.is_none_or(|interface| interface != named.trim_matches('"'))
        {
            return Verdict::None;
        }
        if let Some(named) = follows(&address).and_then(|mut values| values.next())
            && !packets.ip.is_some_and(|ip| network(named).is_some_and(|network| network.contains(ip)))
        {
            return Verdict::None;
        }
        if drops { Verdict::Drops } else { Verdict::Accepts }
    }

    /// Why packets of a camera do not pass, if they do not: the rule, or the policy. The first rule that says something
    /// about them counts, port by port.
    fn stops(&self, packets: &Packets, ports: &[u16]) -> Option<String> {
        ports.iter().find_map(|port| {
            let mut said = self.rules.iter().map(|rule| (rule, self.verdict(rule, packets, *port)));
            match said.find(|(_, verdict)| *verdict != Verdict::None) {
                Some((rule, Verdict::Drops)) => Some(format!("the rule `{rule}` of {}", self.name)),
                Some(_) => None,
                None => self.drops_the_rest.then(|| format!("{} drops what no rule lets pass", self.name)),
            }
        })
    }

    /// What lets a camera's packets pass, in front of all other rules.
    fn opening(&self, ip: Option<Ipv4Addr>, ports: &[u16]) -> Vec<String> {
        let (from, address, nft_address, side) = match self.direction {
            Direction::In => ("from", "-s", "saddr", "sport"),
            Direction::Out => ("to", "-d", "daddr", "dport"),
        };
        let name = &self.name;
        match (self.tool, ip) {
            (Tool::Ufw, Some(ip)) if self.direction == Direction::In => vec![format!("ufw insert 1 allow {from} {ip}")],
            (Tool::Ufw, Some(ip)) => {
                vec![format!("ufw insert 1 allow out {from} {ip}"), format!("ufw insert 1 allow out {PORT}/udp")]
            }
            (Tool::Nft, Some(ip)) => {
                let all = format!("nft insert rule {name} ip {nft_address} {ip} accept");
                // Broadcasts have no camera's address.
                let asking = format!("nft insert rule {name} udp dport {PORT} accept");
                std::iter::once(all).chain((self.direction == Direction::Out).then_some(asking)).collect()
            }
            (Tool::Iptables, Some(ip)) => {
                let all = format!("iptables -I {name} {address} {ip} -j ACCEPT");
                let asking = format!("iptables -I {name} -p udp --dport {PORT} -j ACCEPT");
                std::iter::once(all).chain((self.direction == Direction::Out).then_some(asking)).collect()
            }
            (_, None) => ports
                .iter()
                .map(|port| {
                    let protocol = if *port == PORT { "udp" } else { "tcp" };
                    match self.tool {
                        Tool::Nft => format!("nft insert rule {name} {protocol} {side} {port} accept"),
                        // ufw has no word for the port of the other side alone; its chains are iptables' own.
                        Tool::Iptables | Tool::Ufw => {
                            format!("iptables -I {name} -p {protocol} --{side} {port} -j ACCEPT")
                        }
                    }
                })
                .collect(),
        }
    }
}

/// `11491`, or a range that it is in: `11000-12000`, `11000:12000`.
fn names_port(word: &str, port: u16) -> bool {
    let number = |text: &str| text.parse::<u16>().ok();
    match word.split_once(['-', ':']) {
        Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| (from..=to).contains(&port)),
        None => number(word) == Some(port),
    }
}

/// `10.0.0.5`, `10.0.0.0/24`.
fn network(word: &str) -> Option<Subnet> {
    let (ip, prefix) = word.split_once('/').unwrap_or((word, "32"));
    Subnet::of(ip.parse().ok()?, prefix.parse().ok()?)
}

pub(super) fn judge(facts: &Facts, target: Option<&Target>) -> Vec<Finding> {
    let Firewall { chains, unreadable } = &facts.host.firewall;
    let subject = target.map_or("host", |target| target.name.as_str());
    let finding = |level, observed: String| Finding::new("firewall", subject, level, observed);
    let stream = target.map_or(&[][..], |target| &target.ports);
    let silent = |port: &Port| matches!(port, Port::Silence | Port::Unreachable(_));
    let open = stream.iter().any(|(_, port)| *port == Port::Open);
    // What does not answer is looked at; what answers passes, whatever the rules say.
    let answers = target.is_some_and(|target| target.by_unicast);
    let mut ports = Vec::new();
    if !answers {
        ports.push(PORT);
    }
    if !open {
        ports.extend(stream.iter().filter(|(_, port)| silent(port)).map(|(port, _)| *port));
    }
    let unheard = target.is_some_and(|target| target.by_unicast && !target.by_broadcast);
    if let Some(why) = unreadable {
        let hint = "the rules are read by root alone: `sudo oaktap doctor`";
        let finding = finding(Level::Skip, format!("the rules could not be read: {why}"));
        return vec![if ports.is_empty() && !unheard { finding } else { finding.hint(hint) }];
    }
    let ip = target.and_then(|target| target.ip);
    let interface = target.and_then(|target| target.way.interface.as_deref());
    let packets = Packets { ip, interface, unasked: false };
    let all: Vec<_> = [PORT, xlink::PORT].into_iter().chain(stream.iter().map(|(port, _)| *port)).collect();
    let stops = |packets: Packets, ports: &[u16]| {
        chains.iter().filter_map(|chain| Some((chain, chain.stops(&packets, ports)?))).collect::<Vec<_>>()
    };
    let mut guilty = stops(packets, &ports);
    if unheard || target.is_none() {
        // Each chain once.
        let mut more = stops(Packets { unasked: true, ..packets }, &[PORT]);
        more.retain(|(chain, _)| !guilty.iter().any(|(known, _)| known == chain));
        guilty.extend(more);
    }
    if let Some((_, why)) = guilty.first() {
        let level = if ports.is_empty() { Level::Warn } else { Level::Fail };
        let hint = if ports.is_empty() {
            "answers to broadcasts belong to no connection, so they are dropped: let the camera's packets pass"
        } else {
            "let the camera's packets pass; with an address that does not change the rule stays right"
        };
        let opening = guilty.iter().flat_map(|(chain, _)| chain.opening(ip, &all));
        return vec![finding(level, why.clone()).hint(hint).commands(opening)];
    }
    vec![match stops(packets, &[xlink::PORT]).first() {
        Some((chain, why)) => finding(Level::Warn, format!("{why}: TCP port {}, which flashing needs", xlink::PORT))
            .hint("it is needed to flash and to change settings")
            .commands(chain.opening(ip, &[xlink::PORT])),
        None if chains.is_empty() => finding(Level::Pass, "this host filters nothing".to_owned()),
        None => finding(Level::Pass, format!("{} chains filter, and let it pass", chains.len())),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NFT: &str = "\
table inet x { # handle 1
\tset blocked { # handle 9
\t\ttype ipv4_addr
\t\telements = { 1.2.3.4 }
\t}
\tchain input { # handle 1
\t\ttype filter hook input priority filter; policy drop;
\t\tct state established,related accept # handle 3
\t\tct state invalid drop
\t\tudp dport { 68, 5353 } accept
\t\tjump cameras # handle 5
\t}
\tchain cameras { # handle 2
\t\tudp sport 11491 drop # handle 2
\t}
\tchain forward {
\t\ttype filter hook forward priority filter; policy drop;
\t}
}
table ip filter {
\tchain INPUT {
\t\ttype filter hook input priority filter; policy accept;
\t\ttcp sport 11490 counter packets 0 bytes 0 drop
\t}
}
table ip6 filter {
\tchain INPUT {
\t\ttype filter hook input priority filter; policy drop;
\t}
}
";

    fn ip(text: &str) -> Option<Ipv4Addr> {
        Some(text.parse().expect("an address"))
    }

    /// What stops the answer of a camera to a broadcast.
    fn stops(chain: &Chain, ip: Option<Ipv4Addr>, port: u16) -> Option<String> {
        chain.stops(&Packets { ip, interface: None, unasked: true }, &[port])
    }

    #[test]
    fn the_rules_of_nft() {
        let chains = parse_nft(NFT);
        let [input, iptables] = chains.as_slice() else { panic!("{chains:#?}") };
        assert_eq!((input.tool, input.name.as_str(), input.drops_the_rest), (Tool::Nft, "inet x input", true));
        assert_eq!(input.rules.len(), 5, "{:?}", input.rules);
        assert_eq!(
            stops(input, ip("10.0.0.5"), PORT).as_deref(),
            Some("the rule `udp sport 11491 drop` of inet x input")
        );
        assert_eq!(stops(input, None, 5000).as_deref(), Some("inet x input drops what no rule lets pass"));
        let asked = Packets { ip: None, interface: Some("eth0"), unasked: false };
        assert_eq!(input.stops(&asked, &[5000, PORT]), None, "what belongs to a connection passes");
        let opening = input.opening(ip("10.0.0.5"), &[]);
        assert_eq!(opening, ["nft insert rule inet x input ip saddr 10.0.0.5 accept"]);
        assert_eq!((iptables.tool, iptables.name.as_str(), iptables.drops_the_rest), (Tool::Iptables, "INPUT", false));
        assert_eq!(stops(iptables, None, PORT), None);
        assert!(stops(iptables, None, xlink::PORT).is_some());
        assert_eq!(iptables.opening(None, &[PORT]), ["iptables -I INPUT -p udp --sport 11491 -j ACCEPT"]);
    }

    #[test]
    fn the_rules_of_iptables() {
        let text = "-P INPUT DROP\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N mine\n\
                    -A INPUT -i lo -j ACCEPT\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
                    -A INPUT -j mine\n-A mine -s 10.0.0.5/32 -j ACCEPT\n-A mine -s 10.0.1.0/24 -j DROP\n\
                    -A OUTPUT -p udp -m udp --dport 11491 -j REJECT --reject-with icmp-port-unreachable\n";
        let chains = parse_iptables(text);
        let [input, output] = chains.as_slice() else { panic!("{chains:#?}") };
        assert_eq!(stops(input, ip("10.0.0.5"), PORT), None);
        assert!(stops(input, ip("10.0.0.6"), PORT).is_some_and(|why| why.contains("drops what no rule")));
        let why = stops(input, ip("10.0.1.6"), PORT);
        assert_eq!(why.as_deref(), Some("the rule `-A mine -s 10.0.1.0/24 -j DROP` of INPUT"));
        assert!(stops(output, ip("10.0.0.5"), PORT).is_some());
        assert_eq!(stops(output, ip("10.0.0.5"), 5000), None);
        let opening = ["iptables -I OUTPUT -d 10.0.0.5 -j ACCEPT", "iptables -I OUTPUT -p udp --dport 11491 -j ACCEPT"];
        assert_eq!(output.opening(ip("10.0.0.5"), &[]), opening);
        assert_eq!(parse_iptables(""), []);
        let ufw = parse_iptables("-P INPUT DROP\n-A INPUT -j ufw-before-input\n-N ufw-before-input\n");
        assert_eq!(ufw[0].opening(ip("10.0.0.5"), &[]), ["ufw insert 1 allow from 10.0.0.5"]);
    }

    #[test]
    fn odd_texts_are_read_without_a_panic() {
        for text in ["}", "table", "table inet x {\nchain a {\n", "{{{{", "}}}}\nchain x {", "-A INPUT", "-P INPUT"] {
            let _ = (parse_nft(text), parse_iptables(text));
        }
        for cut in 0..NFT.len() {
            let _ = parse_nft(&NFT[..cut]);
        }
    }

    #[test]
    fn ports_and_ranges() {
        for (word, port, is) in
            [("11491", 11_491, true), ("11490-11491", 11_491, true), ("1:2", 3, false), ("x", 1, false)]
        {
            assert_eq!(names_port(word, port), is, "{word}");
        }
    }
}
