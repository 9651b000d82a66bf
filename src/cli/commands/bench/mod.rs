//! `oaktap bench`: measures how fast this machine receives, parses, converts and draws.
//!
//! Without a source, it measures each stage alone and then all of them over loopback. With a source, it measures all of
//! them for each frame of that stream. Each figure is compared to a `memcpy` of as many bytes in the same run: only
//! such ratios are comparable between machines, and between runs on a busy machine.

mod kernels;
mod loopback;
mod measure;
mod plot;
mod report;

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use oaktap::frame::{Geometry, PixelFormat};
use oaktap::source::NamedSource;
use oaktap::stats::Summary;

use self::measure::Copying;
use self::report::{BenchReport, Row};
use crate::cli::fleet::FleetArgs;
use crate::cli::plot_file::PlotFile;
use crate::cli::present::{self, Usage, advised};
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option};

/// Sizes to measure without `--size`.
const DEFAULT_SIZES: [(u32, u32); 3] = [(640, 352), (1280, 720), (1920, 1080)];

/// The time to measure one stage at one size, in memory.
const STAGE_TIME: Duration = Duration::from_millis(150);

/// Rounds of each receiver over loopback, and the length of one round.
const ROUNDS: usize = 3;
const ROUND_TIME: Duration = Duration::from_millis(400);

const EXAMPLES: &str = "\
Examples:
  oaktap bench
  oaktap bench --size 1920x1080 --json
  oaktap bench 192.168.1.50 --duration 10s
  oaktap bench --config oaktap.toml --duration 10s

Without a camera, measures each stage with simulated frames of three sizes, or of --size and --format. With cameras, measures \
their streams, one after the other.

The first lines answer how many cameras this machine takes: as many as both its processors and a network port of 1 Gbit/s take.";

#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, arg = json_option("Print the measurements as one line of JSON"))]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    /// Plot the results to this .svg or .png file [default: bench.svg]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
    plot: Option<PlotFile>,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    until: Until,
}

/// Without a camera, `--size` and `--format` restrict what to measure.
pub(crate) fn run(ctx: &Ctx, args: &BenchArgs) -> anyhow::Result<Outcome> {
    let plot = args.plot.as_ref().map(|plot| plot.named("bench"));
    plot.as_ref().map(PlotFile::check).transpose()?;
    let limit = args.until.duration.map(|_| "--duration").or(args.until.frames.map(|_| "--frames"));
    let report = if args.fleet.is_given() {
        let sources = args.fleet.sources_in_turn()?;
        if sources.len() > 1 && limit.is_none() {
            let error =
                Usage(format!("{} cameras are measured one after the other, each without a limit", sources.len()));
            return Err(advised(error.into(), "give --duration or --frames, which hold for each camera"));
        }
        let measured = sources.iter().map(|source| stream(ctx, source, args)).collect::<anyhow::Result<Vec<_>>>()?;
        let (rows, cameras) = measured.into_iter().unzip();
        BenchReport::new(ctx.command, rows, cameras)
    } else if let Some(limit) = limit {
        let error = Usage(format!("{limit} limits the measurement of a camera, but none is given"));
        return Err(advised(error.into(), "such as: oaktap bench 192.168.1.50 --duration 10s"));
    } else {
        let sizes = args.source.size.map_or(DEFAULT_SIZES.to_vec(), |size| vec![size]);
        let formats = args.source.format.map_or(kernels::FORMATS.to_vec(), |format| vec![format]);
        // On a thread of its own, because it is bound to one processor.
        let measuring = std::thread::spawn(move || simulated(&sizes, &formats));
        let rows = measuring.join().map_err(|_| anyhow::anyhow!("the measuring thread panicked"))??;
        BenchReport::new(ctx.command, rows, Vec::new())
    };
    if ctx.json {
        present::document(&report)?;
    } else {
        let mut table = Vec::new();
        report.write_table(&mut table)?;
        present::result(&table)?;
    }
    if let Some(file) = &plot {
        file.write(&report)?;
        present::say(&format!("the plot is in {}", file.path().display()));
    }
    Ok(if report.lossless() { Outcome::Done } else { Outcome::Lossy })
}

fn simulated(sizes: &[(u32, u32)], formats: &[PixelFormat]) -> anyhow::Result<Vec<Row>> {
    measure::stay_on_first_cpu(true);
    let mut rows = Vec::new();
    for (size, number) in sizes.iter().zip(1..) {
        let what = format!("measuring {}x{} ({number} of {} sizes)", size.0, size.1, sizes.len());
        let terminal = io::stderr().is_terminal();
        if !terminal {
            present::say(&format!("{what}: parse, convert, overlay"));
        }
        let begins = |stage: &str| {
            if terminal {
                present::status(&format!("{what}: {stage}"));
            }
        };
        rows.extend(kernels::measure(*size, formats, STAGE_TIME, begins)?);
        begins("receive, stream");
        if !terminal {
            present::say(&format!("{what}: receive, stream"));
        }
        rows.extend(loopback::measure(*size, ROUNDS, ROUND_TIME)?);
        if terminal {
            present::status("");
        }
    }
    Ok(rows)
}

fn stream(ctx: &Ctx, source: &NamedSource, args: &BenchArgs) -> anyhow::Result<(Row, Summary)> {
    ctx.stop.on_signals()?;
    let deadline = args.until.deadline();
    let over = || ctx.stop.asked() || deadline.is_some_and(|deadline| deadline <= Instant::now());
    let style = args.source.style()?;
    let limit = match (args.until.frames, args.until.duration) {
        (None, None) => "until it ends or Ctrl-C",
        _ => "until --frames or --duration",
    };
    present::say(&format!("measuring the stream of {source}, {limit}"));
    let watched = loopback::watch(source.spec.clone(), args.source.session_options(), style, args.until.frames, over)
        .with_context(|| format!("cannot measure the stream of {source}"))?;
    let summary = watched.stats.summary(&source.name.clone().unwrap_or_else(|| source.spec.to_string()));
    // Encoded frames have different lengths.
    let bytes = summary.bytes.payload.checked_div(summary.frames.confirmed).map_or(watched.bytes, |mean| mean as usize);
    let mut copying = Copying::new(bytes);
    let copy = measure::median(&mut [(); 5].map(|()| copying.seconds()));
    let Geometry { format, width, height, .. } = watched.geometry;
    let row = loopback::row("stream", format, (width, height), bytes, copy, &[watched.pass]);
    Ok((row, summary))
}

#[cfg(test)]
mod tests {
    use super::measure::median;

    #[test]
    fn the_median_is_the_middle_value() {
        assert_eq!(median(&mut [5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(&mut []), 0.0);
    }
}
