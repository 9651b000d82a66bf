//! The troubleshooting list as checks: each check judges the observed facts and suggests a fix.
//!
//! The checks are pure: [`Facts`] in, [`Finding`]s out. `observe` gathers the facts. Nothing is changed on this host or
//! on a camera: a fix is a command that is shown to the user.

mod camera;
pub mod facts;
mod firewall;
mod host;
mod link_budget;
#[cfg(feature = "net")]
pub mod observe;
mod path;
mod redact;
pub mod rules;
mod stream;
mod url;

pub use facts::Facts;
use facts::{CheckedCamera, NotRun};
pub use link_budget::{LinkBudget, tcp_capacity_mbit_s};
pub use redact::{Identifying, host_name, redact};

use std::fmt;

use serde::Serialize;

/// An address, with its prefix, for a host that must reach the cameras' fallback address (PoE guide, "DHCP and Static
/// IP").
const HOST_ADDRESS_FOR_FALLBACK: &str = "169.254.1.10/16";

/// The result of a check, from harmless to severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// The facts needed for this check are missing.
    Skip,
    /// No problem found.
    Pass,
    /// The camera works, but could work better or may fail later.
    Warn,
    /// This prevents the camera from working.
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

/// The outcome of one check for one subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of the check. Stable, because scripts match on it.
    pub check: &'static str,
    /// The name of an interface or a camera, or `host`.
    pub subject: String,
    /// The judgement.
    pub level: Level,
    /// The observation in one line. Names the expected value if the check did not pass.
    pub observed: String,
    /// Advice in words.
    pub hint: Option<String>,
    /// Commands that fix the problem, to be run as root on this host, in this order.
    pub commands: Vec<String>,
}

impl Finding {
    fn new(check: &'static str, subject: &str, level: Level, observed: impl Into<String>) -> Self {
        Self { check, subject: subject.to_owned(), level, observed: observed.into(), hint: None, commands: Vec::new() }
    }

    /// Returns the finding of a check that did not run, because the user stopped.
    #[must_use]
    pub fn stopped(check: &'static str, subject: &str) -> Self {
        Self::new(check, subject, Level::Skip, "stopped")
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
        findings.push(match facts.stopped {
            true => Finding::stopped("discovery", "host"),
            false => camera::none_found(facts),
        });
        findings.extend(firewall::judge(facts, None));
    }
    for target in &facts.targets {
        if target.not_run == Some(NotRun::Search) {
            findings.extend(not_run(target, if target.source.is_some() { &OF_URL[..] } else { &OF_CAMERA }));
            continue;
        }
        if target.source.is_some() {
            findings.extend(url::judge(target));
        }
        findings.extend(path::judge(facts, target));
        if target.source.is_none() {
            findings.extend(camera::judge(facts, target));
            findings.extend(firewall::judge(facts, Some(target)));
        }
        match target.not_run {
            Some(NotRun::Ports) => findings.extend(not_run(target, &OF_STREAM)),
            _ => findings.extend(stream::judge(facts, target)),
        }
        if target.not_run == Some(NotRun::Stream) {
            findings.extend(not_run(target, &OF_STREAM[1..]));
        }
    }
    findings
}

/// The checks of a camera, in their order.
const OF_CAMERA: [&str; 8] =
    ["route", "address", "discovery", "state", "firewall", OF_STREAM[0], OF_STREAM[1], OF_STREAM[2]];
const OF_URL: [&str; 6] = ["host-name", "route", "address", OF_STREAM[0], OF_STREAM[1], OF_STREAM[2]];
const OF_STREAM: [&str; 3] = ["stream-port", "stream", "budget"];

fn not_run(target: &CheckedCamera, checks: &[&'static str]) -> impl Iterator<Item = Finding> {
    checks.iter().map(move |check| Finding::stopped(check, &target.name))
}

#[cfg(test)]
mod tests;
