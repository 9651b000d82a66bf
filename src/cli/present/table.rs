//! Tables: rows of aligned columns, and the ledgers of all cameras.

use oaktap::stats::{DamagePlace, LatencySummary, SequenceCounts, Summary};

use super::{printable, say};

const HEADINGS: [&str; 13] = [
    "camera",
    "frames",
    "shown",
    "damaged",
    "lost",
    "missing",
    "stale",
    "dropped",
    "MB",
    "fps",
    "Mbit/s",
    "latency p50",
    "p99",
];

/// Prints the ledger of each camera as a row on standard error, and a line for each remark. `verbose`: also about pictures
/// that newer ones superseded.
pub(crate) fn table(cameras: &[Summary], verbose: bool) {
    say(&ledgers(cameras, verbose));
}

/// Aligns columns to their widest cell: those before `numbers_from` to the left, the others to the right.
pub(crate) fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]], numbers_from: usize) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            let (before, after) = if column < numbers_from { ("", pad.as_str()) } else { (pad.as_str(), "") };
            text.extend([before, cell, after, "  "]);
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

fn ledgers(cameras: &[Summary], verbose: bool) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(cameras.iter().map(row));
    let mut text = aligned(&rows, 1);
    for camera in cameras {
        for remark in remarks(camera, verbose) {
            text.extend([camera.name.as_str(), ": ", remark.as_str(), "\n"]);
        }
    }
    text.truncate(text.trim_end().len());
    printable(&text)
}

fn row(camera: &Summary) -> [String; 13] {
    let frames = &camera.frames;
    let dropped: u64 = camera.lanes.iter().map(|lane| lane.dropped).sum();
    let latency = |at: fn(&LatencySummary) -> u64| {
        camera
            .latency_us
            .as_ref()
            .map_or_else(|| "-".to_owned(), |latency| format!("{:.2} ms", at(latency) as f64 / 1e3))
    };
    [
        printable(&camera.name),
        frames.received.to_string(),
        frames.shown.to_string(),
        frames.withdrawn.to_string(),
        frames.lost.to_string(),
        // A camera that does not number its frames shows losses as gaps in its rhythm only: an estimate.
        format!("{}{}", if camera.numbers.is_none() || frames.estimated > 0 { "~" } else { "" }, frames.missing),
        frames.stale.to_string(),
        dropped.to_string(),
        format!("{:.1}", camera.bytes.received as f64 / 1e6),
        format!("{:.1}", camera.fps),
        format!("{:.1}", camera.mbit_s),
        latency(|latency| latency.p50),
        latency(|latency| latency.p99),
    ]
}

fn remarks(camera: &Summary, verbose: bool) -> Vec<String> {
    let lanes = camera.lanes.iter().filter(|lane| lane.dropped > 0 && (lane.keeps || verbose)).map(|lane| {
        let reason = if lane.keeps { "output was too slow" } else { "superseded by newer ones" };
        format!("{}: {} of {} frames dropped ({reason})", lane.name, lane.dropped, lane.offered)
    });
    let damage = camera.first_damage.as_ref().map(|place| {
        let DamagePlace { connection, byte, frames, what } = place;
        format!("first damage on connection {connection}, byte {byte}, after {frames} frames: {what}")
    });
    let counted = [
        (camera.reconnects, "reconnects"),
        (camera.reboots, "reboots of the camera"),
        (camera.resyncs, "losses of frame sync"),
        (camera.damaged_bytes, "bytes of damaged frames or junk skipped"),
        (camera.bad_detections, "frames with unreadable detections"),
        (camera.dropped_by_camera, "frames dropped by the camera itself"),
        (camera.missing_in_recording, "frames missing in the recording"),
    ];
    let numbered = camera.numbers.filter(|counts| counts.numbers > counts.came).map(|counts| {
        let SequenceCounts { numbers, came, damaged, not_sent, away, pending } = counts;
        let fates = [
            (came, "received"),
            (not_sent, "never sent by the camera"),
            (damaged, "damaged on the way"),
            (away, "sent while not connected"),
            (pending, "still on the way"),
        ];
        let fates = fates.iter().filter(|(count, _)| *count > 0).map(|(count, fate)| format!("{count} {fate}"));
        format!("of {numbers} numbered frames: {}", fates.collect::<Vec<_>>().join(", "))
    });
    let table = camera.introduction.as_ref().and_then(|introduction| introduction.table);
    let names = table.filter(|table| !table.complete).map(|table| {
        format!("received only some of the camera's {} label names: labels are shown as numbers", table.count)
    });
    let counted = counted.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let bug = (!camera.balances).then(|| "the frame counts do not balance: this is a bug in oaktap".to_owned());
    damage.into_iter().chain(counted).chain(numbered).chain(names).chain(lanes).chain(bug).collect()
}

#[cfg(test)]
mod tests {
    use oaktap::frame::{DeviceTime, Frame};
    use oaktap::stats::Stats;
    use oaktap::wire::{Event, Record};

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["id", "state"], ["\u{e4}bc", ""], ["d", "e"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows, 2), "id   state\n\u{e4}bc\nd    e\n");
    }

    #[test]
    fn ledgers_are_aligned_and_followed_by_remarks() {
        let quiet = Stats::default().summary("tcp://192.168.1.50:5000");
        let mut stats = Stats::default();
        stats.reboots = 2;
        let odd = stats.summary("b");
        let text = ledgers(&[quiet, odd], false);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        for heading in ["frames", "damaged", "Mbit/s", "p99"] {
            let end = lines[0].find(heading).unwrap() + heading.len();
            for row in &lines[1..3] {
                let cell = &row[..end];
                assert!(cell.ends_with(['0', '-']) && !row[end..].starts_with(['0', '.']), "{heading}: {text}");
            }
        }
        assert_eq!(lines[3], "b: 2 reboots of the camera");
    }

    #[test]
    fn estimated_numbers_of_missing_frames_are_marked() {
        let mut counted = Stats::default();
        counted.connected();
        for seq in [3, 4, 5, 8] {
            counted.event(&Event::Record(Record::Frame { seq, device_time: DeviceTime(0) }));
            let mut frame = Frame::default();
            frame.camera_seq = Some(seq);
            counted.event(&Event::Frame(frame.into()));
        }
        let text = ledgers(&[Stats::default().summary("a"), counted.summary("b")], false);
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        assert_eq!((lines[0][5], lines[1][5], lines[2][5]), ("missing", "~0", "2"), "{text}");
        assert!(text.ends_with("b: of 6 numbered frames: 4 received, 2 never sent by the camera"), "{text}");
    }
}
