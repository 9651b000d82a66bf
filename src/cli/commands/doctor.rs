//! `oaktap doctor`: finds out why a camera is not found, not reachable or slow.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use oaktap::bootloader::Version;
use oaktap::doctor::facts::{CheckedCamera, NotRun};
use oaktap::doctor::observe::{self, ObserveOptions, observe};
use oaktap::doctor::{Facts, Finding, Identifying, Level, host_name, judge, redact};
use oaktap::file;
use oaktap::flash::FlashTarget;
use oaktap::net::discovery::{Survey, Targets, find};
use oaktap::source::NamedSource;
use oaktap::wire;
use serde::Serialize;

use crate::cli::bootloader_fleet::{BootloaderFleet, Turn};
use crate::cli::camera_arg::{CameraArg, SearchArgs, choose, runtime};
use crate::cli::camera_ends::CameraResult;
use crate::cli::camera_session::{EnterOptions, unless_stopped};
use crate::cli::effect::Effect;
use crate::cli::fleet::{NamedCamera, cameras_and_streams, configured_in};
use crate::cli::present::{self, Usage, advised, camera_error, printable};
use crate::cli::{Ctx, Outcome, json_option, new_files, value_parsers};

impl CameraResult for (std::net::Ipv4Addr, Version) {}

const NOTES: &str = "\
Examples:
  oaktap doctor
  oaktap doctor 192.168.1.50
  oaktap doctor front=192.168.1.50 yard=192.168.1.51
  oaktap doctor --config oaktap.toml
  oaktap doctor http://192.168.1.50:8080/
  oaktap doctor 14442C --bundle report.json

The checks change nothing on the camera or on this host. Commands that solve a problem are printed, for you to run as \
root. `oaktap doctor` queries cameras, connects to the port of each stream and receives for a few seconds; a camera that \
serves one client at a time serves no other client meanwhile, unless --no-stream is given. Applications keep running, \
unless --enter-bootloader is given.

Reading firewall rules needs root; without it, that check is skipped.

Several cameras are summarized: a line for each healthy one, and the warnings and failures of the others. -v shows every check.

Ctrl-C ends the checks: `oaktap doctor` then prints what it found, and the checks that did not run as skipped.

Exit codes: 0 no check failed; 1 a check failed, or the checks were stopped.";

#[derive(Args, Debug)]
#[command(after_help = NOTES, arg = json_option("Print all checks and observations as one line of JSON"))]
pub(crate) struct DoctorArgs {
    /// Addresses (IP, or IP:PORT of the stream), ids or starts of ids, or sim: for a simulated camera. Of a stream named by a
    /// URL (http://HOST/PATH, listen://:PORT, http-post://:PORT/PATH), the path and the stream are checked. NAME=CAMERA names a
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

    /// Write all observations to a new file that can be attached to a bug report. Ids, hardware addresses, public
    /// addresses, and the hosts and users of URLs are redacted
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
    // Before the checks, which take minutes for many cameras.
    args.bundle.as_deref().map(new_files::check_file).transpose()?;
    let configured = configured_in(args.config.as_deref())?;
    let (cameras, streams) = cameras_and_streams(&args.cameras, &configured)?;
    if args.enter_bootloader && cameras.is_empty() {
        let error = Usage("--enter-bootloader requires a camera, but only URLs of streams are given".to_owned());
        return Err(advised(error.into(), "give the address or the id of the camera too"));
    }
    ctx.stop.on_signals()?;
    let mut facts = runtime()?.block_on(look(ctx, args, &cameras, &streams))?;
    let mut stopped = None;
    // Last, because it stops the application that the other checks observe.
    if args.enter_bootloader && !facts.stopped {
        // A port belongs to the stream, not to the bootloader.
        let fleet = BootloaderFleet::of(cameras.into_iter().map(without_port).collect(), args.options.clone())?;
        let effect = Effect::querying("reading the bootloader version");
        let versions = match fleet.each(ctx, &effect, |turn| Ok((turn.located.ip, version(ctx, turn)?))) {
            Err(error) if ctx.stop.asked() => {
                stopped = Some(error);
                Vec::new()
            }
            versions => versions?,
        };
        for target in &mut facts.targets {
            let version = versions.iter().find(|(ip, _)| target.ip == Some(*ip));
            target.bootloader = version.map(|(_, version)| *version);
        }
    }
    let mut findings = judge(&facts);
    if args.enter_bootloader && (facts.stopped || stopped.is_some()) {
        let cameras = facts.targets.iter().filter(|target| target.source.is_none() && target.bootloader.is_none());
        findings.extend(cameras.map(|target| Finding::stopped("bootloader", &target.name)));
    }
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
        let targets = &facts.targets;
        let text = if targets.len() < 2 || tracing::enabled!(tracing::Level::INFO) {
            every_check(&findings)
        } else {
            summary(&findings, targets)
        };
        present::result(printable(&text).as_bytes())?;
    }
    if let Some(error) = stopped {
        return Err(error);
    }
    if facts.stopped {
        return Err(present::stopped("stopped before all checks had run"));
    }
    match report.failed {
        0 => Ok(Outcome::Done),
        failed => Err(anyhow::anyhow!("{failed} of {} checks failed", findings.len())),
    }
}

fn without_port(camera: NamedCamera) -> NamedCamera {
    NamedCamera { camera: camera.camera.without_port(), ..camera }
}

/// Returns the facts of a search that the user stopped before a camera was checked.
fn nothing_found(cameras: &[NamedCamera], streams: &[observe::NamedStream]) -> Facts {
    let not_run = Some(NotRun::Search);
    let camera = |NamedCamera { name, camera, .. }: &NamedCamera| {
        let name = name.clone().unwrap_or_else(|| camera.clone().without_port().to_string());
        CheckedCamera { name, not_run, ..CheckedCamera::default() }
    };
    let stream = |observe::NamedStream { name, source }: &observe::NamedStream| CheckedCamera {
        name: name.clone(),
        source: Some(source.to_string()),
        not_run,
        ..CheckedCamera::default()
    };
    let targets = cameras.iter().map(camera).chain(streams.iter().map(stream)).collect();
    Facts { host: observe::host(), targets, stopped: true, ..Facts::default() }
}

async fn look(ctx: &Ctx, args: &DoctorArgs, cameras: &[NamedCamera], streams: &[NamedSource]) -> anyhow::Result<Facts> {
    let unsearched = || "stopped".to_owned();
    let stream = |NamedSource { name, spec }: &NamedSource| observe::NamedStream {
        name: name.clone().unwrap_or_else(|| spec.to_string()),
        source: spec.clone(),
    };
    let streams: Vec<_> = streams.iter().map(stream).collect();
    let SearchArgs { subnet, wait, udp_port } = args.options.search.clone();
    // One search for all ids.
    let by_id = cameras.iter().any(|camera| matches!(camera.camera, CameraArg::Id(_)));
    let targets = Targets { subnets: subnet.clone(), port: udp_port, ..Targets::default() };
    let search = async { if by_id { find(&targets, wait, |_| false).await } else { Ok(Survey::default()) } };
    let Ok(survey) = unless_stopped(&ctx.stop, search, unsearched).await else {
        return Ok(nothing_found(cameras, &streams));
    };
    let survey = survey?;
    let (mut named, mut absent) = (Vec::new(), Vec::new());
    for NamedCamera { name, camera, .. } in cameras {
        let located = match camera.resolved() {
            Ok(CameraArg::Address { ip, port }) => {
                let port = port.filter(|_| !args.no_stream);
                let name = name.clone().unwrap_or_else(|| camera.clone().without_port().to_string());
                named.push(observe::NamedCamera { name, ip, port, udp_port: None });
                continue;
            }
            Ok(CameraArg::Id(id)) => choose(&id, &survey, udp_port),
            Ok(camera) => match unless_stopped(&ctx.stop, camera.locate(&args.options.search), unsearched).await {
                Ok(located) => located,
                Err(_) => return Ok(nothing_found(cameras, &streams)),
            },
            Err(error) => Err(error),
        };
        let located = match located {
            Ok(located) => located,
            // The other cameras are checked all the same.
            Err(error) if cameras.len() > 1 && !error.is::<Usage>() => {
                let name = name.clone().unwrap_or_else(|| camera.to_string());
                let unresolved = Some(format!("{error:#}"));
                absent.push(CheckedCamera { name, unresolved, ..CheckedCamera::default() });
                continue;
            }
            Err(error) => return Err(error),
        };
        let (ip, udp_port) = (located.ip, Some(located.udp_port));
        let id = located.camera.map(|camera| camera.id);
        let name = name.clone().or(id).unwrap_or_else(|| ip.to_string());
        named.push(observe::NamedCamera { name, ip, port: None, udp_port });
    }
    if named.is_empty() && streams.is_empty() && !absent.is_empty() {
        let host = observe::host();
        return Ok(Facts { host, targets: absent, seen: survey.cameras, ..Facts::default() });
    }
    if named.len() + streams.len() > 1 {
        present::say(&format!("checking {} cameras", named.len() + streams.len()));
    }
    let ports = if args.no_stream { Vec::new() } else { args.ports.clone() };
    let (cameras, subnets, measure) = (named, subnet, args.measure);
    let options = ObserveOptions { cameras, streams, subnets, wait, udp_port, ports, measure };
    let mut facts = observe(&options, &ctx.stop.signals()).await?;
    facts.targets.extend(absent);
    Ok(facts)
}

fn version(ctx: &Ctx, turn: &Turn<'_>) -> anyhow::Result<Version> {
    runtime()?.block_on(async {
        let entered = turn.enter(ctx).await?;
        let target = entered.talk(|caller| async move { FlashTarget::ask(&caller).await }).await?;
        Ok(target.map_err(camera_error)?.bootloader.version)
    })
}

/// Formats one line per healthy camera, and the warnings and failures of the others. Cameras with the same finding share it.
fn summary(findings: &[Finding], cameras: &[CheckedCamera]) -> String {
    let is_camera = |finding: &&Finding| cameras.iter().any(|camera| camera.name == finding.subject);
    let is_problem = |finding: &&Finding| matches!(finding.level, Level::Warn | Level::Fail);
    let host: Vec<_> = findings.iter().filter(|finding| !is_camera(finding)).cloned().collect();
    let mut text = every_check(&host);
    let of =
        |camera: &CheckedCamera| findings.iter().filter(|finding| finding.subject == camera.name).collect::<Vec<_>>();
    let worst = |camera: &CheckedCamera| of(camera).iter().map(|finding| finding.level).max().unwrap_or(Level::Skip);
    let without_problem: Vec<_> = cameras.iter().filter(|camera| worst(camera) < Level::Warn).collect();
    let is_stopped = |camera: &CheckedCamera| camera.not_run.is_some();
    let row = |camera: &&CheckedCamera| {
        let observed = |check: &str| {
            let finding = of(camera).into_iter().find(|finding| finding.check == check);
            finding.map_or_else(|| "-".to_owned(), |finding| finding.observed.clone())
        };
        let ip = camera.ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string());
        let level = if is_stopped(camera) { Level::Skip } else { Level::Pass };
        [format!("{level:<4}  {}", camera.name), ip, observed("state"), observed("stream")]
    };
    let rows: Vec<_> = without_problem.iter().map(row).collect();
    text.push_str(&present::aligned(&rows, 4));

    let problems: Vec<_> = findings.iter().filter(is_camera).filter(is_problem).collect();
    let (mut printed, mut heading) = (Vec::<&Finding>::new(), String::new());
    for finding in &problems {
        let same = |other: &&&Finding| Finding { subject: finding.subject.clone(), ..(**other).clone() } == **finding;
        if printed.iter().any(|known| same(&known)) {
            continue;
        }
        let subjects: Vec<_> = problems.iter().filter(same).map(|finding| finding.subject.as_str()).collect();
        let only = (subjects.len() == 1).then_some(finding.subject.as_str());
        let subjects = present::listed(&subjects).trim_start().to_owned();
        if subjects != heading {
            text.push_str(&format!("{subjects}\n"));
        }
        heading = subjects;
        text.push_str(&check_lines(finding, finding.check.len(), only));
        printed.push(finding);
    }
    let count = |level| cameras.iter().filter(|camera| worst(camera) == level).count();
    let stopped = without_problem.iter().filter(|camera| is_stopped(camera)).count();
    let healthy = without_problem.len() - stopped;
    let stopped = if stopped == 0 { String::new() } else { format!(", {stopped} stopped") };
    text.push_str(&format!(
        "{} cameras: {healthy} healthy, {} with warnings, {} failed{stopped} (-v shows every check)\n",
        cameras.len(),
        count(Level::Warn),
        count(Level::Fail)
    ));
    text
}

/// Formats one line per check, grouped by subject, with the commands that solve a problem below.
fn every_check(findings: &[Finding]) -> String {
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
            let camera = (subject != "host").then_some(subject);
            text.push_str(&check_lines(finding, width, camera));
        }
    }
    text
}

/// `camera`: the one that the finding is about, if it is one.
fn check_lines(finding: &Finding, width: usize, camera: Option<&str>) -> String {
    let Finding { check, level, observed, hint, commands, .. } = finding;
    let mut text = format!("  {level}  {check:<width$}  {observed}\n");
    if matches!(level, Level::Fail | Level::Warn) {
        let indent = " ".repeat(width + 10);
        let commands = commands.iter().map(|command| format!("$ {command}"));
        let named = |hint: &String| camera.map_or_else(|| hint.clone(), |camera| present::naming_camera(hint, camera));
        let hint = hint.iter().map(|hint| present::repeating(&named(hint)));
        text.extend(hint.chain(commands).map(|line| format!("{indent}{line}\n")));
    }
    text
}

fn bundle(path: &Path, report: &DoctorReport) -> anyhow::Result<()> {
    let Facts { seen, targets, .. } = report.facts;
    // Addresses are redacted by their own rule.
    let is_name = |name: &&str| name.parse::<std::net::IpAddr>().is_err();
    let ids = seen.iter().map(|camera| camera.id.as_str());
    let names = targets.iter().filter(|target| target.camera.is_some()).map(|target| target.name.as_str());
    // Without a name, a camera is named by its host or its URL.
    let hosts = targets.iter().filter(|target| target.name.contains('.')).map(|target| target.name.as_str());
    let urls = targets.iter().flat_map(|target| target.source.as_deref().into_iter().chain([target.name.as_str()]));
    let hosts = hosts.filter(|name| !name.contains("://")).chain(urls.filter_map(host_name));
    let hosts = hosts.filter(is_name).map(Identifying::Host);
    let names = hosts.chain(ids.chain(names).filter(is_name).map(Identifying::Camera));
    let text = redact(&serde_json::to_string_pretty(report)?, &names.collect::<Vec<_>>());
    file::write_new(path, (text + "\n").as_bytes()).map_err(|error| new_files::not_written(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_cameras_are_summarized() {
        let cameras: Vec<_> = (1..=40)
            .map(|number| {
                let name = format!("cam{number:02}");
                CheckedCamera { name, ip: Some([10, 0, 0, number].into()), ..CheckedCamera::default() }
            })
            .collect();
        let mut findings = Vec::new();
        for (number, camera) in cameras.iter().enumerate() {
            let finding = |check, level, observed: &str| Finding {
                check,
                subject: camera.name.clone(),
                level,
                observed: observed.to_owned(),
                hint: (level >= Level::Warn).then(|| "do that".to_owned()),
                commands: Vec::new(),
            };
            findings.push(finding("state", Level::Pass, "running its application"));
            findings.push(match number {
                3 | 7 => finding("mtu", Level::Warn, "small"),
                9 => finding("stream", Level::Fail, "nothing"),
                _ => finding("stream", Level::Pass, "40.0 frames/s"),
            });
        }
        let text = summary(&findings, &cameras);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "PASS  cam01  10.0.0.1   running its application  40.0 frames/s");
        assert_eq!(
            lines[37..],
            [
                "cam04, cam08",
                "  WARN  mtu  small",
                "             do that",
                "cam10",
                "  FAIL  stream  nothing",
                "                do that",
                "40 cameras: 37 healthy, 2 with warnings, 1 failed (-v shows every check)",
            ]
        );
    }

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
            every_check(&findings),
            "eth0\n  PASS  mtu    seen\n  SKIP  x      seen\ncam\n  FAIL  state  seen\n               do that\n               $ so\n"
        );
    }
}
