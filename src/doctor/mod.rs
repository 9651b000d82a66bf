//! The troubleshooting list as checks: each looks at what was observed, judges it, and says what mends it.
//!
//! Pure: [`Facts`] go in, [`Finding`]s come out. `observe` gathers the facts. Nothing is changed anywhere: what mends
//! something is a command that is shown, and that the user runs.

mod camera;
pub mod facts;
pub mod firewall;
mod host;
mod link_budget;
#[cfg(feature = "net")]
pub mod observe;
mod path;
mod redact;
mod stream;

pub use facts::Facts;
pub use link_budget::{Budget, carries_mbit_s};
pub use redact::redact;

use std::fmt;

use serde::Serialize;

/// Where a camera is that found no DHCP server, and an address for a host to reach it (PoE guide, "DHCP and Static IP").
pub const FALLBACK: std::net::Ipv4Addr = std::net::Ipv4Addr::new(169, 254, 1, 222);
const FALLBACK_HOST: &str = "169.254.1.10/16";

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// It could not be judged.
    Skip,
    /// It is as it should be.
    Pass,
    /// It works, and could be better or break.
    Warn,
    /// It is why something does not work.
    Fail,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Skip => "SKIP",
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        })
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's name, which does not change.
    pub check: &'static str,
    /// Of what: an interface, a camera, or this host.
    pub subject: String,
    /// The judgement.
    pub level: Level,
    /// What was observed.
    pub observed: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Commands that mend it, for root on this host, one after the other.
    pub commands: Vec<String>,
}

impl Finding {
    fn new(check: &'static str, subject: &str, level: Level, observed: impl Into<String>) -> Self {
        Self { check, subject: subject.to_owned(), level, observed: observed.into(), hint: None, commands: Vec::new() }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn commands(mut self, commands: impl IntoIterator<Item = String>) -> Self {
        self.commands.extend(commands);
        self
    }
}

/// Runs all checks.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = host::judge(facts);
    if facts.targets.is_empty() {
        findings.push(camera::nobody(facts));
        findings.extend(firewall::judge(facts, None));
    }
    for target in &facts.targets {
        findings.extend(path::judge(facts, target));
        findings.extend(camera::judge(facts, target));
        findings.extend(firewall::judge(facts, Some(target)));
        findings.extend(stream::judge(facts, target));
    }
    findings
}

#[cfg(test)]
mod tests;
