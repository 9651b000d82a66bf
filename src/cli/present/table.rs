//! Tables: rows of aligned columns, and the ledgers of all cameras.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use oaktap::source::{FileSpec, SourceSpec};
use oaktap::stats::{
    BusCounts, DamagePlace, FarCounts, Finding, LatencySummary, SequenceCounts, StreamCounts, Summary, Weight,
};
use oaktap::units::{Bytes, count, rounded_latency, rounded_mbit_s};
use oaktap::wire::{DatagramCounts, LabelTable};

use super::{always_say, naming, naming_camera, printable, say};

/// Heading, whether all commands have the column, and the cell of a camera. The other columns are of commands that show
/// pictures.
type Column = (&'static str, bool, fn(&Summary) -> String);

const COLUMNS: [Column; 13] = [
    ("camera", true, |camera| printable(&camera.name)),
    ("frames", true, |camera| camera.frames.received.to_string()),
    ("shown", false, |camera| camera.frames.shown.to_string()),
    ("damaged", true, |camera| camera.frames.withdrawn.to_string()),
    ("lost", true, |camera| camera.frames.lost.to_string()),
    ("missing", true, missing),
    ("stale", true, |camera| camera.frames.stale.to_string()),
    ("dropped", false, |camera| camera.lanes.iter().map(|lane| lane.dropped).sum::<u64>().to_string()),
    ("MB", true, |camera| format!("{:.1}", camera.bytes.received as f64 / 1e6)),
    ("fps", true, |camera| format!("{:.1}", camera.fps)),
    ("Mbit/s", true, |camera| rounded_mbit_s(camera.mbit_s)),
    ("latency p50", false, |camera| latency(camera, |latency| latency.p50)),
    ("p99", false, |camera| latency(camera, |latency| latency.p99)),
];

/// The command that checks a camera and its network.
const DOCTOR: &str = "`oaktap doctor ";

/// More cameras than this share one row if nothing is missing and nothing is odd.
pub(crate) const LISTED_CAMERAS_MAX: usize = 8;

/// Prints the ledger of each camera as a row on standard error, and a line for each remark. `verbose`: also about pictures
/// that newer ones superseded. `strict`: [`exit_reason`] names the doubts.
pub(crate) fn table(cameras: &[Summary], verbose: bool, strict: bool) {
    say(&ledgers(cameras, verbose, strict));
}

/// Why the program exits with code 3, and the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExitReason {
    pub(crate) text: String,
    pub(crate) help: Cow<'static, str>,
    /// Name of the camera, if it is of one.
    pub(crate) camera: Option<String>,
}

/// Prints each reason, and then each next step once. It names the camera if it is for one.
pub(crate) fn exit_reasons(reasons: &[ExitReason]) {
    reasons.iter().for_each(|reason| always_say(&reason.text));
    let mut helps: Vec<(&str, Vec<Option<&str>>)> = Vec::new();
    for ExitReason { help, camera, .. } in reasons {
        let camera = camera.as_deref();
        match helps.iter_mut().find(|(known, _)| known == help) {
            Some((_, cameras)) if cameras.contains(&camera) => {}
            Some((_, cameras)) => cameras.push(camera),
            None => helps.push((help, vec![camera])),
        }
    }
    for (help, cameras) in helps {
        match cameras[..] {
            [Some(camera)] => always_say(&format!("help: {}", naming_camera(help, camera))),
            _ => always_say(&format!("help: {help}")),
        }
    }
}

/// Returns the next step for a [finding](Finding) about this source.
fn help_for(finding: &Finding, datagrams: Option<DatagramCounts>, source: &SourceSpec) -> Cow<'static, str> {
    let help = help_for_camera(finding, datagrams);
    match (source, finding.count) {
        // The camera cannot be changed or checked now.
        (SourceSpec::File(file), "numbers.not_sent" | "dropped_by_camera" | "missing_in_recording") => {
            naming("the recording has these gaps: `oaktap inspect FILE` lists them", &whole(file)).into()
        }
        (SourceSpec::File(file), _) if help.contains(DOCTOR) => {
            naming("the recording has this damage: `oaktap verify FILE` lists it", &whole(file)).into()
        }
        // The camera is at the far receiver.
        #[cfg(feature = "zenoh")]
        (SourceSpec::Zenoh(_), _) if help.contains(DOCTOR) => {
            "`oaktap doctor` on the far receiver checks its camera; `oaktap fleet --router ROUTER` shows its counts"
                .into()
        }
        // The command would start another simulated camera.
        (SourceSpec::Sim(_), "numbers.not_sent" | "dropped_by_camera") => {
            "the simulated camera had no time to send: lower its frame rate or size".into()
        }
        (SourceSpec::Sim(_), _) if help.contains(DOCTOR) => {
            "the options of the simulated camera ask for it, or this machine had no time for it".into()
        }
        _ => help.into(),
    }
}

/// Returns the path that names a whole recording: its file, or the folder that has all of its files.
fn whole(file: &FileSpec) -> PathBuf {
    if file.later.is_empty() {
        return file.path.clone();
    }
    let is_of_all = |folder: &&Path| file.later.iter().all(|later| later.starts_with(folder));
    let folder = file.path.ancestors().skip(1).find(is_of_all).unwrap_or(Path::new(""));
    if folder.as_os_str().is_empty() { ".".into() } else { folder.to_owned() }
}

fn help_for_camera(finding: &Finding, datagrams: Option<DatagramCounts>) -> &'static str {
    match finding.count {
        "bad_pictures" if datagrams.is_some_and(|counts| counts.whole > 0 && counts.invalid > 0) => {
            "a picture that is larger than a datagram needs the header of 16 bytes before each of its parts: docs/udp.md"
        }
        _ if finding.weight == Weight::Doubt => "without --strict, these are remarks only",
        "no_memory" => "give --buffer more memory, or receive fewer cameras in one command",
        "bad_detections" => {
            "the application on the camera sends boxes in a form that oaktap cannot read; the log names the first"
        }
        "wrong_layouts" => "give the right size and format with --size and --format",
        "video.failed" => {
            "recordings keep the video as it is, for other decoders; README (Streams) lists what is decoded"
        }
        "bad_pictures" => "the application on the camera cuts its JPEGs short: set a lower quality or size there",
        "numbers.not_sent" | "dropped_by_camera" => {
            "the camera had no time to send: lower its frame rate or size, and check the link with `oaktap doctor CAMERA`"
        }
        "missing_in_recording" => "`oaktap inspect FILE` counts what is missing in the recording, and lists its gaps",
        "bus.missing" => {
            "the network to the router or to this host was too slow, or the router was away: docs/zenoh-source.md"
        }
        "bus.dropped_here" => "this host has no time for all cameras: receive fewer of them in one command",
        "bus.invalid" => "check that only oaktap publishes below `oaktap/`; the log names the fault",
        "datagrams.invalid" => {
            "check that only the camera sends to this port; docs/udp.md has the form of its datagrams"
        }
        "datagrams.messages_repeated" => {
            "the sender must give each message the number after that of the message before, and begin at a random one \
             (docs/udp.md)"
        }
        "datagrams.messages_missing" => {
            "the network or this host drops datagrams: `oaktap doctor CAMERA` checks the link, docs/udp.md explains the counts"
        }
        "lanes" => "use a faster disk, or let the reader of the output read faster",
        _ => "`oaktap doctor CAMERA` checks the network and the camera",
    }
}

/// Returns why the program exits with code 3 because of this camera, which has this source.
pub(crate) fn exit_reason(camera: &Summary, source: &SourceSpec, strict: bool) -> Option<ExitReason> {
    let decides = |finding: &&Finding| strict || finding.weight != Weight::Doubt;
    let decisive: Vec<_> = camera.findings.iter().filter(decides).collect();
    let option =
        if decisive.iter().all(|finding| finding.weight == Weight::Doubt) { " because of --strict" } else { "" };
    let texts: Vec<_> = decisive.iter().map(|finding| finding.text.as_str()).collect();
    let help = help_for(decisive.first()?, camera.datagrams, source);
    let text = format!("{}: exit code 3{option}: {}", camera.name, texts.join(", "));
    Some(ExitReason { text, help, camera: Some(camera.name.clone()) })
}

/// Aligns columns to their widest cell: those before `numbers_from` to the left, the others to the right.
pub(crate) fn aligned<R: AsRef<[String]>>(rows: &[R], numbers_from: usize) -> String {
    let rows = || rows.iter().map(AsRef::as_ref);
    let width = |column: usize| rows().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows().next().map_or(0, <[String]>::len)).map(width).collect();
    let mut text = String::new();
    for row in rows() {
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

fn ledgers(cameras: &[Summary], verbose: bool, strict: bool) -> String {
    let shows = cameras.iter().any(|camera| camera.frames.pictures > 0);
    let columns: Vec<_> = COLUMNS.iter().filter(|(_, always, _)| *always || shows).collect();
    let judged: Vec<_> = cameras.iter().map(|camera| (camera, remarks(camera, verbose, strict))).collect();
    let is_fine = |(camera, remarks): &&(&Summary, Vec<String>)| remarks.is_empty() && camera.findings.is_empty();
    let (fine, listed): (Vec<_>, Vec<_>) = judged.iter().partition(is_fine);
    let (fine, listed) = if cameras.len() > LISTED_CAMERAS_MAX && fine.len() > 1 {
        (fine, listed)
    } else {
        (Vec::new(), judged.iter().collect())
    };
    let mut text = String::new();
    if !listed.is_empty() {
        let mut rows = vec![columns.iter().map(|(heading, ..)| (*heading).to_owned()).collect::<Vec<_>>()];
        rows.extend(listed.iter().map(|(camera, _)| columns.iter().map(|(.., cell)| cell(camera)).collect()));
        text = aligned(&rows, 1);
    }
    if !fine.is_empty() {
        text.push_str(&together(fine.iter().map(|(camera, _)| *camera), cameras.len()));
    }
    for (camera, remarks) in &judged {
        for remark in remarks {
            text.extend([camera.name.as_str(), ": ", remark.as_str(), "\n"]);
        }
    }
    text.extend(played_again(cameras));
    text.truncate(text.trim_end().len());
    printable(&text)
}

/// Returns one line for all recordings of which a part was played again: a seek concerns each of them.
fn played_again(cameras: &[Summary]) -> Option<String> {
    let again: Vec<&Summary> = cameras.iter().filter(|camera| camera.frames.repeated > 0).collect();
    let who = match &*again {
        [] => return None,
        [one] => one.name.clone(),
        several => format!("{} cameras", some_of(several.len(), cameras.len())),
    };
    let frames = count(again.iter().map(|camera| camera.frames.repeated).sum(), "frame was", "frames were");
    Some(format!("{who}: {frames} played again: MB and dropped count all, missing and damaged frames count once"))
}

/// Returns the line for cameras of which nothing is missing. `all`: the number of all cameras.
fn together<'a>(cameras: impl Iterator<Item = &'a Summary> + Clone, all: usize) -> String {
    let frames = cameras.clone().map(|camera| camera.frames.received).sum();
    let bytes: u64 = cameras.clone().map(|camera| camera.bytes.received).sum();
    let fps = |pick: fn(f64, f64) -> f64| cameras.clone().map(|camera| camera.fps).reduce(pick).unwrap_or(0.0);
    let (slowest, fastest) = (format!("{:.1}", fps(f64::min)), format!("{:.1}", fps(f64::max)));
    let fps = if slowest == fastest { slowest } else { format!("{slowest} to {fastest}") };
    let (number, frames) = (some_of(cameras.count(), all), count(frames, "frame", "frames"));
    format!("{number} cameras without a loss: {frames}, {fps} fps each, {}\n", Bytes(bytes))
}

/// Formats a number of cameras, and of how many if these are not all.
pub(crate) fn some_of(number: usize, all: usize) -> String {
    if number == all { number.to_string() } else { format!("{number} of {all}") }
}

/// Returns the missing frames. Without frame numbers they are estimated from the rhythm of the frames.
fn missing(camera: &Summary) -> String {
    let estimated = camera.frames.missing_is_estimate();
    format!("{}{}", if estimated { "~" } else { "" }, camera.frames.missing)
}

fn latency(camera: &Summary, at: fn(&LatencySummary) -> u64) -> String {
    let latency = camera.latency_us.as_ref();
    latency.map_or_else(|| "-".to_owned(), |latency| rounded_latency(at(latency)))
}

fn remarks(camera: &Summary, verbose: bool, strict: bool) -> Vec<String> {
    let superseded = camera.lanes.iter().filter(|lane| lane.dropped > 0 && !lane.keeps && verbose).map(|lane| {
        let offered = count(lane.offered, "frame", "frames");
        format!("{}: {} of {offered} dropped (superseded by newer ones)", lane.name, lane.dropped)
    });
    let damage = camera.first_damage.as_ref().map(|place| {
        let DamagePlace { connection, byte, frames, what } = place;
        let frames = count(*frames, "frame", "frames");
        format!("first damage on connection {connection}, byte {byte}, after {frames}: {what}")
    });
    let doubts = camera.findings.iter().filter(|finding| !strict && finding.weight == Weight::Doubt);
    let doubts = doubts.map(|finding| finding.text.clone());
    let numbered = camera.numbers.filter(|counts| counts.numbers > counts.came + counts.away + counts.pending);
    let numbered = numbered.map(|counts| {
        let SequenceCounts { numbers, came, damaged, not_sent, away, pending, .. } = counts;
        let fates = [
            (came, "received"),
            (not_sent, "not sent"),
            (damaged, "lost, damaged or missing"),
            (away, "taken while not connected"),
            (pending, "still on the way"),
        ];
        let fates = fates.iter().filter(|(count, _)| *count > 0).map(|(count, fate)| format!("{count} {fate}"));
        let numbers = count(numbers, "numbered frame", "numbered frames");
        format!("of {numbers}: {}", fates.collect::<Vec<_>>().join(", "))
    });
    let streams = camera.streams.iter().map(|StreamCounts { name, received, .. }| format!("{received} of {name}"));
    let streams = Some(streams.collect::<Vec<_>>().join(", ")).filter(|streams| !streams.is_empty());
    let streams = streams.map(|streams| format!("frames by stream: {streams}"));
    let datagrams = camera.datagrams.and_then(of_datagrams);
    let bus = camera.bus.as_ref().and_then(of_bus);
    let table = camera.introduction.as_ref().and_then(|introduction| introduction.table);
    let names = table.filter(|table| !table.complete).map(|table| {
        let names = count(table.count.into(), "label name", "label names");
        if let Some(found) = table.found {
            let LabelTable { crc32, .. } = table;
            return format!(
                "the camera sent {crc32:08x} as the CRC-32 of its {names} (`@C`), but theirs is {found:08x}: labels are shown as \
                 numbers"
            );
        }
        format!("received only some of the camera's {names}: labels are shown as numbers")
    });
    let bug = (!camera.balances).then(|| "the frame counts do not balance: this is a bug in oaktap".to_owned());
    damage
        .into_iter()
        .chain(doubts)
        .chain(numbered)
        .chain(streams)
        .chain(datagrams)
        .chain(bus)
        .chain(names)
        .chain(superseded)
        .chain(bug)
        .collect()
}

/// Returns the places where frames of a bus were lost; `None` if none were.
fn of_bus(counts: &BusCounts) -> Option<String> {
    let BusCounts { dropped_here, invalid, restarts, far, .. } = *counts;
    let FarCounts { not_sent, lost, estimated, .. } = far.unwrap_or_default();
    if [not_sent, lost, counts.missing, invalid, restarts].iter().all(|count| *count == 0) {
        return None;
    }
    let estimate = if estimated > 0 { "~" } else { "" };
    let far = match far {
        Some(_) => {
            format!("{not_sent} not sent by the camera, {estimate}{lost} before the far receiver (since its start)")
        }
        None => "the far receiver sends no counts".to_owned(),
    };
    let mut text = format!("frames lost: {far}, {} on the bus, {dropped_here} dropped here", counts.lost_on_bus());
    if invalid > 0 {
        text.push_str(&format!("; {} not understood", count(invalid, "message", "messages")));
    }
    if restarts > 0 {
        text.push_str(&format!(
            "; {} of the far receiver, whose gaps are not known",
            count(restarts, "restart", "restarts")
        ));
    }
    Some(text)
}

/// Returns the fates of datagrams that are not in a frame; `None` if all are.
fn of_datagrams(counts: DatagramCounts) -> Option<String> {
    let missing = format!("missing in {}", count(counts.messages_incomplete, "message", "messages"));
    let fates = [
        (counts.missing, missing.as_str()),
        (counts.dropped_by_host.unwrap_or(0), "dropped by this host, whose buffer was full"),
        (counts.invalid, "not understood"),
        (counts.refused, "of another sender"),
        (counts.late, "too late"),
        (counts.duplicate, "received twice"),
        (counts.reordered, "reordered"),
    ];
    let fates: Vec<_> =
        fates.iter().filter(|(count, _)| *count > 0).map(|(count, fate)| format!("{count} {fate}")).collect();
    let received = count(counts.received, "datagram", "datagrams");
    (!fates.is_empty()).then(|| format!("{received} received; {}", fates.join(", ")))
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
        stats.reboots = 1;
        stats.picture(false, 250);
        let odd = stats.summary("b");
        let text = ledgers(&[quiet.clone(), odd], false, false);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        for heading in ["frames", "damaged", "Mbit/s", "p99"] {
            let end = lines[0].find(heading).unwrap() + heading.len();
            for row in &lines[1..3] {
                let cell = &row[..end];
                assert!(cell.ends_with(['0', '-', 's']) && !row[end..].starts_with(['0', '.']), "{heading}: {text}");
            }
        }
        assert_eq!(lines[3], "b: 1 reboot of the camera");
        let recorded = ledgers(&[quiet], false, false);
        let headings = "camera                   frames  damaged  lost  missing  stale   MB  fps  Mbit/s";
        assert_eq!(recorded.lines().next(), Some(headings), "nothing was shown");
    }

    #[test]
    fn the_fates_of_datagrams_are_one_line() {
        let fine =
            DatagramCounts { received: 9, assembled: 9, messages: 2, dropped_by_host: Some(0), ..Default::default() };
        assert_eq!(of_datagrams(fine), None);
        let counts =
            DatagramCounts { missing: 3, messages_incomplete: 1, reordered: 2, dropped_by_host: Some(1), ..fine };
        let text =
            "9 datagrams received; 3 missing in 1 message, 1 dropped by this host, whose buffer was full, 2 reordered";
        assert_eq!(of_datagrams(counts).as_deref(), Some(text));
    }

    #[test]
    fn frames_that_played_again_are_counted_like_their_bytes_and_named() {
        let mut looped = Stats::default();
        looped.event(&Event::Frame(Frame::default().into()));
        looped.repeats(true);
        looped.event(&Event::Frame(Frame::default().into()));
        let text = ledgers(&[looped.summary("a")], false, false);
        let row: Vec<_> = text.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(row[..2], ["a", "2"], "{text}");
        assert!(text.contains("a: 1 frame was played again: MB and dropped count all"), "{text}");
        let fleet: Vec<_> = (0..17).map(|_| looped.summary("a")).chain([Stats::default().summary("b")]).collect();
        let text = ledgers(&fleet, false, false);
        assert_eq!(text.matches("played again").count(), 1, "{text}");
        assert!(text.contains("\n17 of 18 cameras: 17 frames were played again: MB"), "{text}");
        assert_eq!(text.lines().count(), 2, "these cameras lost nothing: {text}");
    }

    #[test]
    fn cameras_of_a_fleet_that_are_fine_share_a_line() {
        let fine = Stats::default().summary("fine");
        let mut stats = Stats::default();
        stats.frames.lost = 1;
        let odd = stats.summary("odd");
        let fleet = [vec![fine; LISTED_CAMERAS_MAX], vec![odd]].concat();
        let text = ledgers(&fleet, false, false);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("odd ") && lines.len() == 3, "{text}");
        assert_eq!(lines[2], "8 of 9 cameras without a loss: 0 frames, 0.0 fps each, 0 bytes");
        assert_eq!(ledgers(&fleet[1..], false, false).lines().count(), 9);
    }

    #[test]
    fn exit_code_3_has_a_reason() {
        let source: SourceSpec = "10.0.0.5".parse().expect("a source");
        let exit_reason = |summary: &Summary, strict| exit_reason(summary, &source, strict);
        let mut stats = Stats::default();
        assert_eq!(exit_reason(&stats.summary("a"), true), None);
        stats.reboots = 2;
        let summary = stats.summary("a");
        assert_eq!(exit_reason(&summary, false), None);
        let strict = "a: exit code 3 because of --strict: 2 reboots of the camera";
        assert_eq!(exit_reason(&summary, true).map(|reason| reason.text).as_deref(), Some(strict));
        assert_eq!(ledgers(&[summary], false, true).lines().count(), 2, "the reason is not repeated");
        stats.frames.lost = 1;
        let reason = exit_reason(&stats.summary("a"), false).expect("a loss");
        assert_eq!(reason.text, "a: exit code 3: 1 lost frame");
        assert!(reason.help.contains("oaktap doctor CAMERA"), "{}", reason.help);
        stats.frames.no_memory = 1;
        let reason = exit_reason(&stats.summary("a"), false).expect("a loss");
        assert!(reason.text.contains("1 frame dropped") && reason.help.contains("--buffer"), "{reason:?}");
    }

    /// A recorded camera cannot be changed now, and a simulated one is not checked by another one.
    #[test]
    fn help_is_for_the_kind_of_source() {
        let mut gap = Stats::default();
        gap.connected();
        for seq in [3, 4, 5, 8] {
            gap.event(&Event::Record(Record::Frame { seq, device_time: DeviceTime(0) }));
            let mut frame = Frame::default();
            frame.camera_seq = Some(seq);
            gap.event(&Event::Frame(frame.into()));
        }
        let mut damage = Stats::default();
        damage.frames.lost = 1;
        let help = |stats: &Stats, source: &str| {
            let source = source.parse().expect("a source");
            exit_reason(&stats.summary("a"), &source, false).expect("a loss").help
        };
        assert!(help(&gap, "10.0.0.5").contains("`oaktap doctor CAMERA`"));
        assert_eq!(help(&gap, "file:x/a.mcap"), "the recording has these gaps: `oaktap inspect x/a.mcap` lists them");
        assert!(help(&damage, "file:x/a.mcap").contains("`oaktap verify x/a.mcap`"));
        let split = |first: &str, later: &str| {
            let file = FileSpec { later: vec![later.into()], ..FileSpec::new(first) };
            exit_reason(&gap.summary("a"), &SourceSpec::File(file), false).expect("a loss").help.into_owned()
        };
        for (first, later, folder) in
            [("x/a/1.mcap", "x/a/2.mcap", "x/a"), ("x/1.mcap", "x/b/2.mcap", "x"), ("1", "2", ".")]
        {
            let expected = format!("the recording has these gaps: `oaktap inspect {folder}` lists them");
            assert_eq!(split(first, later), expected);
        }
        for stats in [&gap, &damage] {
            let help = help(stats, "sim:");
            assert!(help.contains("simulated camera") && !help.contains("oaktap"), "{help}");
        }
    }

    #[test]
    fn numbers_that_did_not_arrive_have_the_words_of_the_table() {
        let mut summary = Stats::default().summary("a");
        summary.numbers = Some(SequenceCounts { numbers: 160, came: 119, damaged: 41, ..SequenceCounts::default() });
        let text = ledgers(&[summary], false, false);
        assert!(text.ends_with("a: of 160 numbered frames: 119 received, 41 lost, damaged or missing"), "{text}");
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
        let mut not_numbered = Stats::default();
        not_numbered.connected();
        not_numbered.event(&Event::Frame(Frame::default().into()));
        let mut with_gap = not_numbered.clone();
        (with_gap.frames.missing, with_gap.frames.estimated) = (3, 3);
        // A recording without numbers has the count of its recorder.
        let mut recorded = not_numbered.clone();
        recorded.missing_in_recording(46, false, "frames lost");
        let summaries = [with_gap.summary("a"), counted.summary("b"), not_numbered.summary("c"), recorded.summary("d")];
        let text = ledgers(&summaries, false, false);
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        assert_eq!([0, 1, 2, 3, 4].map(|line| lines[line][4]), ["missing", "~3", "2", "0", "46"], "{text}");
        assert!(text.contains("b: of 6 numbered frames: 4 received, 2 not sent"), "{text}");
    }
}
