//! `oaktap recover`: saves the intact frames of unfinished and damaged recordings to new files.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use oaktap::file;
use oaktap::recording::recover::{RecoverError, RecoveryReport, default_output_path, recover_watched, set_aside};
use oaktap::recording::verify::verify_watched;
use serde::Serialize;

use crate::cli::present::{self, Usage, printable};
use crate::cli::recording_files::{FINISHED, UNFINISHED, UnreadFile, find, is_folder};
use crate::cli::{Ctx, Outcome, json_option, new_files};

const EXAMPLES: &str = "\
Examples:
  oaktap recover evening.mcap.partial
  oaktap recover damaged.mcap -o intact.mcap
  oaktap recover recordings/
  oaktap recover recordings/ -o /mnt/other/

Exit codes: 0 saved everything; 3 saved a part; 1 saved nothing.";

#[derive(Args, Debug)]
#[command(
    after_help = EXAMPLES,
    arg = json_option("Print the numbers of saved and lost frames as one line of JSON")
)]
pub(crate) struct RecoverArgs {
    /// Recordings, or folders, of which the unfinished and the damaged recordings are recovered
    #[arg(value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,

    /// New file (.mcap) for one recording, or folder for files NAME.recovered.mcap. Without it, writes NAME.recovered.mcap beside the
    /// recording, and then renames the recording to FILE.original
    #[arg(short, long, value_name = "FILE|DIR")]
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
    if let Some(output) = &args.output {
        new_files::refuse_standard_output(output, "a file or folder")?;
    }
    let folder = args.output.as_deref().filter(|output| is_folder(output));
    folder.map(|folder| new_files::check_folder(folder, "recordings")).transpose()?;
    if let (Some(output), None) = (&args.output, folder)
        && !output.to_string_lossy().ends_with(FINISHED)
    {
        let shown = output.display();
        let text = format!(
            "`-o {shown}` does not end with {FINISHED}: expected a file such as {shown}{FINISHED}, or the folder {shown}/"
        );
        return Err(Usage(text).into());
    }
    let found = find(&args.files, &[UNFINISHED, FINISHED])?;
    let is_alone = args.files.len() == 1 && !args.files[0].is_dir();
    // With --output, a copy is what the user asked for.
    let files: Vec<_> = if is_alone && args.output.is_some() { found } else { damaged(ctx, args, found)? };
    if let (Some(output), None) = (&args.output, folder)
        && files.len() > 1
    {
        let (output, files) = (output.display(), files.len());
        return Err(Usage(format!(
            "`-o {output}` is a file for one recording, found {files}: expected `-o {output}/`"
        ))
        .into());
    }
    if files.is_empty() {
        present::say("nothing to recover: no unfinished or damaged recording");
    }
    let (mut all, mut unread) = (Vec::new(), Vec::new());
    for path in &files {
        let is_given = args.files.contains(path);
        if is_given && file::is_locked(path) {
            let busy = Err(being_recorded(path));
            unread.extend(UnreadFile::unless_read::<()>(ctx, path, is_alone, busy)?.err());
            continue;
        }
        let beside = default_output_path(path);
        let into = match (&args.output, folder) {
            (None, _) => beside,
            (Some(_), Some(folder)) => in_folder(folder, &beside, &args.files)?,
            (Some(output), None) => output.clone(),
        };
        if !is_given && into.exists() {
            present::say(&format!("{}: left out, because {} exists", path.display(), into.display()));
            continue;
        }
        let recovered = present::watched(ctx, path, |watch| recover_watched(path, &into, watch))?;
        let mut now = path.clone();
        if let Err(RecoverError::Nothing { .. }) = &recovered
            && !is_given
            && ends_unfinished(path)
        {
            // Otherwise every command that reads the folder would ask to recover it.
            now = set_aside_or_explain(path)?;
            present::say(&format!("{}: renamed to {}", path.display(), now.display()));
        }
        let recovered = recovered.map_err(|error| {
            let help = error.help().map(|help| present::naming(help, &now));
            present::with_help(error.into(), help)
        });
        let mut recovered = match UnreadFile::unless_read(ctx, path, is_alone, recovered)? {
            Ok(recovered) => recovered,
            Err(file) => {
                unread.push(file);
                continue;
            }
        };
        // The recovered file is complete and on the disk. A recorder still needs the name of its file.
        if args.output.is_none() && !file::is_locked(path) {
            recovered.original = Some(set_aside_or_explain(path)?);
        }
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

/// Returns the unfinished and the damaged recordings, of those in folders only the ones that no recorder is writing. A copy
/// of an intact recording would stand beside it, and commands that take the folder would read its frames twice.
fn damaged(ctx: &Ctx, args: &RecoverArgs, found: Vec<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in found {
        let is_given = args.files.contains(&path);
        let is_left_out = if file::is_locked(&path) {
            // One that was given is refused below.
            if !is_given {
                present::say(&format!("{}: left out, because a recorder is writing it", path.display()));
            }
            !is_given
        } else {
            // A file that cannot be verified is reported when it cannot be recovered.
            let is_intact = !ends_unfinished(&path)
                && present::watched(ctx, &path, |watch| verify_watched(&path, watch))?
                    .is_ok_and(|file| !file.is_damaged());
            if is_intact && is_given {
                present::say(&format!("{}: intact, left out", path.display()));
            }
            is_intact
        };
        if !is_left_out {
            files.push(path);
        }
    }
    Ok(files)
}

/// Returns the error of a file whose frames so far would be copied while more are written.
fn being_recorded(path: &Path) -> anyhow::Error {
    let (shown, word) = (path.display(), file::shell_word(path));
    present::advised(
        anyhow::anyhow!("cannot recover {shown}: a recorder is writing it"),
        format!("stop the recorder, or read the file as it is with `oaktap export {word}`"),
    )
}

/// Returns the path of a new file in a folder: below it as in the folder that was given, which is created.
fn in_folder(folder: &Path, beside: &Path, given: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let name = beside.file_name().map(Path::new).unwrap_or(beside);
    let below = given.iter().filter(|given| given.is_dir()).find_map(|given| beside.strip_prefix(given).ok());
    let path = folder.join(below.unwrap_or(name));
    if let Some(parent) = path.parent() {
        new_files::check_folder(parent, "recordings")?;
    }
    Ok(path)
}

fn ends_unfinished(path: &Path) -> bool {
    path.to_string_lossy().ends_with(UNFINISHED)
}

fn set_aside_or_explain(path: &Path) -> anyhow::Result<PathBuf> {
    set_aside(path).with_context(|| format!("cannot rename {}, which other commands still read", path.display()))
}

fn text(recovered: &RecoveryReport) -> String {
    let RecoveryReport { path, frames, lost_frames, lost_bytes, lost_metadata, unwritten_bytes, .. } = recovered;
    let RecoveryReport { messages, unverified, left_out, original, .. } = recovered;
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
    if let Some(original) = original {
        text.push_str(&format!("renamed the original to {}\n", original.display()));
    }
    if *unwritten_bytes > 0 {
        text.push_str(&format!("the last {unwritten_bytes} bytes were never written\n"));
    }
    text
}
