//! Suggestions for commands and options that have another name here.

use std::path::Path;

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use oaktap::file::shell_word;

use super::plain_words;

/// Words that people try, and the command that does it.
const COMMANDS: [(&str, &[&str]); 18] = [
    ("list", &["discover", "discovery", "devices", "device", "cameras", "scan", "search", "find", "ls", "enumerate"]),
    ("view", &["show", "watch", "display", "open", "live", "stream", "connect", "start", "run", "gui", "window"]),
    ("replay", &["play", "playback", "player"]),
    ("record", &["capture", "save", "rec", "dump"]),
    ("snapshot", &["photo", "picture", "pic", "image", "grab", "screenshot", "still"]),
    ("detections", &["detect", "boxes", "objects", "json", "print", "receive"]),
    ("export", &["convert", "extract", "csv", "mp4", "transcode"]),
    ("inspect", &["cat", "describe", "stat", "summary", "metadata"]),
    ("verify", &["check", "validate", "fsck"]),
    ("recover", &["repair", "fix", "restore", "salvage", "rescue"]),
    ("flash", &["install", "deploy", "upload", "write", "program", "burn", "push"]),
    ("doctor", &["diagnose", "debug", "ping", "test", "status", "health", "troubleshoot"]),
    ("reset", &["reboot", "restart"]),
    ("network", &["ip", "net", "dhcp", "static", "ifconfig", "set-ip"]),
    ("simulate", &["sim", "simulator", "fake", "mock", "emulate"]),
    ("publish", &["mqtt", "send", "pub", "home-assistant", "homeassistant"]),
    ("serve", &["web", "server", "restream", "broadcast"]),
    ("bench", &["benchmark", "perf", "speed"]),
];

/// Options that people try, and the name that the option has in every command. Only names that the command has are suggested.
const OPTIONS: [(&str, &[&str]); 12] = [
    ("threshold", &["min-confidence", "confidence", "conf", "score", "min-score"]),
    ("only", &["label", "class", "classes", "filter"]),
    ("frames", &["count", "limit", "number", "max-frames"]),
    ("duration", &["time", "seconds", "timeout", "for", "length"]),
    ("output", &["out", "dir", "output-dir", "folder", "file", "dest"]),
    ("idle-timeout", &["inactivity-timeout", "inactivity", "timeout-idle", "read-timeout", "reconnect-timeout"]),
    ("buffer", &["memory", "max-memory", "mem", "buffer-size", "ram", "cache"]),
    ("listen", &["port", "bind"]),
    ("quiet", &["silent"]),
    ("color", &["colour", "no-color", "no-colour"]),
    ("to", &["format", "as", "type"]),
    ("split", &["max-file-size", "max-size", "file-size", "segment-size", "segment-time", "rotate"]),
];

/// Words for a frame rate. Commands that receive have no option for it.
const FRAME_RATES: [&str; 4] = ["fps", "rate", "framerate", "frame-rate"];

/// Adds a suggestion to an error of the arguments `words`, which begin with the program's name.
pub(super) fn improve(mut error: Error, program: &Command, words: &[String]) -> Error {
    if let Some(text) = plain_value(&error).or_else(|| negative_value(&error, program, words)) {
        return Error::raw(ErrorKind::ValueValidation, format!("{text}\n\nFor more information, try '--help'.\n"));
    }
    let Some(tip) = tip(&error, program, words) else { return error };
    // Names with a similar spelling seldom mean the same.
    error.remove(ContextKind::SuggestedSubcommand);
    error.remove(ContextKind::SuggestedArg);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

fn tip(error: &Error, program: &Command, words: &[String]) -> Option<String> {
    let given = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = given(ContextKind::InvalidSubcommand)?;
            if let Some(command) = meant(&COMMANDS, &word.to_lowercase()) {
                let about = program.find_subcommand(command)?.get_about()?;
                return Some(format!("the command is `oaktap {command}`: {about}"));
            }
            let ends = |end: &str| word.to_lowercase().ends_with(end);
            let quoted = shell_word(Path::new(&word));
            if ends(".mcap") {
                Some(format!(
                    "`oaktap replay {quoted}` plays this recording, and `oaktap inspect {quoted}` describes it"
                ))
            } else if ends(".dap") {
                Some(format!(
                    "`oaktap inspect {quoted}` describes this package, and `oaktap flash CAMERA --app {quoted}` writes it"
                ))
            } else if word.contains(['.', ':', '=']) || word.starts_with(|c: char| c.is_ascii_digit()) {
                Some(format!("`oaktap view {quoted}` shows this camera; `oaktap --help` lists the other commands"))
            } else {
                None
            }
        }
        ErrorKind::UnknownArgument => {
            let given = given(ContextKind::InvalidArg)?;
            let receives = ["view", "record", "serve", "publish", "snapshot", "detections"];
            let name = given.strip_prefix("--")?.split('=').next()?;
            let receives = words.iter().any(|word| receives.contains(&word.as_str()));
            if name == "port" && receives {
                return Some("the port follows the address, such as 192.168.1.50:9876".to_owned());
            }
            if FRAME_RATES.contains(&name) && receives {
                let text = "oaktap receives every frame that the camera sends; its application sets the rate: `oaktap flash \
                            CAMERA --fps N`";
                return Some(text.to_owned());
            }
            let option = meant(&OPTIONS, name)?;
            let command = words.iter().skip(1).find_map(|word| program.find_subcommand(word))?;
            let has = |command: &Command| command.get_arguments().any(|argument| argument.get_long() == Some(option));
            (has(command) || has(program)).then(|| format!("the option is `--{option}`"))
        }
        _ => None,
    }
}

/// Explains the error of a value in the words of users.
fn plain_value(error: &Error) -> Option<String> {
    let source = std::error::Error::source(error).filter(|_| error.kind() == ErrorKind::ValueValidation)?.to_string();
    let plain = plain_words::value(&source)?;
    let text = error.to_string();
    text.strip_prefix("error: ")?.lines().next().map(|line| line.replace(&source, &plain))
}

/// Explains a negative value with a unit, such as `-d -5s`, which looks like an option.
fn negative_value(error: &Error, program: &Command, words: &[String]) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let is_negative =
        |word: &str| word.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let at = words.iter().position(|word| is_negative(word))?;
    let (value, option) = (&words[at], words[..at].last()?);
    let mut command = program;
    let mut arguments: Vec<_> = command.get_arguments().collect();
    for word in &words[1..at] {
        if let Some(inner) = command.find_subcommand(word) {
            command = inner;
            arguments.extend(command.get_arguments());
        }
    }
    let argument = arguments.into_iter().find(|argument| match option.strip_prefix("--") {
        Some(long) => argument.get_long() == Some(long),
        None => option
            .strip_prefix('-')
            .is_some_and(|short| argument.get_short().map(String::from).as_deref() == Some(short)),
    })?;
    let name = argument.get_value_names().filter(|_| argument.get_action().takes_values())?.first()?.as_str();
    let expected = if name == "TIME" { "a time longer than 0" } else { "a positive value" };
    Some(format!("invalid value '{value}' for '{option} <{name}>': expected {expected}, such as {}", &value[1..]))
}

fn meant(table: &[(&'static str, &[&str])], word: &str) -> Option<&'static str> {
    table.iter().find(|(_, words)| words.contains(&word)).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    fn suggested(words: &[&str]) -> String {
        let words: Vec<_> = ["oaktap"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        let error = Cli::command().try_get_matches_from(&words).expect_err("unknown words");
        improve(error, &Cli::command(), &words).to_string()
    }

    #[test]
    fn every_suggested_command_exists_and_no_known_command_is_explained() {
        let program = Cli::command();
        for (command, words) in COMMANDS {
            assert!(program.find_subcommand(command).is_some(), "{command}");
            for word in words {
                assert!(program.find_subcommand(word).is_none(), "`{word}` is a command");
            }
        }
    }

    #[test]
    fn values_are_explained_in_the_words_of_users() {
        for (words, expected) in [
            (
                &["view", "sim:", "-d", "-5s"][..],
                "invalid value '-5s' for '-d <TIME>': expected a time longer than 0, such as 5s",
            ),
            (
                &["record", "sim:", "-o", "x", "--duration", "-1.5min"],
                "'--duration <TIME>': expected a time longer than 0, such as 1.5min",
            ),
            (&["list", "--wait", "-1s"], "'-1s' for '--wait <TIME>'"),
            (&["flash", "sim:", "--idle-timeout", "-1s"], "'-1s' for '--idle-timeout <TIME>'"),
            (
                &["record", "sim:", "-o", "x", "--keep", "-5GB"],
                "'--keep <LIMIT>': expected a positive value, such as 5GB",
            ),
            (&["network", "10.0.0.5", "static", "--idle-timeout", "-2s"], "'-2s' for '--idle-timeout <TIME>'"),
            (&["build", "-o", "x", "--fps", "x"], "invalid value 'x' for '--fps <N>': expected a number such as 0.5"),
            (&["build", "-o", "x", "--quality", "300"], "'--quality <N>': expected a whole number from 0 to 255"),
            (&["build", "-o", "x", "--host", "a"], "'--host <IP>': expected an IPv4 address such as 192.168.1.50"),
            (&["flash", "sim:", "--jobs", "x"], "'--jobs <N>': expected a whole number"),
            (&["view", "-5s"], "unexpected argument '-5' found"),
            (&["view", "sim:", "--strict", "-5s"], "unexpected argument '-5' found"),
        ] {
            let text = suggested(words);
            assert!(text.starts_with("error: ") && text.contains(expected), "{words:?}: {text}");
        }
    }

    #[test]
    fn other_names_of_commands_and_options_are_explained() {
        for (words, tip) in [
            (&["discover"][..], "tip: the command is `oaktap list`: List the cameras in all networks of this host"),
            (&["Devices"], "tip: the command is `oaktap list`"),
            (&["scan"], "tip: the command is `oaktap list`"),
            (&["show", "192.168.1.50"], "tip: the command is `oaktap view`"),
            (&["view", "--fps", "10", "192.168.1.50"], "tip: oaktap receives every frame that the camera sends"),
            (&["view", "10.0.0.5", "--port", "9876"], "tip: the port follows the address"),
            (&["simulate", "--port", "9876"], "tip: the option is `--listen`"),
            (&["record", "--fps=10", "192.168.1.50"], "`oaktap flash CAMERA --fps N`"),
            (&["play", "cam.mcap"], "tip: the command is `oaktap replay`"),
            (&["192.168.1.50"], "tip: `oaktap view 192.168.1.50` shows this camera"),
            (&["cam.mcap"], "tip: `oaktap replay cam.mcap` plays this recording"),
            (&["view", "sim:", "--min-confidence", "0.5"], "tip: the option is `--threshold`"),
            (&["export", "a.mcap", "--label", "person"], "tip: the option is `--only`"),
            (
                &["backup", "192.168.1.50", "-o", "b", "--inactivity-timeout", "9s"],
                "tip: the option is `--idle-timeout`",
            ),
            (&["view", "sim:", "--memory", "1GB"], "tip: the option is `--buffer`"),
            (&["snapshot", "sim:", "--count", "3"], "tip: the option is `--frames`"),
            (&["record", "sim:", "-o", "x", "--max-file-size", "1GB"], "tip: the option is `--split`"),
            (&["record", "sim:", "-o", "x", "--max-file-size=1GB"], "tip: the option is `--split`"),
        ] {
            let text = suggested(words);
            assert!(text.contains(tip), "{words:?}: {text}");
            assert_eq!(text.matches("tip:").count(), 1, "{text}");
        }
        assert!(!suggested(&["list", "--min-confidence", "0.5"]).contains("--threshold"));
    }
}
