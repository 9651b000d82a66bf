//! The arguments of this program as manual pages.

use anyhow::bail;
use clap::{Args, CommandFactory as _};

use crate::cli::{Cli, Outcome, present};

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// The page of a command, instead of that of the program
    command: Option<String>,
}

/// Prints the page.
pub(crate) fn run(args: &ManArgs) -> anyhow::Result<Outcome> {
    let mut program = Cli::command();
    program.build();
    let asked = match &args.command {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            Some(command) => command.clone().display_name(format!("oaktap-{name}")),
            None => bail!(present::Usage(format!("there is no command `{name}`"))),
        },
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(asked).render(&mut page)?;
    present::result(&page)?;
    Ok(Outcome::Done)
}
