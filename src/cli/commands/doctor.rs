//! `oaktap doctor`: finds out why a camera is not found, not reachable or slow.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use oaktap::bootloader::Version;
use oaktap::doctor::observe::{self, ObserveOptions, observe};
use oaktap::doctor::{Facts, Finding, Level, judge, redact};
use oaktap::file;
use oaktap::flash::FlashTarget;
use oaktap::wire;
use serde::Serialize;

use crate::cli::bootloader_fleet::{BootloaderFleet, Effect, Turn};
use crate::cli::camera_arg::{CameraArg, SearchArgs, runtime};
use crate::cli::camera_session::EnterOptions;
use crate::cli::fleet::{FilePort, NamedCamera, configured_in, named_cameras};
use crate::cli::present::{self, camera_error, printable};
use crate::cli::{Ctx, Outcome, json_option, value_parsers};

const NOTES: &str = "\
Examples:
  oaktap doctor
  oaktap doctor 192.168.1.50
  oaktap doctor front=192.168.1.50 yard=192.168.1.51
  oaktap doctor --config oaktap.toml
  oaktap doctor 14442C --bundle report.json

The checks change nothing on the camera or on this host. Commands that solve a problem are printed, for you to run as \
root. `oaktap doctor` queries cameras, connects to the port of each stream and receives for a few seconds; a camera that \
serves one client at a time serves no other client meanwhile, unless --no-stream is given. Applications keep running, \
unless --enter-bootloader is given.

Reading firewall rules needs root; without it, that check is skipped.

Exit codes: 0 no check failed; 1 a check failed.";

#[derive(Args, Debug)]
#[command(after_help = NOTES, arg = json_option("Print all checks and observations as one line of JSON"))]
pub(crate) struct DoctorArgs {
    /// Addresses (IP, or IP:PORT of the stream), ids or starts of ids, or sim: for a simulated camera. NAME=CAMERA names a
    /// camera; with --config, a name of the file selects that camera [default: all cameras that reply]
    #[arg(value_name = "CAMERA")]
    cameras: Vec<String>,

    /// Use the cameras of this file, with their names
    #[arg(long, value_name = "oaktap.toml")]
    config: Option<PathBuf>,

    /// Do not connect to streams
    #[arg(long)]
    no_stream: bool,

    /// Ports on which to look for the stream, in this order
    #[arg(long, value_name = "PORT,...", value_delimiter = ',', default_values_t = wire::USUAL_PORTS,
          value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "no_stream")]
    ports: Vec<u16>,

    /// Receive each stream for this long
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = value_parsers::duration)]
    measure: Duration,

    /// Also read the bootloader version of each CAMERA. This stops its application and reboots it
    #[arg(long, requires = "cameras")]
    enter_bootloader: bool,

    /// Write all observations to a new file that can be attached to a bug report. Ids, hardware addresses and public
    /// addresses are redacted
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,

    #[command(flatten)]
    options: EnterOptions,
}

#[derive(Serialize)]
struct DoctorReport<'a> {
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

pub(crate) fn run(ctx: &Ctx, args: &DoctorArgs) -> anyhow::Result<Outcome> {
    let configured = configured_in(args.config.as_deref())?;
    let cameras = named_cameras(&args.cameras, &configured, FilePort::Keep)?;
    let mut facts = runtime()?.block_on(look(args, &cameras))?;
    // Last, because it stops the application that the other checks observe.
    if args.enter_bootloader {
        // A port belongs to the stream, not to the bootloader.
        let fleet = BootloaderFleet::of(cameras.into_iter().map(without_port).collect(), args.options.clone())?;
        let effect = Effect::reading("reading the bootloader version");
        let versions = fleet.each(ctx, &effect, |turn| Ok((turn.located.ip, version(ctx, turn)?)))?;
        for target in &mut facts.targets {
            let version = versions.iter().find(|(ip, _)| target.ip == Some(*ip));
            target.bootloader = version.map(|(_, version)| *version);
        }
    }
    let findings = judge(&facts);
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let report = DoctorReport {
        command: ctx.command,
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
        bundle(path, &report)?;
        present::say(&format!("the report is in {}; check it before you publish it", path.display()));
    }
    if ctx.json {
        present::document(&report)?;
    } else {
        present::result(printable(&text(&findings)).as_bytes())?;
    }
    match report.failed {
        0 => Ok(Outcome::Done),
        failed => Err(anyhow::anyhow!("{failed} of {} checks failed", findings.len())),
    }
}

fn without_port(camera: NamedCamera) -> NamedCamera {
    match camera.camera {
        CameraArg::Address { ip, .. } => NamedCamera { camera: CameraArg::Address { ip, port: None }, ..camera },
        _ => camera,
    }
}

async fn look(args: &DoctorArgs, cameras: &[NamedCamera]) -> anyhow::Result<Facts> {
    let mut named = Vec::new();
    for NamedCamera { name, camera } in cameras {
        named.push(match camera {
            CameraArg::Address { ip, port } => {
                let port = port.filter(|_| !args.no_stream);
                observe::NamedCamera { name: name.clone().unwrap_or_else(|| ip.to_string()), ip: *ip, port }
            }
            id => {
                let located = id.locate(&args.options.search).await?;
                let id = located.camera.map(|camera| camera.id);
                let name = name.clone().or(id).unwrap_or_else(|| located.ip.to_string());
                observe::NamedCamera { name, ip: located.ip, port: None }
            }
        });
    }
    if named.len() > 1 {
        present::say(&format!("checking {} cameras", named.len()));
    }
    let ports = if args.no_stream { Vec::new() } else { args.ports.clone() };
    let SearchArgs { subnet, wait, udp_port } = args.options.search.clone();
    let options = ObserveOptions { cameras: named, subnets: subnet, wait, udp_port, ports, measure: args.measure };
    Ok(observe(&options).await?)
}

fn version(ctx: &Ctx, turn: &Turn<'_>) -> anyhow::Result<Version> {
    runtime()?.block_on(async {
        let entered = turn.enter(ctx).await?;
        let target = entered.talk(|caller| async move { FlashTarget::ask(&caller).await }).await?;
        Ok(target.map_err(camera_error)?.bootloader.version)
    })
}

/// Formats one line per check, grouped by subject, with the commands that solve a problem below.
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

fn bundle(path: &Path, report: &DoctorReport) -> anyhow::Result<()> {
    let what = || format!("cannot write the report to {}", path.display());
    let mut names: Vec<_> = report.facts.seen.iter().map(|camera| camera.id.as_str()).collect();
    names.extend(report.facts.targets.iter().filter(|target| target.camera.is_some()).map(|t| t.name.as_str()));
    // Addresses are redacted by their own rule.
    names.retain(|name| name.parse::<std::net::IpAddr>().is_err());
    let text = redact(&serde_json::to_string_pretty(report)?, &names);
    file::write_new(path, (text + "\n").as_bytes()).with_context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_grouped_by_subject() {
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
