//! `oaktap recover`: saves the intact frames of an unfinished or damaged recording to a new file.

use std::path::PathBuf;

use clap::Args;
use oaktap::recording::recover::{RecoveryReport, default_output_path, recover_watched};
use serde::Serialize;

use crate::cli::present::{self, printable, with_help};
use crate::cli::{Ctx, Outcome, json_option};

const EXAMPLES: &str = "\
Examples:
  oaktap recover evening.mcap.partial
  oaktap recover damaged.mcap -o intact.mcap

Exit codes: 0 saved everything; 3 saved a part; 1 saved nothing.";

#[derive(Args, Debug)]
#[command(
    after_help = EXAMPLES,
    arg = json_option("Print the numbers of saved and lost frames as one line of JSON")
)]
pub(crate) struct RecoverArgs {
    /// Recording to read; it is not changed
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// File to write, which must not exist [default: FILE.recovered.mcap]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct RecoverReport<'a> {
    command: &'static str,
    #[serde(flatten)]
    recovered: &'a RecoveryReport,
}

pub(crate) fn run(ctx: &Ctx, args: &RecoverArgs) -> anyhow::Result<Outcome> {
    let into = args.output.clone().unwrap_or_else(|| default_output_path(&args.file));
    let recovered = present::watched(ctx, &args.file, |watch| recover_watched(&args.file, &into, watch))?;
    let recovered = recovered.map_err(|error| {
        let help = error.help();
        with_help(error.into(), help)
    })?;
    if ctx.json {
        present::document(&RecoverReport { command: ctx.command, recovered: &recovered })?;
    } else {
        present::result(printable(&text(&recovered)).as_bytes())?;
    }
    Ok(if recovered.is_all() { Outcome::Done } else { Outcome::Lossy })
}

fn text(recovered: &RecoveryReport) -> String {
    let RecoveryReport { path, frames, lost_frames, lost_bytes, lost_metadata, unwritten_bytes, .. } = recovered;
    let mut text = format!("saved {frames} frames to {}\n", path.display());
    if *lost_metadata > 0 {
        text.push_str(&format!("{lost_metadata} damaged metadata records: their addresses and class names are lost\n"));
    }
    if *lost_bytes > 0 || *lost_frames > 0 {
        text.push_str(&format!("{lost_bytes} bytes lost"));
        if *lost_frames > 0 {
            text.push_str(&format!("; frames missing: at least {lost_frames}"));
        }
        text.push('\n');
    }
    if *unwritten_bytes > 0 {
        text.push_str(&format!("the last {unwritten_bytes} bytes were never written\n"));
    }
    text
}
