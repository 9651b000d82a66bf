//! `oaktap man`: prints a manual page.

use anyhow::bail;
use clap::{Args, CommandFactory as _};

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
const COMMANDS: [&str; 26] = [
    "list",
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
    let mut page = Vec::new();
    clap_mangen::Man::new(selected).render(&mut page)?;
    present::result(&page)?;
    Ok(Outcome::Done)
}
