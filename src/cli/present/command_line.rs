//! The command line of this process, for the commands that help texts suggest.

use std::path::Path;

use clap::{Arg, Command, CommandFactory as _, error::ErrorKind};
use oaktap::file::shell_word;
use oaktap::source::without_password;

use crate::cli::camera_arg::CameraArg;
use crate::cli::{Cli, SEARCH};

/// Commands whose `--config` describes an application, not only cameras.
const BUILDING: [&str; 2] = ["build", "flash"];

/// Commands that users run without an argument.
const ALONE: [&str; 2] = ["doctor", "list"];

/// Returns the words after the name of the program.
fn given() -> Vec<String> {
    crate::cli::words().iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Returns the command line of this process, quoted for a POSIX shell.
pub(super) fn again() -> String {
    line(&given())
}

/// Returns the command line of this process with the words `open` in the place of all words that select cameras. `command` is
/// the name of the command.
pub(crate) fn again_for(command: &str, all: &[&str], open: &[String]) -> String {
    line(&with_cameras(&given(), command, all, open))
}

fn with_cameras(words: &[String], command: &str, all: &[&str], open: &[String]) -> Vec<String> {
    let program = Cli::command();
    let named = words.iter().position(|word| word == command).map_or(0, |at| at + 1);
    let is_value = |at: usize| at > 0 && takes_value(&program, command, &words[at - 1]);
    let is_camera = |at: usize| all.contains(&words[at].as_str()) && !is_value(at);
    // Without one, the cameras are those of the configuration file.
    let first = (named..words.len()).find(|at| is_camera(*at)).unwrap_or(named);
    let rest = (first..words.len()).filter(|at| !is_camera(*at)).map(|at| words[at].clone());
    words[..first].iter().chain(open).cloned().chain(rest).collect()
}

/// Returns whether the next word is the value of this option.
fn takes_value(program: &Command, command: &str, option: &str) -> bool {
    let is_it = |argument: &Arg| match option.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => argument.get_short().is_some_and(|short| option == format!("-{short}")),
    };
    let takes = |argument: &Arg| is_it(argument) && argument.get_action().takes_values();
    let Some(command) = program.find_subcommand(command) else { return false };
    let inner = command.get_subcommands().flat_map(Command::get_arguments);
    command.get_arguments().chain(inner).chain(program.get_arguments()).any(takes)
}

/// Joins words for a POSIX shell.
fn line(words: &[String]) -> String {
    let quoted = |word: &String| shell_word(Path::new(word));
    std::iter::once("oaktap".to_owned()).chain(words.iter().map(quoted)).collect::<Vec<_>>().join(" ")
}

/// Adds to each command that a text quotes the options that the user gave and that the command needs too: where to search for
/// cameras, and the file with their names. Replaces `FILE` and `CAMERA` in it if the user gave one of them.
pub(crate) fn repeating(text: &str) -> String {
    if !text.contains('`') {
        return text.to_owned();
    }
    let given = given();
    let text = if text.contains("`oaktap ") { repeating_of(text, &given) } else { text.to_owned() };
    naming_given(&naming_expected(&text, &options(&given, &["--expect"])), &given)
}

/// Replaces `--app app.dap` in each command that a text quotes by the package or the configuration file of `--expect`.
fn naming_expected(text: &str, expect: &[String]) -> String {
    let [_, value] = expect else { return text.to_owned() };
    let word = shell_word(Path::new(value));
    match Path::new(value).extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).as_deref() {
        Some("dap") => replacing(text, "app.dap", &word),
        Some("toml") => text.replace("--app app.dap`", &format!("--config {word}`")),
        _ => text.to_owned(),
    }
}

/// Replaces `FILE` in each command that a text quotes by this path.
pub(crate) fn naming(text: &str, path: &Path) -> String {
    replacing(text, "FILE", &shell_word(path))
}

/// Replaces `CAMERA` in each command that a text quotes by the word that selects this camera: the word that the user gave, or its
/// name in the file of cameras. Adds the file to a command that then needs it.
pub(crate) fn naming_camera(text: &str, camera: &str) -> String {
    if replacing(text, "CAMERA", "") == text {
        return text.to_owned();
    }
    let given = given();
    let has_fleet = given.iter().any(|word| word == "--all" || word.starts_with("--config"));
    naming_one_of(text, camera, &positionals(&given), has_fleet, &config_of(&given))
}

/// Completes each command that a text quotes for this camera: its name for `CAMERA`, and the options of [`repeating`].
pub(crate) fn advice_for(text: &str, camera: &str) -> String {
    repeating(&naming_camera(text, camera))
}

/// Like [`naming_camera`], for a camera that this word of a command line selects.
pub(crate) fn naming_word(text: &str, word: &str) -> String {
    naming_word_of(text, word, &config_of(&given()))
}

fn naming_one_of(text: &str, camera: &str, given: &[String], has_fleet: bool, config: &[String]) -> String {
    let address = |source: &str| {
        let source = source.strip_prefix("tcp://").unwrap_or(source);
        source.strip_suffix(":5000").unwrap_or(source).to_owned()
    };
    let is_it = |word: &&String| match oaktap::source::split_name(word) {
        Ok((Some(name), _)) => name == camera,
        Ok((None, source)) => address(source) == address(camera),
        Err(_) => false,
    };
    // Commands accept the names of the file of cameras, and the addresses that `--all` finds. They do not accept the name of a
    // simulated camera or of a recording.
    let word = match given.iter().find(is_it) {
        Some(word) => word.as_str(),
        None if has_fleet => camera,
        None => return text.to_owned(),
    };
    let word = word.replacen("tcp://", "", 1);
    // Commands for cameras do not take the source of a stream, nor several files.
    if word.contains("://") || word.ends_with(".mcap") {
        return text.to_owned();
    }
    naming_word_of(text, &word, config)
}

fn naming_word_of(text: &str, word: &str, config: &[String]) -> String {
    let is_address = word.contains('=') || matches!(word.parse(), Ok(CameraArg::Address { .. }));
    let text = if is_address { text.to_owned() } else { adding(text, &[], config) };
    replacing(&text, "CAMERA", &shell_word(Path::new(&without_password(word))))
}

/// Replaces a word in each command that a text quotes.
fn replacing(text: &str, placeholder: &str, word: &str) -> String {
    let mut parts: Vec<String> = text.split('`').map(str::to_owned).collect();
    for command in parts.iter_mut().skip(1).step_by(2).filter(|command| command.contains(' ')) {
        let words: Vec<_> = command.split(' ').map(|known| if known == placeholder { word } else { known }).collect();
        *command = words.join(" ");
    }
    parts.join("`")
}

/// Replaces the placeholder for the file or the camera that is the only one on the command line.
fn naming_given(text: &str, given: &[String]) -> String {
    if !["FILE", "CAMERA"].iter().any(|placeholder| replacing(text, placeholder, "") != text) {
        return text.to_owned();
    }
    let Some(only) = only_positional(given) else { return text.to_owned() };
    let only = only.replacen("tcp://", "", 1);
    let path = Path::new(&only);
    if path.symlink_metadata().is_ok() {
        return naming(text, path);
    }
    match oaktap::source::split_name(&only) {
        Ok((_, file)) if file.ends_with(".mcap") => text.to_owned(),
        // Commands for cameras do not take the source of a stream.
        _ if only.contains("://") => text.to_owned(),
        _ => replacing(text, "CAMERA", &shell_word(Path::new(&without_password(&only)))),
    }
}

/// Returns the value of the positional arguments of the command, if there is exactly one.
fn only_positional(given: &[String]) -> Option<String> {
    let mut values = positionals(given);
    let only = values.pop()?;
    values.is_empty().then_some(only)
}

/// Returns the values of the positional arguments of the command.
fn positionals(given: &[String]) -> Vec<String> {
    let words = std::iter::once("oaktap".to_owned()).chain(given.iter().cloned());
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(words);
    let Ok(matches) = matches else { return Vec::new() };
    let Some((name, matches)) = matches.subcommand() else { return Vec::new() };
    let program = Cli::command();
    let Some(command) = program.find_subcommand(name) else { return Vec::new() };
    let values =
        command.get_positionals().filter_map(|argument| matches.try_get_raw(argument.get_id().as_str()).ok()?);
    values.flatten().map(|value| value.to_string_lossy().into_owned()).collect()
}

fn repeating_of(text: &str, given: &[String]) -> String {
    adding(text, &options(given, &["--udp-port", "--subnet"]), &config_of(given))
}

/// Returns the option of the file of cameras, if the user gave it.
fn config_of(given: &[String]) -> Vec<String> {
    let builds = given.iter().any(|word| BUILDING.contains(&word.as_str()));
    if builds { Vec::new() } else { options(given, &["--config"]) }
}

/// Adds to each command that a text quotes those of the options that it takes; `config` if it has the word `CAMERA`.
fn adding(text: &str, search: &[String], config: &[String]) -> String {
    if search.is_empty() && config.is_empty() {
        return text.to_owned();
    }
    let program = Cli::command();
    let mut parts = text.split('`');
    let mut added = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        added.push('`');
        added.push_str(&with_options(&program, part, search, config));
    }
    added
}

/// Returns the options of these names with their values.
fn options(words: &[String], names: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = words.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        let Some(name) = names.iter().find(|known| **known == name) else { continue };
        let Some(value) = value.map(str::to_owned).or_else(|| words.next().cloned()) else { continue };
        found.extend([(*name).to_owned(), value]);
    }
    found
}

/// Adds the options to a command, if it has them. Other texts stay as they are.
fn with_options(program: &Command, text: &str, search: &[String], config: &[String]) -> String {
    let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
    let ["oaktap", name, ..] = words.iter().map(String::as_str).collect::<Vec<_>>()[..] else { return text.to_owned() };
    let Some(command) = program.find_subcommand(name).filter(|_| !text.contains('\'')) else { return text.to_owned() };
    // `oaktap flash` alone is the name of the command.
    if words.len() == 2 && !ALONE.contains(&name) {
        return text.to_owned();
    }
    let searches = command.get_arguments().any(|argument| argument.get_help_heading() == Some(SEARCH));
    // The user puts the name of a camera there, which only the file knows.
    let names = words.iter().any(|word| word == "CAMERA") && !BUILDING.contains(&name);
    let options: Vec<_> = [(searches, search), (names, config)]
        .into_iter()
        .filter(|(has, _)| *has)
        .flat_map(|(_, options)| options.chunks(2))
        .filter(|option| !words.iter().any(|word| word.split('=').next() == Some(&option[0])))
        .flatten()
        .cloned()
        .collect();
    let is_known = |words: &[String]| {
        let parsed = program.clone().try_get_matches_from(words);
        !parsed.is_err_and(|error| error.kind() == ErrorKind::UnknownArgument)
    };
    let after = [&words[..], &options].concat();
    let before = [&words[..2], &options, &words[2..]].concat();
    [after, before].iter().find(|words| is_known(words)).map_or_else(|| text.to_owned(), |words| line(&words[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn parses(line: &str) -> Result<(), String> {
        let words: Vec<_> = line.split(' ').map(|word| word.trim_matches('\'')).collect();
        match Cli::command().try_get_matches_from(words) {
            // A help text may leave it out.
            Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => Err(format!("{line}: {error}")),
            _ => Ok(()),
        }
    }

    #[test]
    fn a_repeated_command_line_has_the_open_cameras_and_all_options() {
        for (given, all, open, expected) in [
            ("backup a b c -o b --yes", &["a", "b", "c"][..], &["b", "c"][..], "oaktap backup b c -o b --yes"),
            ("--json erase a --config x.toml b", &["a", "b"], &["b"], "oaktap --json erase b --config x.toml"),
            ("reset --config=x.toml --no-wait", &["a", "b"], &["b"], "oaktap reset b --config=x.toml --no-wait"),
            (
                "info 10.0.0.5:5000 --udp-port 77",
                &["10.0.0.5:5000"],
                &["10.0.0.5"],
                "oaktap info 10.0.0.5 --udp-port 77",
            ),
            ("network 10.0.0.5:5000 show", &["10.0.0.5:5000"], &["10.0.0.5"], "oaktap network 10.0.0.5 show"),
            ("flash sim:?a=1 b -y", &["sim:?a=1", "b"], &["sim:?a=1"], "oaktap flash 'sim:?a=1' -y"),
            ("control a b lens=120", &["a", "b"], &["b"], "oaktap control b lens=120"),
        ] {
            let open: Vec<_> = open.iter().map(|word| (*word).to_owned()).collect();
            let given = words(given);
            let command = given.iter().find(|word| !word.starts_with('-')).expect("a command").clone();
            let found = line(&with_cameras(&given, &command, all, &open));
            assert_eq!(found, expected);
            parses(&found).unwrap();
        }
    }

    #[test]
    fn one_of_several_cameras_is_named_by_the_word_that_was_given() {
        let given = ["front=10.0.0.5", "10.0.0.6:5000", "back", "url=http://10.0.0.7/video", "tcp://10.0.0.8:6100"];
        let given = given.map(str::to_owned);
        for (camera, word) in [
            ("front", "front=10.0.0.5"),
            ("10.0.0.6", "10.0.0.6:5000"),
            ("back", "back"),
            ("sim-1", "CAMERA"),
            ("url", "CAMERA"),
            ("10.0.0.8:6100", "10.0.0.8:6100"),
        ] {
            let found = naming_one_of("`oaktap doctor CAMERA` or CAMERA", camera, &given, false, &[]);
            assert_eq!(found, format!("`oaktap doctor {word}` or CAMERA"));
        }
        let of_the_file = naming_one_of("`oaktap doctor CAMERA`", "front", &[], true, &[]);
        assert_eq!(of_the_file, "`oaktap doctor front`");
    }

    #[test]
    fn the_expected_application_is_named() {
        for (expect, command) in [
            ("--expect my/j.dap", "oaktap flash 10.0.0.5 --app my/j.dap"),
            ("--expect my.toml", "oaktap flash 10.0.0.5 --config my.toml"),
            ("", "oaktap flash 10.0.0.5 --app app.dap"),
        ] {
            let found = naming_expected("`oaktap flash 10.0.0.5 --app app.dap` or", &words(expect));
            assert_eq!(found, format!("`{command}` or"));
            parses(command).unwrap();
        }
    }

    #[test]
    fn a_command_with_a_name_of_the_file_has_the_file() {
        let config = words("--config my.toml");
        let text = "close it, or `oaktap doctor CAMERA` checks the network";
        for (camera, given, command) in [
            ("line-40", &[][..], "oaktap doctor line-40 --config my.toml"),
            ("line-40", &["line-40"], "oaktap doctor line-40 --config my.toml"),
            ("line-40", &["line-40=10.0.0.5"], "oaktap doctor line-40=10.0.0.5"),
            ("10.0.0.5:6100", &[], "oaktap doctor 10.0.0.5:6100"),
            ("tcp://10.0.0.5:6100", &[], "oaktap doctor 10.0.0.5:6100"),
        ] {
            let given: Vec<_> = given.iter().map(|word| (*word).to_owned()).collect();
            let found = naming_one_of(text, camera, &given, true, &config);
            assert_eq!(commands(&found), commands(&format!("`{command}`")), "{found}");
            parses(command).unwrap();
            // The options are not added twice.
            let all = words("record --config my.toml");
            assert_eq!(repeating_of(&found, &all), found);
        }
        let flash = naming_word_of("`oaktap flash CAMERA --labels labels.txt`", "line-40", &config);
        assert_eq!(flash, "`oaktap flash line-40 --labels labels.txt`");
    }

    #[test]
    fn suggested_commands_repeat_the_options_that_they_need() {
        let given = words("info front --udp-port=22 --subnet 10.0.0.0/24 --config x.toml");
        let search = "--udp-port 22 --subnet 10.0.0.0/24";
        for (text, expected) in [
            ("`oaktap list` shows all", format!("`oaktap list {search}` shows all")),
            (
                "`oaktap doctor 10.0.0.5` or `oaktap list`",
                format!("`oaktap doctor 10.0.0.5 {search}` or `oaktap list {search}`"),
            ),
            ("`oaktap doctor CAMERA` finds", format!("`oaktap doctor CAMERA {search} --config x.toml` finds")),
            (
                "`oaktap bootloader CAMERA update`",
                format!("`oaktap bootloader {search} --config x.toml CAMERA update`"),
            ),
            (
                "`oaktap network CAMERA dhcp --host-wait 30s`",
                format!("`oaktap network {search} --config x.toml CAMERA dhcp --host-wait 30s`"),
            ),
            ("`oaktap inspect FILE` and `front`", "`oaktap inspect FILE` and `front`".to_owned()),
            ("`oaktap flash` writes one", "`oaktap flash` writes one".to_owned()),
            ("`oaktap simulate --help`", "`oaktap simulate --help`".to_owned()),
            (
                "`oaktap list --udp-port 5 --subnet=10.0.9.0/24`",
                "`oaktap list --udp-port 5 --subnet=10.0.9.0/24`".to_owned(),
            ),
            ("`oaktap info 'a b'`", "`oaktap info 'a b'`".to_owned()),
            ("an unpaired ` and `oaktap list", format!("an unpaired ` and `oaktap list {search}")),
        ] {
            let found = repeating_of(text, &given);
            assert_eq!(commands(&found), commands(&expected), "{found}");
            for line in found
                .split('`')
                .filter(|part| part.starts_with("oaktap ") && !part.contains(['\'', '?']) && !part.ends_with("--help"))
            {
                parses(line).unwrap();
            }
        }
        assert_eq!(repeating_of("`oaktap list`", &words("info front")), "`oaktap list`");
        let builds = words("flash front --config x.toml");
        assert_eq!(repeating_of("`oaktap doctor CAMERA`", &builds), "`oaktap doctor CAMERA`");
    }

    #[test]
    fn the_only_file_or_camera_is_named_in_commands() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("my file.mcap");
        std::fs::write(&file, "").expect("a file");
        let (file, quoted) = (file.to_str().expect("UTF-8").to_owned(), shell_word(&file));
        let given = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let text = "FILE: `oaktap recover FILE`, `tail -c 7 FILE > x`, `oaktap doctor CAMERA` and `FILE`";
        let named =
            format!("FILE: `oaktap recover {quoted}`, `tail -c 7 {quoted} > x`, `oaktap doctor CAMERA` and `FILE`");
        assert_eq!(naming_given(text, &given(&["verify", "--json", &file])), named);
        assert_eq!(naming(text, Path::new(&file)), named);
        for several in [&["verify", &file, "b.mcap"][..], &["list"], &["view", "gone.mcap"]] {
            assert_eq!(naming_given(text, &given(several)), text, "{several:?}");
        }
        for (words, camera) in [
            (&["view", "10.0.0.5", "--fps-limit"][..], "10.0.0.5"),
            (&["record", "-o", "x y", "front"], "front"),
            (&["network", "14442C10", "show"], "14442C10"),
            (&["view", "http://10.0.0.5/"], "CAMERA"),
        ] {
            let found = naming_given("`oaktap doctor CAMERA` or CAMERA", &given(words));
            assert_eq!(found, format!("`oaktap doctor {camera}` or CAMERA"));
        }
    }

    /// The words of each command in a text. A global option may stand before or behind the subcommand.
    fn commands(text: &str) -> Vec<Vec<&str>> {
        let commands = text.split('`').filter(|part| part.starts_with("oaktap "));
        let mut commands: Vec<Vec<&str>> = commands.map(|line| line.split(' ').collect()).collect();
        commands.iter_mut().for_each(|words| words.sort_unstable());
        commands
    }
}
