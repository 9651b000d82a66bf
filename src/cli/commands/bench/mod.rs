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

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use oaktap::frame::PixelFormat;
use oaktap::live;
use oaktap::source::NamedSource;
use oaktap::stats::Summary;
use oaktap::units::count;

use self::measure::Copying;
use self::report::{BenchReport, NotMeasured, Row, TooFewFrames};
use crate::cli::fleet::FleetArgs;
use crate::cli::plot_file::PlotFile;
use crate::cli::present::{self, Usage, advised, printable};
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

The first lines answer how many cameras this machine takes: as many as both its processors and a network port of 1 Gbit/s take. \
With several cameras, a line before them has the load of all of them together.";

#[derive(Args, Debug)]
#[command(
    after_help = EXAMPLES,
    arg = json_option("Print the measurements as one line of JSON"),
    mut_arg("frames", |argument| argument.help("Stop after N frames of each camera, without those that waited in it")),
    mut_arg("duration", |argument| argument.help("Stop after this time of each camera, such as 500ms, 10s, 2min or 1h")),
)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    fleet: FleetArgs,

    /// Plot the results to this .svg or .png file [default: bench.svg]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "",
          value_parser = OsStringValueParser::new().try_map(PlotFile::new))]
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
        streams(ctx, &sources, args)?
    } else if let Some(limit) = limit {
        let error = Usage(format!("{limit} limits the measurement of a camera, but none is given"));
        return Err(advised(error.into(), "such as: oaktap bench 192.168.1.50 --duration 10s"));
    } else {
        let sizes = args.source.size.map_or(DEFAULT_SIZES.to_vec(), |size| vec![size]);
        let format = args.source.format;
        // On a thread of its own, because it is bound to one processor.
        let measuring = std::thread::spawn(move || simulated(&sizes, format));
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
    present::exit_reasons(&report.exit_reason().into_iter().collect::<Vec<_>>());
    Ok(if report.is_complete() { Outcome::Done } else { Outcome::Lossy })
}

/// Measures frames of these sizes, of one format or of several that are common.
fn simulated(sizes: &[(u32, u32)], format: Option<PixelFormat>) -> anyhow::Result<Vec<Row>> {
    measure::stay_on_first_cpu(true);
    let mut rows = Vec::new();
    for (size, number) in sizes.iter().zip(1..) {
        let what = format!("measuring {}x{} ({number} of {} sizes)", size.0, size.1, sizes.len());
        let terminal = io::stderr().is_terminal();
        if !terminal {
            present::say(&format!("{what}: parse, decode, convert, overlay"));
        }
        let begins = |stage: &str| {
            if terminal {
                present::status(&format!("{what}: {stage}"));
            }
        };
        rows.extend(kernels::measure(*size, format, STAGE_TIME, begins)?);
        begins("receive, stream");
        if !terminal {
            present::say(&format!("{what}: receive, stream"));
        }
        rows.extend(loopback::measure(*size, format.unwrap_or(kernels::FORMATS[0]), ROUNDS, ROUND_TIME)?);
        if terminal {
            present::status("");
        }
    }
    Ok(rows)
}

/// Measures one camera after the other. The failure of one does not end the others.
///
/// # Errors
/// None of them could be measured.
fn streams(ctx: &Ctx, sources: &[NamedSource], args: &BenchArgs) -> anyhow::Result<BenchReport> {
    let (mut rows, mut cameras, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    let names: Vec<_> = live::cameras(sources).into_iter().map(|camera| camera.name).collect();
    for ((source, name), turn) in sources.iter().zip(&names).zip(1..) {
        let what = format!("cannot measure the stream of {source}");
        let measured = match turn {
            2.. if ctx.stop.asked() => Err(anyhow::anyhow!("stopped before its turn")),
            _ => stream(ctx, source, name, args),
        };
        match measured {
            Ok((row, camera)) => {
                rows.push(row);
                cameras.push(camera);
            }
            Err(error) if sources.len() == 1 => return Err(error.context(what)),
            Err(error) => {
                present::failure_of(&what, &error, ctx.command, Some(name));
                let too_few = present::cause::<TooFewFrames>(&error).filter(|few| few.received > 0).cloned();
                failed.push(NotMeasured { camera: name.clone(), error: printable(&format!("{error:#}")), too_few });
            }
        }
    }
    if rows.is_empty() {
        let names: Vec<_> = failed.iter().map(|failed| failed.camera.as_str()).collect();
        anyhow::bail!("{} of {} cameras failed: {}", failed.len(), sources.len(), present::listed(&names));
    }
    Ok(BenchReport { failed, ..BenchReport::new(ctx.command, rows, cameras) })
}

fn stream(ctx: &Ctx, source: &NamedSource, name: &str, args: &BenchArgs) -> anyhow::Result<(Row, Summary)> {
    ctx.stop.on_signals()?;
    let deadline = args.until.deadline();
    let over = || ctx.stop.asked() || deadline.is_some_and(|deadline| deadline <= Instant::now());
    let style = args.source.style()?;
    present::say(&format!("measuring the stream of {source}, {}", until_text(&args.until)));
    let watched = loopback::watch(source.spec.clone(), args.source.session_options(), style, args.until.frames, over)?;
    let summary = watched.stats.summary(name);
    if let Some((damaged, first)) = &watched.damaged {
        let frames = count(*damaged, "frame", "frames");
        present::always_say(&format!("{name}: {frames} left out of the measurement: {first:#}"));
    }
    // Encoded frames have different lengths.
    let bytes = summary.bytes.payload.checked_div(summary.frames.confirmed).map_or(watched.bytes, |mean| mean as usize);
    let mut copying = Copying::new(bytes);
    let copy = measure::median(&mut [(); 5].map(|()| copying.seconds()));
    let row = loopback::row("stream", watched.format, watched.size, bytes, copy, &[watched.pass]);
    Ok((row, summary))
}

/// Says when the measurement of a camera ends.
fn until_text(until: &Until) -> String {
    let frames = until.frames.map(|frames| count(frames, "frame", "frames"));
    match (frames, until.duration) {
        (None, None) => "until it ends or Ctrl-C".to_owned(),
        (Some(frames), None) => format!("until it has sent {frames}"),
        (None, Some(duration)) => format!("for {duration:?}"),
        (Some(frames), Some(duration)) => format!("until it has sent {frames}, at most for {duration:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::measure::median;
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        assert_eq!(median(&mut [5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(&mut []), 0.0);
    }

    #[test]
    fn the_limits_that_were_given_are_named() {
        let text =
            |frames, seconds: Option<u64>| until_text(&Until { frames, duration: seconds.map(Duration::from_secs) });
        assert_eq!(text(None, None), "until it ends or Ctrl-C");
        assert_eq!(text(Some(1), None), "until it has sent 1 frame");
        assert_eq!(text(None, Some(10)), "for 10s");
        assert_eq!(text(Some(20), Some(60)), "until it has sent 20 frames, at most for 60s");
    }
}
