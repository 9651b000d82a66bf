//! `oaktap verify`: checks the checksums, indexes and frames of recordings.

use std::path::PathBuf;

use clap::Args;
use oaktap::recording::verify::{VerifyReport, verify_watched};
use oaktap::recording::{MissingFiles, missing_files};
use oaktap::stats::words;
use serde::Serialize;

use crate::cli::present::{self, printable, recording_error};
use crate::cli::recording_files::{FINISHED, UNFINISHED, UnreadFile, find};
use crate::cli::{Ctx, Outcome, json_option};
use oaktap::units::count;

const EXAMPLES: &str = "\
Examples:
  oaktap verify evening.mcap
  oaktap verify recordings/

Checks all checksums and indexes, parses every frame, and decodes JPEG pictures. Video is not decoded.
The end of a file that a recorder is writing is not checked.

Exit codes: 0 all recordings are intact; 1 a recording cannot be read; 3 a recording is damaged, has pictures
that end early or cannot be decoded, or a file of it is missing.";

#[derive(Args, Debug)]
#[command(
    after_help = EXAMPLES,
    arg = json_option("Print the findings as one line of JSON")
)]
pub(crate) struct VerifyArgs {
    /// Recordings to check (also unfinished ones), or folders of them
    #[arg(value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct VerifySummary<'a> {
    command: &'static str,
    files: &'a [VerifyReport],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    missing_files: &'a [MissingFiles],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unread: &'a [UnreadFile],
    total: Total,
}

/// Counts of all files that were checked.
#[derive(Serialize)]
struct Total {
    files: usize,
    /// Intact ones.
    frames: u64,
    damaged: usize,
    /// Files that are not damaged, with pictures that end early or cannot be decoded.
    with_bad_pictures: usize,
    unread: usize,
}

impl Total {
    fn of(all: &[VerifyReport], unread: &[UnreadFile]) -> Self {
        let count = |is_it: fn(&VerifyReport) -> bool| all.iter().filter(|file| is_it(file)).count();
        Self {
            files: all.len() + unread.len(),
            frames: all.iter().map(|file| file.frames).sum(),
            damaged: count(VerifyReport::is_damaged),
            with_bad_pictures: count(|file| !file.is_damaged() && file.bad_pictures > 0),
            unread: unread.len(),
        }
    }

    fn text(&self) -> String {
        let files = count(self.files as u64, "recording", "recordings");
        let frames = count(self.frames, "intact frame", "intact frames");
        format!("{files}, {frames}; {} bad\n", self.damaged + self.with_bad_pictures + self.unread)
    }
}

pub(crate) fn run(ctx: &Ctx, args: &VerifyArgs) -> anyhow::Result<Outcome> {
    let files = find(&args.files, &[FINISHED, UNFINISHED])?;
    let (mut all, mut unread) = (Vec::new(), Vec::new());
    for path in &files {
        let verified = present::watched(ctx, path, |watch| verify_watched(path, watch))?;
        let verified = verified.map_err(|error| recording_error(error, path));
        let verified = match UnreadFile::unless_read(ctx, path, files.len() == 1, verified) {
            Ok(Ok(verified)) => verified,
            Ok(Err(file)) => {
                unread.push(file);
                continue;
            }
            Err(error) if ctx.stop.asked() => return Err(present::detailed(error, checked(ctx, &all, &unread)?)),
            Err(error) => return Err(error),
        };
        if !ctx.json {
            present::result(printable(&text(&verified)).as_bytes())?;
        }
        all.push(verified);
    }
    let missing = missing_files(all.iter().filter_map(|verified| verified.part.clone()).collect(), &files);
    let total = Total::of(&all, &unread);
    let Total { damaged: bad, with_bad_pictures: short, .. } = total;
    if ctx.json {
        let (command, files, unread) = (ctx.command, &all, &unread);
        present::document(&VerifySummary { command, files, missing_files: &missing, unread, total })?;
    } else {
        for files in &missing {
            present::result(format!("{}\n", printable(&files.to_string())).as_bytes())?;
        }
        if files.len() > 1 {
            present::result(total.text().as_bytes())?;
        }
    }
    let partly = all.iter().filter(|verified| verified.is_good() && !verified.unsupported.is_empty()).count();
    let wrong = [
        (bad, "damaged"),
        (short, "with damaged pictures as the camera sent them"),
        (partly, "not supported completely"),
        (unread.len(), "not readable"),
    ]
    .map(|(n, what)| {
        (n > 0).then(|| format!("{n} of {} {what}", count(files.len() as u64, "recording", "recordings")))
    });
    let lost: u64 = missing.iter().map(|missing| missing.files).sum();
    let lost = (lost > 0).then(|| format!("{} missing", count(lost, "file", "files")));
    let wrong: Vec<_> = wrong.into_iter().flatten().chain(lost).collect();
    let help = (bad > 0).then(|| {
        let help = "`oaktap recover FILE` saves the intact frames to a new file";
        match all.iter().find(|verified| verified.is_damaged()).filter(|_| bad == 1) {
            Some(damaged) => present::naming(help, &damaged.path),
            None => help.to_owned(),
        }
    });
    if !unread.is_empty() {
        let error = anyhow::Error::msg(wrong.join(", "));
        return Err(present::with_help(error, help));
    }
    if !wrong.is_empty() {
        present::say(&wrong.join(", "));
        help.inspect(|help| present::say(&format!("help: {help}")));
        return Ok(Outcome::Lossy);
    }
    Ok(Outcome::Done)
}

/// Returns the fields of `--json` for the files that were checked before the user stopped the command.
fn checked(
    ctx: &Ctx,
    files: &[VerifyReport],
    unread: &[UnreadFile],
) -> anyhow::Result<serde_json::Map<String, serde_json::Value>> {
    let total = Total::of(files, unread);
    let summary = VerifySummary { command: ctx.command, files, missing_files: &[], unread, total };
    Ok(match serde_json::to_value(summary)? {
        serde_json::Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    })
}

fn text(verified: &VerifyReport) -> String {
    let mut text: String = verified.findings.iter().map(|finding| format!("{finding}\n")).collect();
    let VerifyReport { path, frames, chunks, found, bad_pictures, .. } = verified;
    if *found > verified.findings.len() as u64 {
        text.push_str(&format!("{}: {} more findings\n", path.display(), found - verified.findings.len() as u64));
    }
    for topic in &verified.unsupported {
        text.push_str(&format!("{}: {topic}\n", path.display()));
    }
    let verdict = match (verified.is_damaged(), *bad_pictures) {
        (false, 0) if verified.being_recorded => "intact so far, still being recorded".to_owned(),
        (false, 0) => "intact".to_owned(),
        (false, frames) => {
            let [one, many] = words::BAD_PICTURES;
            format!("as the camera sent it, with {}", count(frames, one, many))
        }
        (true, _) => format!("damaged in {}", count(*found, "place", "places")),
    };
    let frames = count(*frames, "intact frame", "intact frames");
    let chunks = count(*chunks, "chunk", "chunks");
    let path = path.display();
    if verified.being_recorded {
        // The index, which says what has checksums, is written last.
        text.push_str(&format!("{path}: {verdict}; {frames}, {chunks}\n"));
        return text;
    }
    let parts: Vec<_> = verified.no_checksum.iter().map(|(part, bytes)| format!("{part} {bytes}")).collect();
    let (without, size, parts) = (verified.no_checksum.values().sum::<u64>(), verified.bytes, parts.join(", "));
    let absent: Vec<_> = verified.without.iter().copied().collect();
    let absent = match absent.is_empty() {
        true => String::new(),
        false => format!("; without {}, which MCAP does not require", absent.join(", ")),
    };
    text.push_str(&format!(
        "{path}: {verdict}; {frames}, {chunks}; no checksum for {without} of {size} bytes ({parts}){absent}\n"
    ));
    text
}
