//! `oaktap recover`: every whole frame of a torn or damaged recording, in a new file.

use std::path::PathBuf;

use clap::Args;
use oaktap::recording::recover::{RecoveryReport, default_output_path, recover};
use serde::Serialize;

use crate::cli::present::{self, printable, with_help};
use crate::cli::{Ctx, Outcome};

#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 all of it was saved, 3 a part of it, 1 nothing.")]
pub(crate) struct RecoverArgs {
    /// The recording; it is only read
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The new file, which must not exist; FILE.recovered.mcap beside the old one by default
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Document<'a> {
    command: &'static str,
    #[serde(flatten)]
    recovered: &'a RecoveryReport,
}

/// Saves, and says what could not be.
pub(crate) fn run(ctx: &Ctx, args: &RecoverArgs) -> anyhow::Result<Outcome> {
    let into = args.output.clone().unwrap_or_else(|| default_output_path(&args.file));
    let recovered = recover(&args.file, &into).map_err(|error| {
        let help = error.help();
        with_help(error.into(), help)
    })?;
    if ctx.json {
        present::document(&Document { command: "recover", recovered: &recovered })?;
    } else {
        present::result(printable(&text(&recovered)).as_bytes())?;
    }
    Ok(if recovered.is_all() { Outcome::Done } else { Outcome::Lossy })
}

fn text(recovered: &RecoveryReport) -> String {
    let RecoveryReport { path, frames, lost_frames, lost_bytes, unwritten_bytes, .. } = recovered;
    let mut text = format!("{frames} frames saved in {}\n", path.display());
    if !recovered.is_all() {
        text.push_str(&format!("{lost_bytes} bytes could not be saved; at least {lost_frames} frames are missing\n"));
    }
    if *unwritten_bytes > 0 {
        text.push_str(&format!("{unwritten_bytes} bytes at the end were never written\n"));
    }
    text
}
