//! `oaktap detections`: what the network on the camera saw, one line of JSON for each frame.

use std::io::{self, Write as _};
use std::sync::Arc;

use clap::Args;
use oaktap::frame::{Frame, Named};
use oaktap::hub::{Policy, RecvTimeoutError, Taker, lane};
use oaktap::overlay::Style;
use oaktap::source::{Outlets, SourceSpec};
use serde::Serialize;

use crate::cli::live::{Explained, Live};
use crate::cli::source_args::SourceArgs;
use crate::cli::{Ctx, Outcome, Until, json_option, present};

/// Frames that wait while standard output is slow: 1.6 s at 40 a second, 43 MB at 640x352. More is counted as lost.
const WAITING: usize = 64;

#[derive(Args, Debug)]
#[command(arg = json_option("Print a summary with all frame counts as one more line of JSON at the end"))]
pub(crate) struct DetectionsArgs {
    /// Camera: an address (192.168.1.50, tcp://HOST:PORT), listen://:PORT for a camera that connects to this host, sim: for a
    /// simulated camera, or file:PATH for a recording
    #[arg(value_name = "URI")]
    uri: SourceSpec,

    /// Add the SHA-256 of each payload
    #[arg(long)]
    hash: bool,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    pub(crate) until: Until,
}

/// One line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    camera_seq: Option<u64>,
    device_time_us: i64,
    arrival_unix_ns: i64,
    width: Option<u32>,
    height: Option<u32>,
    format: Option<&'a str>,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
    /// As sent: not clamped.
    detections: Vec<Named<'a>>,
}

/// Numbers the frames of all connections: it grows always, and a frame that was withdrawn or dropped leaves a gap.
#[derive(Debug, Default)]
struct Numbering {
    base: u64,
    last: Option<u64>,
}

impl Numbering {
    /// The number of a frame that has this one on its connection.
    fn number(&mut self, id: u64) -> u64 {
        if let Some(last) = self.last.filter(|last| id <= *last) {
            self.base += last + 1;
        }
        self.last = Some(id);
        self.base + id
    }
}

/// Receives, prints, and sums up.
pub(crate) fn run(ctx: &Ctx, args: &DetectionsArgs) -> anyhow::Result<Outcome> {
    let style = args.source.style()?;
    let (lane, taker) = lane("detections", Policy::DropNewest(WAITING));
    let mut outlets = Outlets::default();
    outlets.kept.add(lane);
    let live = Live::start(ctx, vec![(args.uri.clone(), outlets)], &args.source, &args.until)?;
    let printed = print(&live, taker, args, &style);
    let outcome = live.finish(ctx, "detections")?;
    printed.map(|()| outcome)
}

/// Prints until it is over. The lane ends then: what comes later was not asked for, and is no loss.
fn print(live: &Live, taker: Taker<Arc<Frame>>, args: &DetectionsArgs, style: &Style) -> anyhow::Result<()> {
    let mut numbering = Numbering::default();
    let mut explained = Explained::new(args.source.overrides());
    let mut out = io::stdout().lock();
    let mut left = args.until.frames.unwrap_or(u64::MAX);
    while left > 0 && !live.over() {
        let frame = match taker.recv_timeout(live.patience()) {
            Ok(frame) => frame,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        explained.frame(&frame);
        let line = present::json(&describe(&frame, numbering.number(frame.id), style, args.hash))?;
        match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => left -= 1,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break, // Whoever reads has seen enough.
            Err(error) => return Err(anyhow::Error::new(error).context("cannot write to standard output")),
        }
    }
    drop(taker);
    Ok(())
}

fn describe<'a>(frame: &'a Frame, seq: u64, style: &'a Style, hash: bool) -> Line<'a> {
    let names = style.names(frame.labels.as_deref());
    let shown = frame.detections.iter().filter(|detection| style.shows(detection, names));
    Line {
        seq,
        camera_seq: frame.camera_seq,
        device_time_us: frame.device_time.0,
        arrival_unix_ns: frame.received.unix_ns,
        width: frame.geometry.map(|geometry| geometry.width),
        height: frame.geometry.map(|geometry| geometry.height),
        format: frame.format(),
        bytes: frame.payload().len(),
        sha256: hash.then(|| present::sha256(frame.payload())),
        stale: frame.stale,
        detections: shown.map(|detection| detection.named(names)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use oaktap::frame::{BBox, Detection};

    use super::*;

    #[test]
    fn a_line_carries_what_was_sent() {
        let mut frame = Frame::default();
        frame.device_time.0 = -5;
        frame.payload_mut(3).copy_from_slice(b"abc");
        let bbox = BBox { xmin: -0.25, ymin: 0.5, xmax: f32::NAN, ymax: 1.5 };
        frame.detections.push(Detection { label: 0, confidence: 0.893, bbox });
        frame.detections.push(Detection { label: 900, confidence: f32::NAN, bbox: BBox::default() });
        let style = Style::default();
        let line = present::json(&describe(&frame, 7, &style, true)).unwrap();
        assert_eq!(
            line,
            "{\"seq\":7,\"device_time_us\":-5,\"arrival_unix_ns\":0,\"width\":null,\"height\":null,\"format\":null,\
             \"bytes\":3,\"sha256\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\",\
             \"detections\":[\
             {\"label\":0,\"name\":\"person\",\"confidence\":0.893,\"bbox\":[-0.25,0.5,null,1.5]},\
             {\"label\":900,\"name\":\"#900\",\"confidence\":null,\"bbox\":[0.0,0.0,0.0,0.0]}]}\n"
        );
        let sure = Style { threshold: 0.9, ..Style::default() };
        assert!(describe(&frame, 0, &sure, false).detections.is_empty());
    }

    #[test]
    fn numbers_grow_over_connections_and_show_gaps() {
        let mut numbering = Numbering::default();
        let numbers: Vec<_> = [0, 1, 3, 0, 2, 0, 0].into_iter().map(|id| numbering.number(id)).collect();
        assert_eq!(numbers, [0, 1, 3, 4, 6, 7, 8]);
    }
}
