//! `oaktap verify`: whether recordings are as they were written.

use std::path::PathBuf;

use clap::Args;
use oaktap::recording::verify::{VerifyReport, verify};
use serde::Serialize;

use crate::cli::present::{self, printable, recording_error};

use crate::cli::{Ctx, Outcome};

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// Recordings
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Document<'a> {
    command: &'static str,
    files: &'a [VerifyReport],
}

/// Verifies, and says what is wrong.
pub(crate) fn run(ctx: &Ctx, args: &VerifyArgs) -> anyhow::Result<Outcome> {
    let mut all = Vec::new();
    for path in &args.files {
        let verified = verify(path).map_err(recording_error)?;
        if !ctx.json {
            present::result(printable(&text(&verified)).as_bytes())?;
        }
        all.push(verified);
    }
    if ctx.json {
        present::document(&Document { command: "verify", files: &all })?;
    }
    let bad = all.iter().filter(|verified| !verified.is_good()).count();
    if bad > 0 {
        let error = anyhow::anyhow!("{bad} of {} recordings are not as they were written", all.len());
        return Err(present::advised(
            error,
            "`oaktap recover FILE` saves every frame that is whole, into another file",
        ));
    }
    Ok(Outcome::Done)
}

fn text(verified: &VerifyReport) -> String {
    let mut text: String = verified.findings.iter().map(|finding| format!("{finding}\n")).collect();
    let VerifyReport { path, frames, chunks, found, .. } = verified;
    if *found > verified.findings.len() as u64 {
        text.push_str(&format!("{}: {} more\n", path.display(), found - verified.findings.len() as u64));
    }
    let verdict = if verified.is_good() { "good".to_owned() } else { format!("damaged in {found} places") };
    text.push_str(&format!("{}: {verdict}; {frames} whole frames, {chunks} chunks\n", path.display()));
    text
}
