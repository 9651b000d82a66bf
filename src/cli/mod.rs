//! The command line: arguments, output and exit codes.

mod application;
mod camera_arg;
mod camera_session;
mod commands;
mod contract_arg;
mod live;
mod plot_file;
pub(crate) mod present;
mod recorded;
mod signals;
mod source_args;
mod value_parsers;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser};

use commands::Command;
use signals::Stop;

/// Finds, flashes, receives, records and shows Luxonis OAK PoE cameras in standalone mode.
///
/// Results go to standard output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// Print the result as one line of JSON
    #[arg(long, global = true, help_heading = OUTPUT)]
    json: bool,

    /// Log more to standard error; -vv logs details
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = OUTPUT)]
    verbose: u8,

    #[command(subcommand)]
    command: Command,

    #[arg(skip)]
    name: &'static str,
}

const OUTPUT: &str = "Output";

const EXIT_CODES: &str = "\
Exit codes: 0 success; 1 failure; 2 wrong usage; 3 finished, but frames were lost or damaged; 4 refused by the camera, or \
unsafe to try.";

/// Describes what `--json` prints for one command, in place of the general text.
fn json_option(help: &'static str) -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).global(true).help(help).help_heading(OUTPUT)
}

/// Hides `--json` from the help of a command that prints no JSON.
fn no_json_option() -> Arg {
    json_option("").hide(true)
}

/// What every command gets besides its own arguments.
#[derive(Debug)]
pub(crate) struct Ctx {
    /// The name of the command, as in `"command": "view"`.
    pub(crate) command: &'static str,
    /// Whether to print JSON on standard output.
    pub(crate) json: bool,
    /// Whether the user asked to stop.
    pub(crate) stop: Stop,
}

/// The result of a command that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Success: exit code 0.
    Done,
    /// Finished, but frames were lost or damaged: exit code 3.
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

/// Limits after which a command stops by itself.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Until {
    /// Stop after N frames
    #[arg(long, value_name = "N", help_heading = "When to stop", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) frames: Option<u64>,

    /// Stop after this time, such as 500ms, 10s, 2min or 1h
    #[arg(long, value_name = "TIME", help_heading = "When to stop", value_parser = value_parsers::duration)]
    pub(crate) duration: Option<Duration>,
}

impl Until {
    /// Returns the moment at which `--duration` ends, counted from now.
    pub(crate) fn deadline(self) -> Option<Instant> {
        self.duration.and_then(|duration| Instant::now().checked_add(duration))
    }
}

impl Cli {
    /// Parses the command line. Exits on wrong usage, `--help` and `--version`.
    pub(crate) fn from_command_line() -> Self {
        let mut matches = Self::command().get_matches();
        // One small leak per run, so that reports can hold the name without a lifetime.
        let name = matches.subcommand_name().unwrap_or_default().to_owned().leak();
        let cli = Self::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit());
        Self { name, ..cli }
    }

    /// Returns the name of the command, such as `view`.
    pub(crate) fn command_name(&self) -> &'static str {
        self.name
    }

    /// Starts logging to standard error, at the level that `--verbose` selects.
    pub(crate) fn log(&self) {
        let level = match self.verbose {
            0 => tracing::Level::WARN,
            1 => tracing::Level::INFO,
            _ => tracing::Level::DEBUG,
        };
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(|| present::LogWriter)
            .with_ansi(std::io::stderr().is_terminal() && !plain)
            .with_target(false)
            .init();
    }

    pub(crate) fn run(&self) -> anyhow::Result<Outcome> {
        let ctx = Ctx { command: self.name, json: self.json, stop: Stop::default() };
        self.command.run(&ctx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn json_and_stop_conditions_reach_the_command() {
        let parse = |words: &[&str]| Cli::try_parse_from([&["oaktap", "detections", "sim:"], words].concat());
        let cli = parse(&["--frames", "3", "--duration", "1.5s", "--json"]).expect("valid arguments");
        let until = match &cli.command {
            Command::Detections(args) => args.until,
            other => panic!("{other:?}"),
        };
        assert!(cli.json);
        assert_eq!((until.frames, until.duration), (Some(3), Some(Duration::from_millis(1500))));
        for wrong in [["--frames", "0"], ["--duration", "10"], ["--duration", "s"]] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
        assert!(Cli::try_parse_from(["oaktap", "--json", "list"]).expect("valid arguments").json);
        assert!(Cli::try_parse_from(["oaktap", "network", "1.2.3.4", "--json", "show"]).expect("valid").json);
        assert!(Cli::try_parse_from(["oaktap", "network", "1.2.3.4", "show", "--json"]).expect("valid").json);
    }
}
