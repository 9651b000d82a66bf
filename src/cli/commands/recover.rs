//! `oaktap recover`: saves the intact frames of an unfinished or damaged recording to a new file.

use std::path::PathBuf;

use clap::Args;
use oaktap::recording::recover::{RecoveryReport, default_output_path, recover_watched};
use serde::Serialize;

use crate::cli::present::{self, Usage, printable, with_help};
use crate::cli::recording_files::{UNFINISHED, UnreadFile, find};
use crate::cli::{Ctx, Outcome, json_option};

const EXAMPLES: &str = "\
Examples:
  oaktap recover evening.mcap.partial
  oaktap recover damaged.mcap -o intact.mcap
  oaktap recover recordings/

Exit codes: 0 saved everything; 3 saved a part; 1 saved nothing.";

#[derive(Args, Debug)]
#[command(
    after_help = EXAMPLES,
    arg = json_option("Print the numbers of saved and lost frames as one line of JSON")
)]
pub(crate) struct RecoverArgs {
    /// Recordings to read, which are not changed, or folders of unfinished ones (*.mcap.partial)
    #[arg(value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,

    /// File to write for one recording, which must not exist [default: FILE.recovered.mcap]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The document for one file.
#[derive(Serialize)]
struct RecoverReport<'a> {
    command: &'static str,
    #[serde(flatten)]
    recovered: &'a RecoveryReport,
}

/// The document for several files, or a folder.
#[derive(Serialize)]
struct RecoverReports<'a> {
    command: &'static str,
    files: &'a [RecoveryReport],
    unread: &'a [UnreadFile],
}

pub(crate) fn run(ctx: &Ctx, args: &RecoverArgs) -> anyhow::Result<Outcome> {
    let files = find(&args.files, &[UNFINISHED])?;
    if args.output.is_some() && files.len() > 1 {
        return Err(Usage(format!("--output takes one recording, found {}", files.len())).into());
    }
    let is_alone = args.files.len() == 1 && !args.files[0].is_dir();
    let (mut all, mut unread) = (Vec::new(), Vec::new());
    for path in &files {
        let into = args.output.clone().unwrap_or_else(|| default_output_path(path));
        // The folder may have been recovered before.
        if !args.files.contains(path) && into.exists() {
            present::say(&format!("{}: left out, because {} exists", path.display(), into.display()));
            continue;
        }
        let recovered = present::watched(ctx, path, |watch| recover_watched(path, &into, watch))?;
        let recovered = recovered.map_err(|error| {
            let help = error.help();
            with_help(error.into(), help)
        });
        let recovered = match UnreadFile::unless_read(ctx, path, is_alone, recovered)? {
            Ok(recovered) => recovered,
            Err(file) => {
                unread.push(file);
                continue;
            }
        };
        if !ctx.json {
            present::result(printable(&text(&recovered)).as_bytes())?;
        }
        all.push(recovered);
    }
    if ctx.json {
        match &*all {
            [recovered] if is_alone => present::document(&RecoverReport { command: ctx.command, recovered })?,
            files => present::document(&RecoverReports { command: ctx.command, files, unread: &unread })?,
        }
    }
    if !unread.is_empty() {
        anyhow::bail!("{} of {} recordings not recovered", unread.len(), files.len());
    }
    Ok(if all.iter().all(RecoveryReport::is_all) { Outcome::Done } else { Outcome::Lossy })
}

fn text(recovered: &RecoveryReport) -> String {
    let RecoveryReport { path, frames, lost_frames, lost_bytes, lost_metadata, unwritten_bytes, .. } = recovered;
    let RecoveryReport { messages, unverified, left_out, .. } = recovered;
    let mut text = match messages {
        0 => format!("saved {frames} frames to {}\n", path.display()),
        _ => format!("saved {messages} messages of all topics, {frames} of them pictures, to {}\n", path.display()),
    };
    if *unverified > 0 {
        text.push_str(&format!("{unverified} messages are from damaged chunks and may be damaged\n"));
    }
    for what in left_out {
        text.push_str(&format!("left out: {what}\n"));
    }
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
