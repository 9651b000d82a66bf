//! `oaktap man`: prints a manual page.

use anyhow::bail;
use clap::{Args, Command, CommandFactory as _};

use crate::cli::value_parsers::one_of;
use crate::cli::{Cli, Outcome, no_json_option, present};

const EXAMPLES: &str = "\
Examples:
  oaktap man record | man -l -
  oaktap man > oaktap.1";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = no_json_option())]
pub(crate) struct ManArgs {
    /// Print the page of this command instead of the one of oaktap
    #[arg(value_name = "COMMAND", hide_possible_values = true, value_parser = one_of(COMMANDS, name))]
    command: Option<String>,
}

/// Every command, for completions.
const COMMANDS: [&str; 30] = [
    "list",
    "fleet",
    "doctor",
    "info",
    "build",
    "flash",
    "erase",
    "reset",
    "boot",
    "network",
    "bootloader",
    "backup",
    "view",
    "demo",
    "snapshot",
    "serve",
    "publish",
    "service",
    "detections",
    "record",
    "inspect",
    "recover",
    "verify",
    "replay",
    "export",
    "control",
    "simulate",
    "bench",
    "completions",
    "man",
];

fn name(name: &str) -> Result<String, String> {
    Ok(name.to_owned())
}

pub(crate) fn run(args: &ManArgs) -> anyhow::Result<Outcome> {
    let mut program = Cli::command();
    program.build();
    let selected = match &args.command {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            Some(command) => command.clone().display_name(format!("oaktap-{name}")),
            None => bail!(present::Usage(format!("unknown command `{name}`"))),
        },
    };
    present::result(page(selected)?.as_bytes())?;
    Ok(Outcome::Done)
}

fn page(command: Command) -> anyhow::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    // The text after the help begins with the examples.
    Ok(String::from_utf8(page)?.replacen(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_a_section_of_examples() {
        let mut program = Cli::command();
        program.build();
        let commands = program.get_subcommands().filter(|command| command.get_name() != "help");
        for command in commands.chain([&program]) {
            let text = page(command.clone()).expect("UTF-8");
            assert!(text.contains("\n.SH EXAMPLES\n  oaktap "), "{}: {text}", command.get_name());
        }
    }
}
