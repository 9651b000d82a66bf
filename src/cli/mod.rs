//! The words of the program: what can be asked, and who answers.

mod application;
mod backup;
mod bench;
mod bootloader;
mod build;
mod camera;
mod completions;
mod control;
mod demo;
mod detections;
mod doctor;
mod enter;
mod erase;
mod expect;
mod export;
mod flash;
mod info;
mod inspect;
mod list;
mod live;
mod man;
mod network;
mod packing;
mod plot;
pub(crate) mod present;
mod receipt;
mod record;
mod recorded;
mod recover;
mod replay;
mod reset;
mod signals;
mod simulate;
mod snapshot;
mod source_args;
mod values;
mod verify;
mod view;
mod wheel;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{ArgAction, Args, Parser, Subcommand};

use signals::Stop;

/// Receives, shows and measures the stream of Luxonis OAK PoE cameras in standalone mode.
///
/// Results go to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Print a summary with the whole ledger as one line of JSON on standard output at the end
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,

    /// Say more about what happens; twice for every detail
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Output")]
    verbose: u8,

    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all went well, 1 failed, 2 wrong usage, 3 finished, but frames were lost or \
                          damaged on the way, 4 the camera refused, or it would not have been safe.";

#[derive(Debug, Subcommand)]
enum Command {
    /// List the cameras in all networks of this host, without disturbing any
    List(list::ListArgs),
    /// Find out why a camera is not found, not reached or slow, and what mends it; changes nothing
    Doctor(doctor::DoctorArgs),
    /// Tell what a camera's bootloader knows: versions, memories, application, configuration. Its application stops
    Info(info::InfoArgs),
    /// Build the application that goes with oaktap, as a package
    Build(Box<build::BuildArgs>),
    /// Write an application into cameras, read it back, and see it run
    Flash(Box<flash::FlashArgs>),
    /// Take the application out of a camera
    Erase(erase::EraseArgs),
    /// Start a camera anew, and see its application run
    Reset(reset::ResetArgs),
    /// Let a camera leave its bootloader, and see its application run
    Boot(reset::ResetArgs),
    /// Show or change how a camera gets its address
    Network(network::NetworkArgs),
    /// Show a camera's bootloader, or write another one
    Bootloader(bootloader::BootloaderArgs),
    /// Read application and configuration out of a camera into files
    Backup(backup::BackupArgs),
    /// Show what cameras see, with the boxes of their network, in a window
    View(view::ViewArgs),
    /// Show a simulated camera: to look around without having one
    Demo(demo::DemoArgs),
    /// Write pictures to PNG files, and what the camera said of them to JSON files beside them
    Snapshot(snapshot::SnapshotArgs),
    /// Print the detections of each frame as one line of JSON
    Detections(detections::DetectionsArgs),
    /// Record cameras into MCAP files, which Foxglove, Rerun and Python open as they are
    Record(record::RecordArgs),
    /// Tell what is in recordings and in application packages; exit code 3 when one is torn or damaged
    Inspect(inspect::InspectArgs),
    /// Save every frame of a torn or damaged recording into a new file
    Recover(recover::RecoverArgs),
    /// Check every checksum, every index and every frame of recordings; exit code 1 when something is wrong
    Verify(verify::VerifyArgs),
    /// Play a recording in the window, or as a camera on the wire
    Replay(replay::ReplayArgs),
    /// Turn recordings into pictures, video, tables of detections, or data sets to train with
    Export(export::ExportArgs),
    /// Set lens, exposure and white balance of a camera while it streams
    Control(control::ControlArgs),
    /// Simulate cameras on real sockets
    Simulate(simulate::SimulateArgs),
    /// Measure how fast this machine parses, converts, draws and receives
    Bench(bench::BenchArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print a manual page
    Man(man::ManArgs),
}

/// What every command is given beside its own arguments.
#[derive(Debug)]
pub(crate) struct Ctx {
    /// A summary document is wanted on standard output.
    pub(crate) json: bool,
    /// Whether the user asked to stop.
    pub(crate) stop: Stop,
}

/// How a command that did not fail went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All went well.
    Done,
    /// It finished, but frames were lost or damaged.
    Lossy,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Lossy => Self::from(3),
        }
    }
}

/// When to stop without being told.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Until {
    /// Stop after so many frames
    #[arg(long, value_name = "N", help_heading = "When to stop", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) frames: Option<u64>,

    /// Stop after this time: 10s, 500ms, 2min, 1h
    #[arg(long, value_name = "TIME", help_heading = "When to stop", value_parser = values::duration)]
    pub(crate) duration: Option<Duration>,
}

impl Until {
    /// When it is time to stop, if that was said.
    pub(crate) fn deadline(self) -> Option<Instant> {
        self.duration.and_then(|duration| Instant::now().checked_add(duration))
    }
}

impl Cli {
    /// Sends log lines to standard error, as many as were asked for.
    pub(crate) fn log(&self) {
        let level = match self.verbose {
            0 => tracing::Level::WARN,
            1 => tracing::Level::INFO,
            _ => tracing::Level::DEBUG,
        };
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(|| present::Log)
            .with_ansi(std::io::stderr().is_terminal() && !plain)
            .with_target(false)
            .init();
    }

    /// Does what was asked.
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let ctx = Ctx { json: self.json, stop: Stop::default() };
        match self.command {
            Command::List(args) => list::run(&ctx, &args),
            Command::Doctor(args) => doctor::run(&ctx, &args),
            Command::Info(args) => info::run(&ctx, &args),
            Command::Build(args) => build::run(&ctx, &args),
            Command::Flash(args) => flash::run(&ctx, &args),
            Command::Erase(args) => erase::run(&ctx, &args),
            Command::Reset(args) => reset::reset(&ctx, &args),
            Command::Boot(args) => reset::boot(&ctx, &args),
            Command::Network(args) => network::run(&ctx, &args),
            Command::Bootloader(args) => bootloader::run(&ctx, &args),
            Command::Backup(args) => backup::run(&ctx, &args),
            Command::View(args) => view::run(&ctx, &args),
            Command::Demo(args) => demo::run(&ctx, &args),
            Command::Snapshot(args) => snapshot::run(&ctx, &args),
            Command::Detections(args) => detections::run(&ctx, &args),
            Command::Record(args) => record::run(&ctx, &args),
            Command::Inspect(args) => inspect::run(&ctx, &args),
            Command::Recover(args) => recover::run(&ctx, &args),
            Command::Verify(args) => verify::run(&ctx, &args),
            Command::Replay(args) => replay::run(&ctx, &args),
            Command::Export(args) => export::run(&ctx, &args),
            Command::Control(args) => control::run(&ctx, &args),
            Command::Simulate(args) => simulate::run(&ctx, &args),
            Command::Bench(args) => bench::run(&ctx, &args),
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => man::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn no_argument_contradicts_another() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_stop_conditions_are_understood() {
        let cli =
            Cli::try_parse_from(["oaktap", "detections", "sim:", "--frames", "3", "--duration", "1.5s", "--json"]);
        let Ok(Cli { json: true, command: Command::Detections(args), .. }) = cli else { panic!("{cli:?}") };
        assert_eq!((args.until.frames, args.until.duration), (Some(3), Some(Duration::from_millis(1500))));
        for wrong in [["--frames", "0"], ["--duration", "10"], ["--duration", "s"]] {
            assert!(Cli::try_parse_from(["oaktap", "detections", "sim:"].iter().chain(&wrong)).is_err(), "{wrong:?}");
        }
    }
}
