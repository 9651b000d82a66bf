//! Checks of a stream that the user named by a URL: its host name, and the checks that do not apply to it.

use super::facts::CheckedCamera;
use super::{Finding, Level};

pub(super) fn judge(target: &CheckedCamera) -> Vec<Finding> {
    let finding = |check, level, observed: String| Finding::new(check, &target.name, level, observed);
    let mut findings = Vec::new();
    match (&target.unresolved, target.ip) {
        (Some(error), _) => {
            let observed = format!("the host of {} is not found: {error}", source(target));
            let hint = "give its IP address: cameras do not announce a host name";
            findings.push(finding("host-name", Level::Fail, observed).hint(hint));
        }
        (None, Some(ip)) if !source(target).contains(&ip.to_string()) => {
            findings.push(finding("host-name", Level::Pass, format!("{} is at {ip}", source(target))));
        }
        (None, _) => {}
    }
    let ip = target.ip.map_or_else(|| "IP".to_owned(), |ip| ip.to_string());
    let why = match target.is_simulated() {
        true => "only the stream of a simulated camera is checked: it has no bootloader".to_owned(),
        false => format!("only the stream of a URL is checked; `oaktap doctor {ip}` checks a camera itself"),
    };
    findings.push(finding("discovery", Level::Skip, why));
    findings
}

fn source(target: &CheckedCamera) -> &str {
    target.source.as_deref().unwrap_or(&target.name)
}
