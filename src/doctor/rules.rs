//! Parses the rule listings of `nft` and `iptables`.

use serde::Serialize;

/// The packet filter of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FirewallRules {
    /// The chains that packets from and to this host traverse.
    pub chains: Vec<Chain>,
    /// The reason why the rules could not be read.
    pub unreadable: Option<String>,
}

/// The direction of the packets that traverse a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Packets to this host.
    In,
    /// Packets from this host.
    Out,
}

/// The tool that manages a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirewallTool {
    /// `nft`.
    Nft,
    /// `iptables`.
    Iptables,
    /// `ufw`, a front end whose chains are those of iptables.
    Ufw,
}

/// A base chain, with the rules of the chains that it jumps to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// The tool that manages the chain.
    pub tool: FirewallTool,
    /// The name in the tool's syntax: `inet filter input`, `INPUT`.
    pub name: String,
    /// The direction of its packets.
    pub direction: Direction,
    /// The default policy drops or rejects packets that no rule matches.
    pub drops_the_rest: bool,
    /// The rules as listed, in order.
    pub rules: Vec<String>,
}

/// Parses the output of `nft list ruleset`. Returns the IPv4 input and output chains.
#[must_use]
pub fn parse_nft(text: &str) -> Vec<Chain> {
    let chains = nft_chains(text);
    chains
        .iter()
        .filter(|chain| matches!(chain.family, "ip" | "inet"))
        .filter_map(|chain| {
            let (direction, drops_the_rest) = chain.hook?;
            let (tool, name) = chain.tool_and_name();
            Some(Chain { tool, name, direction, drops_the_rest, rules: nft_rules(&chains, chain) })
        })
        .collect()
}

/// A chain in the listing of `nft`.
struct NftChain<'a> {
    family: &'a str,
    table: &'a str,
    name: &'a str,
    /// The direction of a base chain, and `true` if its policy is to drop.
    hook: Option<(Direction, bool)>,
    rules: Vec<&'a str>,
}

impl<'a> NftChain<'a> {
    /// Adds a line from between the chain's braces.
    fn add(&mut self, line: &'a str, words: &[&str]) {
        if let ["type", "filter", "hook", hook, ..] = words {
            let direction = match *hook {
                "input" => Some(Direction::In),
                "output" => Some(Direction::Out),
                _ => None,
            };
            self.hook = direction.map(|direction| (direction, line.contains("policy drop")));
        } else {
            self.rules.push(line.split(" # handle").next().unwrap_or(line));
        }
    }

    fn tool_and_name(&self) -> (FirewallTool, String) {
        // `iptables-nft` keeps its rules in these chains; they have to be changed with iptables or ufw.
        let iptables = self.family == "ip" && self.table == "filter" && matches!(self.name, "INPUT" | "OUTPUT");
        match iptables {
            true => (iptables_or_ufw(&self.rules), self.name.to_owned()),
            false => (FirewallTool::Nft, format!("{} {} {}", self.family, self.table, self.name)),
        }
    }
}

fn nft_chains(text: &str) -> Vec<NftChain<'_>> {
    let mut table = None;
    let mut chains: Vec<NftChain<'_>> = Vec::new();
    let mut in_chain = false;
    let mut depth = 0_i32;
    for line in text.lines().map(str::trim) {
        let words: Vec<_> = line.split_whitespace().collect();
        match (words.as_slice(), depth) {
            (["table", family, name, ..], 0) => table = Some((*family, *name)),
            (["chain", name, ..], 1) => {
                if let Some((family, table)) = table {
                    chains.push(NftChain { family, table, name, hook: None, rules: Vec::new() });
                    in_chain = true;
                }
            }
            ([] | ["}"], _) => {}
            _ if in_chain && depth == 2 => {
                if let Some(chain) = chains.last_mut() {
                    chain.add(line, &words);
                }
            }
            _ => {}
        }
        depth += line.matches('{').count() as i32 - line.matches('}').count() as i32;
        in_chain &= depth >= 2 || line.ends_with('{');
    }
    chains
}

fn nft_rules(chains: &[NftChain<'_>], start: &NftChain<'_>) -> Vec<String> {
    let in_table = |chain: &&NftChain<'_>| chain.family == start.family && chain.table == start.table;
    reachable_rules(
        start.name,
        |name| {
            let chain = chains.iter().filter(in_table).find(|chain| chain.name == name);
            chain.map_or_else(Vec::new, |chain| chain.rules.clone())
        },
        |rule| {
            let target = rule.split_whitespace().skip_while(|word| !matches!(*word, "jump" | "goto")).nth(1)?;
            chains.iter().map(|chain| chain.name).find(|name| *name == target)
        },
    )
}

/// Parses the output of `iptables -S`. Returns the chains `INPUT` and `OUTPUT`.
#[must_use]
pub fn parse_iptables(text: &str) -> Vec<Chain> {
    let mut chains = Vec::new();
    for (name, direction) in [("INPUT", Direction::In), ("OUTPUT", Direction::Out)] {
        let policy = format!("-P {name} ");
        let Some(policy) = text.lines().find_map(|line| line.strip_prefix(&policy)) else { continue };
        let rules = iptables_rules(text, name);
        let tool = iptables_or_ufw(&rules);
        let drops_the_rest = matches!(policy.trim(), "DROP" | "REJECT");
        chains.push(Chain { tool, name: name.to_owned(), direction, drops_the_rest, rules });
    }
    chains
}

fn iptables_rules(text: &str, start: &str) -> Vec<String> {
    reachable_rules(
        start,
        |name| {
            let prefix = format!("-A {name} ");
            text.lines().filter(|line| line.starts_with(&prefix)).collect()
        },
        |rule| {
            let target = rule.split_whitespace().skip_while(|word| !matches!(*word, "-j" | "-g")).nth(1)?;
            text.lines().filter_map(|line| line.strip_prefix("-N ")).find(|name| *name == target)
        },
    )
}

fn iptables_or_ufw(rules: &[impl AsRef<str>]) -> FirewallTool {
    match rules.iter().any(|rule| rule.as_ref().contains("ufw-")) {
        true => FirewallTool::Ufw,
        false => FirewallTool::Iptables,
    }
}

/// Returns the rules of the chain `start` and of every chain reached from it by jumps. Each chain is included once.
fn reachable_rules<'a>(
    start: &'a str,
    rules_of: impl Fn(&str) -> Vec<&'a str>,
    jump_target: impl Fn(&str) -> Option<&'a str>,
) -> Vec<String> {
    let mut rules = Vec::new();
    let mut names = vec![start];
    let mut next = 0;
    while let Some(name) = names.get(next).copied() {
        next += 1;
        for rule in rules_of(name) {
            if let Some(target) = jump_target(rule).filter(|target| !names.contains(target)) {
                names.push(target);
            }
            rules.push(rule.to_owned());
        }
    }
    rules
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::doctor) const NFT: &str = "\
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

    pub(in crate::doctor) const IPTABLES: &str = "\
-P INPUT DROP
-P FORWARD DROP
-P OUTPUT ACCEPT
-N mine
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -j mine
-A mine -s 10.0.0.5/32 -j ACCEPT
-A mine -s 10.0.1.0/24 -j DROP
-A OUTPUT -p udp -m udp --dport 11491 -j REJECT --reject-with icmp-port-unreachable
";

    #[test]
    fn nft_listing_is_parsed_into_base_chains() {
        let chains = parse_nft(NFT);
        let [input, iptables] = chains.as_slice() else { panic!("{chains:#?}") };
        assert_eq!((input.tool, input.name.as_str(), input.drops_the_rest), (FirewallTool::Nft, "inet x input", true));
        let rules = [
            "ct state established,related accept",
            "ct state invalid drop",
            "udp dport { 68, 5353 } accept",
            "jump cameras",
            "udp sport 11491 drop",
        ];
        assert_eq!(input.rules, rules);
        let found = (iptables.tool, iptables.name.as_str(), iptables.drops_the_rest);
        assert_eq!(found, (FirewallTool::Iptables, "INPUT", false));
    }

    #[test]
    fn iptables_listing_is_parsed_into_input_and_output() {
        let chains = parse_iptables(IPTABLES);
        let [input, output] = chains.as_slice() else { panic!("{chains:#?}") };
        assert_eq!((input.direction, input.drops_the_rest, input.rules.len()), (Direction::In, true, 5));
        assert_eq!((output.direction, output.drops_the_rest, output.rules.len()), (Direction::Out, false, 1));
        assert_eq!(parse_iptables(""), []);
        let ufw = parse_iptables("-P INPUT DROP\n-A INPUT -j ufw-before-input\n-N ufw-before-input\n");
        assert_eq!(ufw[0].tool, FirewallTool::Ufw);
    }

    #[test]
    fn malformed_listings_do_not_panic() {
        for text in ["}", "table", "table inet x {\nchain a {\n", "{{{{", "}}}}\nchain x {", "-A INPUT", "-P INPUT"] {
            let _ = (parse_nft(text), parse_iptables(text));
        }
        for cut in 0..NFT.len() {
            let _ = parse_nft(&NFT[..cut]);
        }
    }
}
