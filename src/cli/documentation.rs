//! Tests of what users read: the options of all commands, their completions, the examples, README.md and docs/.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory as _, ValueHint};

use super::Cli;
use super::commands::completions::with_hints;

/// Names that several commands have, with another help text in some. Each text must describe the same thing; a new name here
/// needs a look at all of its texts.
const SAME_THING: [&str; 25] = [
    "app",          // A package.
    "camera",       // The name of a camera in a recording.
    "config",       // oaktap.toml.
    "dry-run",      // Show the result and write nothing.
    "duration",     // When to stop; `snapshot` has a default.
    "format",       // The format of the payload.
    "fps",          // Frames per second.
    "frames",       // How many frames.
    "http",         // Over HTTP: `serve` needs an address, `simulate` has that in `--listen`.
    "idle-timeout", // Time without an answer or data.
    "labels",       // Names of classes.
    "memory",       // A memory of the camera.
    "no-wait",      // Do not wait for the camera.
    "only",         // A label.
    "output",       // What to write.
    "plot",         // A plot.
    "ports",        // Ports of streams to try.
    "quality",      // Of encoded pictures.
    "serve",        // Serve what the command has: `replay` the protocol of cameras, others a page.
    "size",         // Of pictures.
    "force",        // Write all the same.
    "threshold",    // The confidence of a detection.
    "udp-port",     // The discovery service of cameras.
    "boxes",        // Boxes on pictures.
    "to",           // Where the result goes: `export` a format, `publish` a target.
];

/// Calls `each` with every command and subcommand, and the words that select it.
fn commands(each: &mut impl FnMut(&[String], &Command)) {
    fn walk(words: &[String], command: &Command, each: &mut impl FnMut(&[String], &Command)) {
        each(words, command);
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            walk(&[words, &[command.get_name().to_owned()]].concat(), command, each);
        }
    }
    let mut program = Cli::command();
    program.build();
    walk(&[], &program, each);
}

fn value_names(argument: &Arg) -> Vec<String> {
    argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn one_name_is_one_thing_in_all_commands() {
    let mut options = BTreeMap::<String, Vec<(String, Vec<String>, Option<char>, String)>>::new();
    commands(&mut |words, command| {
        for option in command.get_arguments() {
            let Some(long) = option.get_long() else { continue };
            let help = option.get_help().map(ToString::to_string).unwrap_or_default();
            // `--json` says what each command prints.
            let help = if ["json", "help", "version"].contains(&long) { String::new() } else { help };
            let values = if option.get_action().takes_values() { value_names(option) } else { Vec::new() };
            options.entry(long.to_owned()).or_default().push((words.join(" "), values, option.get_short(), help));
        }
    });
    assert!(options.len() > 80, "{}", options.len());
    let mut shorts = BTreeMap::new();
    let mut described_twice = BTreeSet::new();
    for (long, uses) in &options {
        let (_, values, short, help) = &uses[0];
        for (command, other_values, other_short, other_help) in uses {
            // The value of `--output` is the kind of file that the command writes. `export` draws boxes, and `simulate` has a
            // number of them. `--http` of `simulate` has its address in `--listen`, and `--serve` of
            // `replay` has no port of its own. `export` converts to a format, `publish` sends to a target.
            let differ = ["output", "boxes", "http", "serve", "to"].contains(&long.as_str());
            assert!(differ || values == other_values, "--{long} of {command}: {values:?}, {other_values:?}");
            assert_eq!(short, other_short, "--{long} of {command}");
            if help != other_help {
                described_twice.insert(long.as_str());
            }
        }
        if let Some(short) = short {
            assert_eq!(shorts.insert(*short, long), None, "-{short} is the short form of two options");
        }
    }
    let allowed: BTreeSet<_> = SAME_THING.into_iter().collect();
    let new: Vec<_> = described_twice.symmetric_difference(&allowed).collect();
    assert!(new.is_empty(), "compare the help texts of these options in all commands: {new:?}");
    for (short, long) in
        [('n', "frames"), ('d', "duration"), ('q', "quiet"), ('o', "output"), ('y', "yes"), ('v', "verbose")]
    {
        assert_eq!(shorts.get(&short).map(|long| long.as_str()), Some(long));
    }
}

/// Value names of files and folders.
fn names_a_path(name: &str) -> bool {
    ["FILE", "DIR", "PATH", "oaktap.toml", "APPLICATION"].iter().any(|kind| name.contains(kind)) && name != "IP/PREFIX"
}

#[test]
fn every_path_and_every_fixed_set_of_values_is_completed() {
    let program = with_hints(Cli::command());
    let mut checked = 0;
    let mut check = |command: &Command| {
        for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values()) {
            let (name, id) = (command.get_name(), argument.get_id());
            let values = value_names(argument);
            if values.iter().any(|value| names_a_path(value)) {
                let hint = argument.get_value_hint();
                assert!(matches!(hint, ValueHint::FilePath | ValueHint::DirPath | ValueHint::AnyPath), "{name} {id}");
                checked += 1;
            }
            let sets =
                ["MEMORY", "METHOD", "ORDER", "WHEN", "STATE", "SHELL", "COMMAND", "ORIENTATION", "ENCODING", "FAMILY"];
            if values.iter().any(|value| sets.contains(&value.as_str())) {
                assert!(!argument.get_possible_values().is_empty(), "{name} {id} has no possible values");
                checked += 1;
            }
        }
    };
    for command in program.get_subcommands() {
        check(command);
        command.get_subcommands().for_each(&mut check);
    }
    assert!(checked > 60, "{checked}");
}

/// Splits a command line like a shell, up to a pipe, a redirection or a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (Some(end), c) if c == end => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (None, '|' | '>') => break,
            (None, '#') if word.is_empty() && !begun => break,
            (None, c) if c.is_whitespace() => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (None, c) => word.push(c),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    words
}

/// Parses a command line that users read, and returns why it is not valid.
fn parse(line: &str) -> Result<(), String> {
    let words = words(line);
    let Err(error) = Cli::command().try_get_matches_from(&words) else { return Ok(()) };
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.as_str(),
        _ => "",
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(()),
        // A text may name a command without its arguments.
        ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            if words.len() == 2 =>
        {
            Ok(())
        }
        // Its file is read at once.
        ErrorKind::ValueValidation if ["--expect", "--camera-info"].iter().any(|file| argument.starts_with(file)) => {
            Ok(())
        }
        _ => Err(format!("`{line}` {words:?}: {error}")),
    }
}

#[test]
fn every_example_in_the_help_parses() {
    let mut examples = 0;
    commands(&mut |path, command| {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in after.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| line.starts_with("oaktap "))
        {
            examples += 1;
            parse(line).unwrap_or_else(|error| panic!("help of {path:?}: {error}"));
        }
    });
    assert!(examples > 60, "{examples}");
}

/// README.md and the files of docs/: path and text.
fn pages() -> Vec<(std::path::PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).expect("a folder").map(|entry| entry.expect("readable").path());
    let pages = docs.filter(|path| path.extension().is_some_and(|end| end == "md")).chain([root.join("README.md")]);
    pages.map(|path| (path.clone(), std::fs::read_to_string(path).expect("UTF-8"))).collect()
}

#[test]
fn every_command_on_the_pages_parses() {
    let mut found = 0;
    for (path, text) in pages() {
        let prompts = text.lines().filter_map(|line| line.trim_start().strip_prefix("$ "));
        let quoted = text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2));
        for line in prompts.chain(quoted).filter(|line| line.starts_with("oaktap ") && !line.contains("...")) {
            found += 1;
            let line = line.replace("CAMERA", "192.168.1.50").replace("SHELL", "bash").replace("COMMAND", "view");
            parse(&line.replace('\n', " ")).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    assert!(found > 40, "{found}");
}

#[test]
fn every_option_on_the_pages_exists() {
    // Of cargo, pip, git, curl and ros2.
    let mut known: BTreeSet<String> = [
        "path",
        "release",
        "no-deps",
        "features",
        "no-default-features",
        "test",
        "ignored",
        "bench",
        "data-binary",
        "ros-args",
        "frame-id",
        "child-frame-id",
        "locked",
    ]
    .map(str::to_owned)
    .into();
    commands(&mut |_, command| known.extend(command.get_arguments().filter_map(Arg::get_long).map(str::to_owned)));
    for (path, text) in pages() {
        for (at, _) in text.match_indices("--") {
            let name = text[at + 2..].split(|c: char| !(c.is_ascii_lowercase() || c == '-')).next().unwrap_or_default();
            let begins = text[..at].ends_with(['`', ' ', '(', '\n']);
            assert!(!begins || name.is_empty() || known.contains(name), "{}: --{name}", path.display());
        }
    }
}

/// The anchor of a heading, like that of GitHub.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    heading
        .chars()
        .filter(|c| c.is_alphanumeric() || "- _".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn every_relative_link_on_the_pages_leads_somewhere() {
    let mut links = 0;
    for (path, text) in pages() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.contains(char::is_whitespace) {
                continue;
            }
            links += 1;
            let (file, section) =
                target.split_once('#').map_or((target, None), |(file, section)| (file, Some(section)));
            let linked = if file.is_empty() { path.clone() } else { path.parent().expect("a folder").join(file) };
            assert!(linked.exists(), "{}: {target}", path.display());
            if let Some(section) = section {
                let text = std::fs::read_to_string(&linked).expect("UTF-8");
                let has = text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == section);
                assert!(has, "{}: {target}", path.display());
            }
        }
    }
    assert!(links > 5, "{links}");
}

#[test]
fn command_lines_are_split_like_in_a_shell() {
    assert_eq!(
        words("oaktap record -o a/ --trigger 'person>0.6'   # a fleet"),
        ["oaktap", "record", "-o", "a/", "--trigger", "person>0.6"]
    );
    assert_eq!(words("oaktap man record | man -l -"), ["oaktap", "man", "record"]);
    assert!(parse("oaktap view --no-such-option").is_err());
}
