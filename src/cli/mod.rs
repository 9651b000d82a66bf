//! The command line: arguments, output and exit codes.

mod application;
mod application_wait;
mod beside;
mod bootloader_fleet;
#[cfg(feature = "zenoh")]
mod bus_cameras;
#[cfg(feature = "zenoh")]
mod calibration_arg;
mod camera_arg;
mod camera_ends;
mod camera_label;
mod camera_server;
mod camera_session;
mod commands;
mod configured_cameras;
mod contract_arg;
#[cfg(test)]
mod documentation;
mod effect;
mod fleet;
mod label_file;
mod layout_note;
mod new_files;
mod only_labels;
mod plain_words;
mod plot_file;
mod present;
mod publisher;
mod receipt;
mod receiving;
mod recording_files;
mod recording_summary;
mod same_camera;
mod script_check;
mod service_unit;
mod session_log;
mod session_progress;
mod signals;
mod source_args;
mod status_lines;
mod stream_failure;
mod suggest;
mod supervisor;
mod text_file;
mod value_parsers;
mod waiting;

use std::ffi::OsString;
use std::io::Write as _;
#[cfg(feature = "python")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Args, ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum as _};

use commands::Command;
#[cfg(feature = "python")]
use oaktap::frame::LabelMap;
use oaktap::source::without_password;
use signals::Stop;
use tracing_subscriber::EnvFilter;

/// Find, flash, receive, record and show Luxonis OAK PoE cameras in standalone mode
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Print the result as one line of JSON
    #[arg(long, global = true, help_heading = OUTPUT, display_order = 0)]
    json: bool,

    /// Log connections, formats and files to standard error; -vv also every frame
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = OUTPUT)]
    verbose: u8,

    /// Print results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = OUTPUT)]
    quiet: bool,

    /// Color on standard error and in the help. auto: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = OUTPUT)]
    color: ColorChoice,

    #[command(subcommand)]
    command: Command,

    #[arg(skip)]
    name: &'static str,
}

pub(crate) const WHEN_TO_STOP: &str = "When to stop";
pub(crate) const OUTPUT: &str = "Output";
/// Options of the search for cameras.
pub(crate) const SEARCH: &str = "Search";

const AFTER_HELP: &str = "\
Examples:
  oaktap demo
  oaktap list
  oaktap view 192.168.1.50
  oaktap record 192.168.1.50 -o recordings/

Results go to standard output, everything else to standard error.

Exit codes: 0 success; 1 failure; 2 wrong usage; 3 finished, but frames were lost or damaged, or one of several cameras sent none; 4 refused by the camera, or \
unsafe to try.";

/// Describes what `--json` prints for one command, in place of the general text.
fn json_option(help: &'static str) -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .global(true)
        .help(help)
        .help_heading(OUTPUT)
        .display_order(0)
}

/// Hides `--json` from the help of a command that prints no JSON.
fn no_json_option() -> Arg {
    json_option("").hide(true)
}

/// The context of a command, besides its own arguments.
#[derive(Debug)]
pub(crate) struct Ctx {
    /// The name of the command, as in `"command": "view"`.
    pub(crate) command: &'static str,
    /// `true` with `--json`.
    pub(crate) json: bool,
    /// Set by Ctrl-C.
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

impl Outcome {
    const fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Lossy => 3,
        }
    }
}

/// Words of the command line, the first of which is the path of the program. Those of the process unless another program, such as
/// Python, runs this one.
static WORDS: OnceLock<Vec<OsString>> = OnceLock::new();

/// Returns the words of the command line.
fn words() -> Vec<OsString> {
    WORDS.get().cloned().unwrap_or_else(|| std::env::args_os().collect())
}

/// Returns the path of the program, for other programs that start it.
fn program_path() -> std::io::Result<PathBuf> {
    match WORDS.get().and_then(|words| words.first()) {
        Some(path) => std::path::absolute(path),
        None => std::env::current_exe(),
    }
}

/// Runs the program with these words, the first of which is its own path, and returns its exit code. Exits on wrong usage, `--help`
/// and `--version`.
#[cfg(feature = "python")]
pub(crate) fn run_program(words: Vec<OsString>) -> u8 {
    WORDS.get_or_init(|| words);
    run()
}

/// Reads a file of `--labels`. The error has its text and its help.
#[cfg(feature = "python")]
pub(crate) fn label_names(path: &Path) -> Result<LabelMap, (String, Option<String>)> {
    label_file::read_labels(path).map_err(|error| present::text_and_help(&error))
}

/// Runs the program, and returns its exit code.
pub(crate) fn run() -> u8 {
    let cli = Cli::from_command_line();
    cli.log();
    match cli.run() {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => present::failure(&error, cli.command_name(), cli.prints_json()),
    }
}

/// Limits after which a command stops by itself.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Until {
    /// Stop after N frames of each camera; numbers over MQTT do not count. One of several that sends nothing is given up 10s
    /// (or --idle-timeout) after the others
    #[arg(short = 'n', long, value_name = "N", help_heading = WHEN_TO_STOP, value_parser = value_parsers::positive)]
    pub(crate) frames: Option<u64>,

    /// Stop after this time, such as 500ms, 10s, 2min or 1h
    #[arg(short = 'd', long, value_name = "TIME", help_heading = WHEN_TO_STOP, value_parser = value_parsers::duration)]
    pub(crate) duration: Option<Duration>,
}

impl Until {
    /// Returns the moment at which `--duration` ends, counted from now. Output that nothing reads ends soon after it.
    pub(crate) fn deadline(self) -> Option<Instant> {
        let deadline = self.duration.and_then(|duration| Instant::now().checked_add(duration));
        deadline.inspect(|deadline| present::ends_at(*deadline))
    }
}

/// Returns the value of the last `--color` among the words of the command line.
fn color_choice(words: &[String]) -> ColorChoice {
    let value = |(word, next): (&String, Option<&String>)| match word.strip_prefix("--color") {
        Some("") => next.cloned(),
        Some(value) => value.strip_prefix('=').map(str::to_owned),
        None => None,
    };
    let nexts = words.iter().skip(1).map(Some).chain([None]);
    let last = words.iter().zip(nexts).take_while(|(word, _)| *word != "--").filter_map(value).last();
    last.and_then(|value| ColorChoice::from_str(&value, false).ok()).unwrap_or_default()
}

/// Lets options take negative numbers, so that the error is about the range of the option and not about an unknown option `-5`.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| {
        let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
        if takes_value && !argument.is_positional() { argument.allow_negative_numbers(true) } else { argument }
    });
    command.mut_subcommands(with_negative_numbers)
}

/// Prints an error of the command line, or the help or version that was asked for, and exits.
fn exit_after(error: &clap::Error) -> ! {
    let printed = error.print().and_then(|()| std::io::stdout().flush());
    match printed {
        Err(why) if !error.use_stderr() && why.kind() != std::io::ErrorKind::BrokenPipe => {
            present::always_say(&format!("error: cannot write to standard output: {why}"));
            std::process::exit(1)
        }
        _ => std::process::exit(error.exit_code()),
    }
}

/// Hides the passwords in the values that an error of the arguments shows.
fn without_passwords(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidValue, ContextKind::InvalidArg, ContextKind::InvalidSubcommand] {
        if let Some(ContextValue::String(text)) = error.get(kind) {
            let hidden = without_password(text);
            error.insert(kind, ContextValue::String(hidden));
        }
    }
    error
}

impl Cli {
    /// Parses the command line. Exits on wrong usage, `--help` and `--version`.
    fn from_command_line() -> Self {
        let given = words();
        let words: Vec<_> = given.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        // The parser needs the choice before it can parse it, for its own errors and help.
        let program = with_negative_numbers(Self::command()).color(color_choice(&words));
        let mut matches = program
            .clone()
            .try_get_matches_from(given)
            .unwrap_or_else(|error| exit_after(&without_passwords(suggest::improve(error, &program, &words))));
        // One small leak per run, so that reports can hold the name without a lifetime.
        let name = matches.subcommand_name().unwrap_or_default().to_owned().leak();
        let cli = Self::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| exit_after(&error));
        Self { name, ..cli }
    }

    /// Returns the name of the command, such as `view`.
    fn command_name(&self) -> &'static str {
        self.name
    }

    /// Returns whether `--json` was given.
    fn prints_json(&self) -> bool {
        self.json
    }

    /// Sets up standard error: how much is printed there, and whether in color.
    fn log(&self) {
        present::configure(self.quiet, self.color);
        let level = match self.verbose {
            _ if self.quiet => tracing::Level::ERROR,
            0 => tracing::Level::WARN,
            1 => tracing::Level::INFO,
            _ => tracing::Level::DEBUG,
        };
        // A client of Foxglove that leaves without a goodbye is not an error of ours. Zenoh warns of each attempt to connect; the
        // publisher and the source report the first one themselves.
        let of_clients = if self.verbose > 0 { level.as_str() } else { "off" };
        let of_zenoh = if self.verbose > 1 { "warn" } else { "off" };
        let filter = format!("{level},foxglove::websocket::connected_client={of_clients},zenoh={of_zenoh}");
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_writer(|| present::LogWriter)
            .with_ansi(present::colored())
            .event_format(present::LogFormat)
            .init();
    }

    fn run(&self) -> anyhow::Result<Outcome> {
        #[cfg(unix)]
        signals::survive_file_size_limit().context("cannot handle signals")?;
        let ctx = Ctx { command: self.name, json: self.json, stop: Stop::default() };
        self.command.run(&ctx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The options of each heading. All others stand under "Options".
    const HEADINGS: [(&str, &[&str]); 13] = [
        (OUTPUT, &["json", "verbose", "quiet", "color", "status"]),
        (SEARCH, &["subnet", "wait", "udp_port"]),
        ("When to stop", &["frames", "duration"]),
        (
            "Server",
            &["serve", "http", "rtsp", "camera_port", "recordings", "token", "host_name", "tls_cert", "tls_key"],
        ),
        ("Publish", &["to", "publish", "home_assistant", "ros_distro", "ros_raw", "camera_info"]),
        (
            "Stream",
            &[
                "size",
                "format",
                "stride",
                "labels",
                "threshold",
                "only",
                "expect",
                "max_payload",
                "buffer",
                "idle_timeout",
                "strict",
                "fps",
                "dialect",
                "boxes",
                "spatial",
                "depth",
                "records",
                "images",
                "fault",
                "fragment",
                "seed",
                "nodelay",
            ],
        ),
        ("Files", &["split", "keep", "compress", "sync"]),
        ("Trigger", &["trigger", "pre", "post"]),
        ("Selection", &["camera", "every", "from", "until", "only", "threshold"]),
        ("Package", &["firmware", "uncompressed"]),
        (
            "Application",
            &[
                "camera_only",
                "transport",
                "name",
                "size",
                "fps",
                "resolution",
                "channel_order",
                "orientation",
                "payload",
                "video",
                "quality",
                "bitrate",
                "keyframes",
                "port",
                "host",
            ],
        ),
        (
            "Model",
            &[
                "model",
                "family",
                "threshold",
                "iou",
                "classes",
                "coordinates",
                "anchors",
                "mask",
                "labels",
                "threads",
                "model_input",
                "letterbox",
                "stretch",
                "crop",
            ],
        ),
        (
            "Bootloader",
            &[
                "bootloader",
                "address",
                "udp_port",
                "link_port",
                "id",
                "bootloader_version",
                "state",
                "nor",
                "nor_file",
                "emmc",
                "emmc_file",
                "app",
                "run_scripts",
                "camera_fault",
                "set",
            ],
        ),
    ];

    /// Options of a command itself that share their name with an option under a heading.
    const OWN: [(&str, &str); 8] = [
        ("export", "quality"),
        ("export", "to"),
        ("export", "labels"),
        ("replay", "camera"),
        ("replay", "serve"),
        ("flash", "app"),
        ("export", "boxes"),
        ("simulate", "http"),
    ];
    /// Commands whose `--config` describes an application; elsewhere it names cameras.
    const BUILDING: [&str; 2] = ["build", "flash"];

    /// Calls `each` for every command and subcommand, with their global options.
    fn walk(command: &clap::Command, each: &mut impl FnMut(&clap::Command)) {
        each(command);
        command
            .get_subcommands()
            .filter(|command| command.get_name() != "help")
            .for_each(|command| walk(command, each));
    }

    #[test]
    fn every_option_stands_under_the_heading_of_its_group() {
        let mut command = Cli::command();
        command.build();
        let mut options = 0;
        walk(&command, &mut |command| {
            for option in command.get_opts().filter(|option| !["help", "version"].contains(&option.get_id().as_str())) {
                let (name, id) = (command.get_name(), option.get_id().as_str());
                let of_application =
                    |heading: &str| heading == "Application" && id == "config" && BUILDING.contains(&name);
                let of_group = |(heading, ids): &&(&str, &[&str])| {
                    of_application(heading) || ids.contains(&id) && !OWN.contains(&(name, id))
                };
                let expected: Vec<_> = HEADINGS.iter().filter(of_group).map(|(heading, _)| *heading).collect();
                match option.get_help_heading() {
                    Some(heading) => assert!(expected.contains(&heading), "{name} --{id} is under {heading}"),
                    None => assert!(expected.is_empty(), "{name} --{id} is under Options, expected {expected:?}"),
                }
                options += 1;
            }
        });
        assert!(options > 200, "only {options} options were checked");
    }

    #[test]
    fn every_argument_has_a_help_text_and_a_readable_value_name() {
        let mut command = Cli::command();
        command.build();
        walk(&command, &mut |command| {
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let (name, id) = (command.get_name(), argument.get_id());
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.starts_with(char::is_uppercase) && !help.ends_with('.'), "{name} {id}: {help:?}");
                let values = argument.get_value_names().unwrap_or_default();
                assert!(values.iter().all(|value| !value.contains(['<', '>'])), "{name} {id}: {values:?}");
            }
        });
    }

    #[test]
    fn json_is_described_by_every_command_or_hidden() {
        let mut command = Cli::command();
        command.build();
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            let json = command.get_arguments().find(|argument| argument.get_id() == "json").expect("it is global");
            let help = json.get_help().map(ToString::to_string).unwrap_or_default();
            let general = help == "Print the result as one line of JSON";
            assert!(json.is_hide_set() || !general, "{} does not say what it prints", command.get_name());
        }
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands().filter(|command| command.get_name() != "help") {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = format!("\n  oaktap {}", command.get_name());
            assert!(after.contains("Examples:\n") && after.contains(&example), "{}: {after}", command.get_name());
        }
    }

    #[test]
    fn man_completes_every_command() {
        let program = Cli::command();
        let man = program.find_subcommand("man").expect("it exists");
        let argument = man.get_arguments().find(|argument| argument.get_id() == "command").expect("an argument");
        let completed: Vec<_> = argument.get_possible_values().iter().map(|name| name.get_name().to_owned()).collect();
        let commands: Vec<_> = program.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        assert_eq!(completed, commands);
    }

    #[test]
    fn every_option_with_a_fixed_set_of_values_completes_them() {
        let program = Cli::command();
        for (command, option, value) in [
            ("view", "format", "NV12"),
            ("record", "compress", "zstd"),
            ("export", "to", "parquet"),
            ("flash", "memory", "emmc"),
            ("flash", "resolution", "1080p"),
            ("flash", "orientation", "rotate180"),
            ("flash", "channel_order", "rgb"),
            ("flash", "then", "view"),
            ("simulate", "dialect", "ABCDE"),
            ("simulate", "format", "RAW16"),
            ("completions", "shell", "fish"),
            ("man", "command", "record"),
        ] {
            let command = program.find_subcommand(command).expect("it exists");
            let argument = command.get_arguments().find(|argument| argument.get_id() == option).expect(option);
            let values = argument.get_possible_values();
            assert!(values.iter().any(|possible| possible.get_name() == value), "{option}: {values:?}");
        }
    }

    #[test]
    fn the_last_choice_of_color_counts() {
        for (words, choice) in [
            (&["list"][..], ColorChoice::Auto),
            (&["--color", "never", "list"], ColorChoice::Never),
            (&["list", "--color=always"], ColorChoice::Always),
            (&["--color=never", "list", "--color", "always"], ColorChoice::Always),
            (&["list", "--", "--color=never"], ColorChoice::Auto),
            (&["list", "--color"], ColorChoice::Auto),
        ] {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(color_choice(&words), choice, "{words:?}");
        }
    }

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
