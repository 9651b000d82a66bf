//! `oaktap doctor`: why a camera is not found, not reached, or slow, and what mends it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use oaktap::bootloader::Version;
use oaktap::discovery::Camera;
use oaktap::doctor::observe::{Look, Wanted, observe};
use oaktap::doctor::{Facts, Finding, Level, judge, redact};
use oaktap::flash::FlashTarget;
use serde::Serialize;

use super::camera::{CAMERA, CameraArg, SearchArgs, runtime};
use super::enter::{How, camera_error};
use super::present::{self, printable};
use super::{Ctx, Outcome, values};

const NOTES: &str = "\
It changes nothing, on the camera or here: commands that mend something are printed, and are yours to run (as root). It \
asks cameras who they are, connects to the port of the stream and receives for a moment. A camera that serves one client \
at a time serves this one meanwhile; --no-stream leaves streams alone. The bootloader is not touched, unless \
--enter-bootloader asks it for its version: that stops the application, and starts it again.

Firewall rules are read by root alone: without, this check says so.

Exit codes: 0 nothing failed, 1 something did.";

#[derive(Args, Debug)]
#[command(after_help = NOTES)]
pub(crate) struct DoctorArgs {
    /// The camera: its address, with the port of its stream if that is an unusual one, or its id, or the beginning of
    /// one; all that answer by default
    #[arg(value_name = CAMERA)]
    camera: Option<CameraArg>,

    /// Do not connect to streams
    #[arg(long)]
    no_stream: bool,

    /// Ports at which the stream may be, in this order
    #[arg(long, value_name = "PORT,...", value_delimiter = ',', default_value = "5000,9876,8080",
          value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "no_stream")]
    ports: Vec<u16>,

    /// How long to measure each stream
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = values::duration)]
    measure: Duration,

    /// Ask the bootloader of CAMERA for its version too. The application stops for that, and the camera starts anew
    #[arg(long, requires = "camera")]
    enter_bootloader: bool,

    /// Write everything that was observed into a new file, to be attached to a report. Ids, hardware addresses and
    /// public addresses are left out of it
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,

    #[command(flatten)]
    how: How,
}

#[derive(Serialize)]
struct Document<'a> {
    command: &'static str,
    version: &'static str,
    system: &'static str,
    machine: &'static str,
    passed: usize,
    warned: usize,
    failed: usize,
    checks: &'a [Finding],
    facts: &'a Facts,
}

/// Looks, judges, and tells.
pub(crate) fn run(ctx: &Ctx, args: &DoctorArgs) -> anyhow::Result<Outcome> {
    let runtime = runtime()?;
    let facts = runtime.block_on(look(args))?;
    let findings = judge(&facts);
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let document = Document {
        command: "doctor",
        version: env!("CARGO_PKG_VERSION"),
        system: std::env::consts::OS,
        machine: std::env::consts::ARCH,
        passed: count(Level::Pass),
        warned: count(Level::Warn),
        failed: count(Level::Fail),
        checks: &findings,
        facts: &facts,
    };
    if let Some(path) = &args.bundle {
        bundle(path, &document)?;
        present::say(&format!("the report is in {}; look at it before you publish it", path.display()));
    }
    if ctx.json {
        present::document(&document)?;
    } else {
        present::result(printable(&text(&findings)).as_bytes())?;
    }
    match document.failed {
        0 => Ok(Outcome::Done),
        failed => Err(anyhow::anyhow!("{failed} of {} checks failed", findings.len())),
    }
}

async fn look(args: &DoctorArgs) -> anyhow::Result<Facts> {
    let mut ports = if args.no_stream { Vec::new() } else { args.ports.clone() };
    let camera = match &args.camera {
        None => None,
        Some(CameraArg::Address { ip, port }) => {
            if let (Some(port), false) = (port, args.no_stream) {
                ports = vec![*port];
            }
            Some(Wanted { name: ip.to_string(), ip: *ip })
        }
        Some(id) => {
            let located = id.locate(&args.how.search).await?;
            let name = located.camera.map_or_else(|| located.ip.to_string(), |Camera { id, .. }| id);
            Some(Wanted { name, ip: located.ip })
        }
    };
    let SearchArgs { subnet, wait, udp_port } = args.how.search.clone();
    let look = Look { camera, subnets: subnet, wait, udp_port, ports, measure: args.measure };
    let mut facts = observe(&look).await?;
    // At the end: it stops what was looked at.
    if let (true, Some(camera)) = (args.enter_bootloader, &args.camera) {
        let version = version(args, camera).await?;
        facts.targets.iter_mut().for_each(|target| target.bootloader = Some(version));
    }
    Ok(facts)
}

async fn version(args: &DoctorArgs, camera: &CameraArg) -> anyhow::Result<Version> {
    let camera = match camera {
        // The port was that of the stream.
        CameraArg::Address { ip, .. } => CameraArg::Address { ip: *ip, port: None },
        other => other.clone(),
    };
    let entered = args.how.enter(&camera, "to tell its version, a camera enters its bootloader").await?;
    let target = entered.talk(|caller| async move { FlashTarget::ask(&caller).await }).await?.map_err(camera_error)?;
    Ok(target.bootloader.version)
}

/// One line for each check, those of one subject together; what mends it below.
fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut subjects: Vec<&str> = Vec::new();
    for finding in findings {
        if !subjects.contains(&finding.subject.as_str()) {
            subjects.push(&finding.subject);
        }
    }
    let mut text = String::new();
    for subject in subjects {
        text.push_str(&format!("{subject}\n"));
        for finding in findings.iter().filter(|finding| finding.subject == subject) {
            let Finding { check, level, observed, hint, commands, .. } = finding;
            text.push_str(&format!("  {level}  {check:<width$}  {observed}\n"));
            if *level != Level::Fail && *level != Level::Warn {
                continue;
            }
            let indent = " ".repeat(width + 10);
            if let Some(hint) = hint {
                text.push_str(&format!("{indent}{hint}\n"));
            }
            for command in commands {
                text.push_str(&format!("{indent}$ {command}\n"));
            }
        }
    }
    text
}

fn bundle(path: &Path, document: &Document) -> anyhow::Result<()> {
    let what = || format!("the report cannot be written to {}", path.display());
    let mut names: Vec<_> = document.facts.seen.iter().map(|camera| camera.id.as_str()).collect();
    names.extend(document.facts.targets.iter().filter(|target| target.camera.is_some()).map(|t| t.name.as_str()));
    // A camera that was named by its address keeps it: that is redacted like every other address.
    names.retain(|name| name.parse::<std::net::IpAddr>().is_err());
    let text = redact(&serde_json::to_string_pretty(document)?, &names);
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).with_context(what)?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).with_context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_of_one_subject_stand_together() {
        let finding = |check, subject: &str, level| Finding {
            check,
            subject: subject.to_owned(),
            level,
            observed: "seen".to_owned(),
            hint: Some("do that".to_owned()),
            commands: vec!["so".to_owned()],
        };
        let findings = [
            finding("mtu", "eth0", Level::Pass),
            finding("state", "cam", Level::Fail),
            finding("x", "eth0", Level::Skip),
        ];
        assert_eq!(
            text(&findings),
            "eth0\n  PASS  mtu    seen\n  SKIP  x      seen\ncam\n  FAIL  state  seen\n               do that\n               $ so\n"
        );
    }
}
