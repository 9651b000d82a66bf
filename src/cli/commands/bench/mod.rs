//! `oaktap bench`: how fast this machine parses, converts, draws, and receives.
//!
//! Without a source, every stage by itself and then all of them over loopback. With one, all of them for every frame of
//! that stream. Each figure stands beside a `memcpy` of as many bytes in the same run: only such ratios can be compared
//! between machines, or between runs on a machine that does other things too.

mod kernels;
mod loopback;
mod measure;
mod plot;
mod report;

use std::io;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use oaktap::frame::{Geometry, PixelFormat};
use oaktap::source::SourceSpec;

use self::measure::Copying;
use self::report::{Report, Row};
use crate::cli::plot_file::PlotFile;
use crate::cli::present::{self, Usage};
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until};

/// Sizes that are measured unless one is asked for.
const SIZES: [(u32, u32); 3] = [(640, 352), (1280, 720), (1920, 1080)];

/// Time for a stage at one size, but for those over loopback.
const EACH: Duration = Duration::from_millis(150);

/// Turns that the receivers over loopback take, and the length of each.
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(400);

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Do all of it with every frame of this stream until it ends, instead of each with made-up ones
    #[arg(value_name = "URI")]
    uri: Option<SourceSpec>,

    /// Draw the results as well
    #[arg(long, value_name = "FILE.svg|png")]
    plot: Option<PlotFile>,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    until: Until,
}

/// Measures, and prints what came out.
///
/// Without a source, `--size` and `--format` say what to measure alone.
pub(crate) fn run(ctx: &Ctx, args: &BenchArgs) -> anyhow::Result<Outcome> {
    let report = match &args.uri {
        Some(spec) => stream(ctx, spec, args)?,
        None if args.until.frames.or(args.until.duration.map(|_| 0)).is_some() => {
            return Err(Usage("--frames and --duration are for a stream: bench URI --frames N".to_owned()).into());
        }
        None => {
            let sizes = args.source.size.map_or(SIZES.to_vec(), |size| vec![size]);
            let formats = args.source.format.map_or(kernels::FORMATS.to_vec(), |format| vec![format]);
            // On a thread that stays where it is: the rest of the process may go where it likes.
            let measuring = std::thread::spawn(move || made_up(&sizes, &formats));
            Report::new(measuring.join().map_err(|_| anyhow::anyhow!("the thread that measures panicked"))??)
        }
    };
    if ctx.json {
        present::document(&report)?;
    } else {
        report.write_table(io::stdout().lock())?;
    }
    if let Some(file) = &args.plot {
        file.write(&report)?;
        present::say(&format!("the plot is in {}", file.path().display()));
    }
    Ok(if report.lossless() { Outcome::Done } else { Outcome::Lossy })
}

fn made_up(sizes: &[(u32, u32)], formats: &[PixelFormat]) -> anyhow::Result<Vec<Row>> {
    measure::stay_on_first_cpu(true);
    let mut rows = Vec::new();
    for size in sizes {
        rows.extend(kernels::measure(*size, formats, EACH)?);
        rows.extend(loopback::measure(*size, ROUNDS, ROUND)?);
    }
    Ok(rows)
}

fn stream(ctx: &Ctx, spec: &SourceSpec, args: &BenchArgs) -> anyhow::Result<Report> {
    ctx.stop.on_signals()?;
    let deadline = args.until.duration.and_then(|duration| Instant::now().checked_add(duration));
    let over = || ctx.stop.asked() || deadline.is_some_and(|deadline| deadline <= Instant::now());
    let style = args.source.style()?;
    let watched = loopback::watch(spec.clone(), args.source.session_options(), style, args.until.frames, over)
        .with_context(|| format!("{spec}: the stream cannot be measured"))?;
    let mut copying = Copying::new(watched.bytes);
    let copy = measure::median(&mut [(); 5].map(|()| copying.seconds()));
    let Geometry { format, width, height, .. } = watched.geometry;
    let row = loopback::row("stream", format, (width, height), watched.bytes, copy, &[watched.pass]);
    Ok(Report { cameras: vec![watched.stats.summary(&spec.to_string())], ..Report::new(vec![row]) })
}

#[cfg(test)]
mod tests {
    use super::measure::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&mut [5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(&mut []), 0.0);
    }
}
