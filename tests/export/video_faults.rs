//! Video that is damaged, incomplete, or faster than the decoder; and recordings of H.265 that are sought.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oaktap::decode::{DecodeError, VideoDecoder};
use oaktap::frame::PayloadKind::{H264, H265};
use oaktap::frame::{Frame, PayloadKind, Pool};
use oaktap::hub::{Policy, Taker, lane};
use oaktap::live::{self, Camera, DecodeFailed, Decoding, Live, PictureLanes};
use oaktap::recording::Compression;
use oaktap::source::{Continuity, FileSpec, SessionOptions, SourceSpec};
use oaktap::stats::{Stats, VideoCounts};

use crate::program::run;
use crate::recordings::{self, MS, Recording, START_NS};
use crate::video_peer::{decoded, encoded, frames};
use crate::{external_tools, frames as made};

const SIZE: &str = "320x180";

/// Returns frames of an encoder with a key frame every ten; `None` without ffmpeg.
fn video(kind: PayloadKind, count: usize) -> Option<Vec<Arc<Frame>>> {
    let ffmpeg = external_tools::system("ffmpeg")?;
    Some(frames(kind, &encoded(ffmpeg, kind, SIZE, count, &["-bf", "0"])))
}

/// Returns the frames with the headers of a camera, 40 ms apart.
fn sent(kind: PayloadKind, stream: &[Arc<Frame>]) -> Vec<Arc<Frame>> {
    let of_camera = |(n, frame): (i64, &Arc<Frame>)| {
        let mut copy = made::frame(n as u64, 40_000 * n, None, frame.payload());
        copy.kind = kind;
        copy.received.mono_ns = 1 + (n * 40 * MS) as u64;
        copy.received.unix_ns = START_NS + n * 40 * MS;
        Arc::new(copy)
    };
    (0..).zip(stream).map(of_camera).collect()
}

/// A decoder of a camera that sends what the test offers.
struct Rig {
    camera: Camera,
    decoding: Option<Decoding>,
    pictures: Taker<Arc<Frame>>,
    errors: Arc<Mutex<Vec<(u64, DecodeError)>>>,
}

impl Rig {
    fn new(mut failed: impl FnMut(u64) + Send + 'static) -> Self {
        let spec: SourceSpec = "tcp://127.0.0.1:1".parse().expect("a source");
        let camera = live::cameras(&[spec]).remove(0);
        let (pictures, taker) = lane("pictures", Policy::DropNewest(1000));
        let errors = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&errors);
        let failed: DecodeFailed = Box::new(move |frame, error| {
            noted.lock().expect("no panic").push((frame.id, error.clone()));
            failed(frame.id);
        });
        let lanes = PictureLanes { provisional: Some(pictures), confirmed: None };
        let decoding = Decoding::start(&camera, lanes, failed).expect("a thread");
        Self { camera, decoding: Some(decoding), pictures: taker, errors }
    }

    fn offer(&self, frame: &Arc<Frame>) {
        self.camera.outlets.provisional.offer(frame);
    }

    fn stats(&self) -> Stats {
        self.camera.outlets.ledger.snapshot()
    }

    /// Offers frames one after the other, as a camera that is slower than the decoder.
    fn feed<'a>(&self, frames: impl IntoIterator<Item = &'a Arc<Frame>>) {
        for frame in frames {
            self.offer(frame);
            until("the frame is taken", || self.stats().lanes.iter().all(|lane| lane.queued == 0));
        }
    }

    /// Ends the decoder. Returns the numbers of the pictures, and the counts.
    fn end(&mut self) -> (Vec<(u64, Vec<u8>)>, VideoCounts) {
        until("everything is decoded", || {
            let stats = self.stats();
            let lane = stats.lanes.iter().find(|lane| lane.name == "decode");
            lane.is_none_or(|lane| lane.queued == 0 && lane.taken == stats.video.taken)
        });
        self.decoding = None;
        let stats = self.stats();
        assert!(stats.balances(), "{:?}", stats.video);
        let pictures = std::iter::from_fn(|| self.pictures.try_take());
        (pictures.map(|picture| (picture.id, picture.payload().to_vec())).collect(), stats.video)
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

fn numbers<T>(pictures: &[(u64, T)]) -> Vec<u64> {
    pictures.iter().map(|(number, _)| *number).collect()
}

/// The camera's bytes had a gap: the frames up to the next key frame depend on what is missing.
#[test]
fn decoding_continues_at_the_next_key_frame_after_lost_frames() {
    for kind in [H264, H265] {
        let Some(sent) = video(kind, 30) else { return };
        let (whole, errors) = decoded(&sent);
        assert_eq!(errors, []);
        let mut rig = Rig::new(|_| {});
        rig.feed(&sent[..14]);
        rig.camera.outlets.continuity.offer(&Continuity::Broken);
        rig.feed(&sent[16..]);
        let (pictures, counts) = rig.end();
        let expected: Vec<u64> = (0..14).chain(20..30).collect();
        assert_eq!(numbers(&pictures), expected, "{kind:?}");
        assert!(pictures.iter().all(|(number, picture)| *picture == whole[*number as usize].1), "{kind:?}");
        let expected = VideoCounts { taken: 28, decoded: 24, failed: 0, skipped: 4, pending: 0 };
        assert_eq!(counts, expected, "{kind:?}");
        assert!(rig.errors.lock().unwrap().iter().all(|(_, error)| *error == DecodeError::AwaitsKeyFrame));
    }
}

/// By default, x265 lets frames refer to pictures before the last key frame.
#[test]
fn a_stream_that_begins_at_an_open_group_skips_the_frames_that_refer_to_earlier_ones() {
    let Some(ffmpeg) = external_tools::system("ffmpeg") else { return };
    // Two B-frames before each key frame.
    let options = ["-x265-params", "log-level=none:keyint=9:min-keyint=9:open-gop=1:bframes=2:b-adapt=0:scenecut=0"];
    let sent = frames(H265, &encoded(ffmpeg, H265, SIZE, 40, &options));
    let (whole, errors) = decoded(&sent);
    assert_eq!((whole.len(), errors), (40, Vec::new()));
    let key = sent.iter().skip(1).position(|frame| frame.is_key_frame()).expect("a second key frame") + 1;
    let leading = sent[key..].iter().take_while(|frame| frame.is_key_frame() || frame.is_rasl()).count() as u64 - 1;
    assert!(leading > 0);

    let mut rig = Rig::new(|_| {});
    rig.feed(&sent[key..]);
    let (pictures, counts) = rig.end();
    let taken = (sent.len() - key) as u64;
    assert_eq!(counts, VideoCounts { taken, decoded: taken - leading, failed: 0, skipped: leading, pending: 0 });
    let of = |number: u64| &whole.iter().find(|(found, _)| *found == number).expect("its picture").1;
    assert!(pictures.iter().all(|(number, picture)| picture == of(*number)));
}

/// No one noticed that a frame is missing, or was cut short: the decoder does.
#[test]
fn missing_and_cut_frames_are_never_shown_as_good_and_end_at_the_next_key_frame() {
    for kind in [H264, H265] {
        let Some(sent) = video(kind, 30) else { return };
        let whole = decoded(&sent).0;
        let cut = |frame: &Frame, bytes: usize| {
            let mut cut = Frame::with_payload(&frame.payload()[..bytes]);
            (cut.id, cut.kind, cut.received) = (frame.id, frame.kind, frame.received);
            Arc::new(cut)
        };
        let missing: Vec<_> = sent[..13].iter().chain(&sent[14..]).cloned().collect();
        let mut short = sent.clone();
        short[13] = cut(&sent[13], sent[13].payload().len() / 2);
        let mut headless = sent.clone();
        headless[13] = cut(&sent[13], 5);
        for (name, stream) in [("missing", missing), ("short", short), ("headless", headless)] {
            let mut rig = Rig::new(|_| {});
            rig.feed(&stream);
            let (pictures, counts) = rig.end();
            let said = format!("{kind:?} {name}: {:?}, {counts:?}", numbers(&pictures));
            let good = |(number, picture): &&(u64, Vec<u8>)| *picture == whole[*number as usize].1;
            let shown: Vec<u64> = numbers(&pictures.iter().filter(good).cloned().collect::<Vec<_>>());
            let before_and_after = |number: &u64| *number < 13 || *number >= 20;
            assert!((0..30).filter(before_and_after).all(|number| shown.contains(&number)), "{said}");
            assert_eq!(counts.taken, stream.len() as u64, "{said}");
            assert_eq!(counts.decoded, pictures.len() as u64, "{said}");
            // A frame that is missing is counted where it was lost. Those that depend on it are intact.
            match name {
                "missing" => assert_eq!((counts.failed, counts.skipped), (0, 6), "{said}"),
                // Only a delimiter is left, which is a frame without a picture.
                "headless" => assert_eq!((counts.failed, counts.skipped), (0, 7), "{said}"),
                _ => assert!(counts.failed >= 1, "{said}"),
            }
            assert_eq!(shown.len(), pictures.len(), "a wrong picture is shown: {said}");
        }
    }
}

/// The numbers of reference frames repeat after 16 frames, so that the decoder alone would not notice this gap.
#[test]
fn gaps_in_the_numbers_of_the_camera_end_at_the_next_key_frame() {
    for kind in [H264, H265] {
        let Some(ffmpeg) = external_tools::system("ffmpeg") else { return };
        let mut options = vec!["-bf", "0", "-g", "40", "-keyint_min", "40"];
        if kind == H265 {
            options.extend(["-x265-params", "log-level=none:keyint=40:min-keyint=40"]);
        }
        let stream = frames(kind, &encoded(ffmpeg, kind, SIZE, 45, &options));
        let whole = decoded(&stream).0;
        let numbered = |number: fn(u64) -> u64| {
            let numbered = |frame: &Arc<Frame>| {
                let mut copy = Frame::with_payload(frame.payload());
                (copy.id, copy.kind, copy.received) = (frame.id, frame.kind, frame.received);
                copy.camera_seq = Some(number(frame.id));
                Arc::new(copy)
            };
            stream.iter().map(numbered).collect::<Vec<_>>()
        };
        for (name, sent, expected) in [
            ("gap", [&numbered(|id| id)[..5], &numbered(|id| id)[21..]].concat(), (5 + 5, 0, 19)),
            ("every second number", numbered(|id| 2 * id), (45 - 39, 0, 39)),
            (
                "one number left out by the encoder",
                [&numbered(|id| id)[..5], &numbered(|id| id.saturating_sub(1))[6..]].concat(),
                (10, 1, 33),
            ),
        ] {
            let mut rig = Rig::new(|_| {});
            rig.feed(&sent);
            let (pictures, counts) = rig.end();
            let said = format!("{kind:?} {name}: {:?}, {counts:?}", numbers(&pictures));
            assert_eq!((counts.decoded, counts.failed, counts.skipped), expected, "{said}");
            assert!(pictures.iter().all(|(number, picture)| *picture == whole[*number as usize].1), "{said}");
        }
    }
}

/// A camera that waited for its first client sends its oldest frames, then those of now. No number shows the gap.
#[test]
fn frames_after_a_gap_are_skipped_by_every_command_that_decodes() {
    let folder = tempfile::tempdir().expect("a folder");
    // Key frames at 0, 30 and 60.
    let mut sent = recordings::frames("size=64x48&format=H264&fps=100", 90);
    sent.drain(9..44);
    let write = |name: &str, frames: &[Arc<Frame>]| {
        let path = folder.path().join(name);
        recordings::write(&path, Compression::None, &[(recordings::camera("front"), frames.to_vec())]);
        path.to_str().expect("a name").to_owned()
    };
    let file = write("gap.mcap", &sent);
    let out = |name: &str| folder.path().join(name).to_str().expect("a name").to_owned();
    let (shots, pictures) = (out("shots"), out("pictures"));
    std::fs::create_dir(&shots).expect("a folder");
    for arguments in [
        &["view", "--no-window", &file][..],
        &["replay", "--no-window", &file],
        &["bench", &file],
        &["snapshot", "-n", "5", "-o", &shots, &file],
        &["export", &file, "--to", "png", "-o", &pictures],
    ] {
        let (code, _, said) = run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}");
        if arguments[0] == "export" {
            assert!(said.contains("39 of 55 frames of the recording exported, 39 files"), "{said}");
            assert!(said.contains("16 frames of front skipped, frames before them are missing: "), "{said}");
        }
    }
    // Nothing can be decoded.
    let file = write("late.mcap", &sent[9..20]);
    for arguments in [
        &["view", "--no-window", &file][..],
        &["replay", "--no-window", "--speed", "max", &file],
        &["bench", &file],
        &["snapshot", "-o", &out("late.png"), &file],
        &["export", &file, "--to", "png", "-o", &out("late")],
        &["export", &file, "-o", &out("late.mp4")],
    ] {
        let (code, _, said) = run(arguments);
        assert_eq!(code, 1, "{arguments:?}: {said}");
        assert!(said.contains("11 frames") && said.contains("key frame"), "{arguments:?}: {said}");
    }
}

/// The decoder waits while more frames arrive than its lane holds: those up to the next key frame are dropped and counted.
#[test]
fn a_decoder_that_is_too_slow_continues_at_a_key_frame_and_the_rest_is_counted() {
    for kind in [H264, H265] {
        let Some(sent) = video(kind, 45) else { return };
        let whole = decoded(&sent).0;
        let (busy, is_busy) = channel();
        let (proceed, may_proceed): (_, Receiver<()>) = channel();
        let mut rig = Rig::new(move |_| {
            busy.send(()).expect("the test waits");
            may_proceed.recv().expect("the test lets it go on");
        });
        // The first frame cannot be decoded, and holds the decoder up.
        let mut invalid = Frame::with_payload([sent[0].payload(), &[0xff; 64]].concat());
        let slice = invalid.payload().windows(4).rposition(|unit| unit[..3] == [0, 0, 1]).expect("a slice");
        let mut bytes = invalid.payload()[..slice + 5].to_vec();
        bytes.extend([0xff; 40]);
        invalid = Frame::with_payload(bytes);
        (invalid.id, invalid.kind) = (1000, kind);
        rig.offer(&Arc::new(invalid));
        is_busy.recv_timeout(Duration::from_secs(60)).expect("the frame is rejected");
        for frame in &sent {
            rig.offer(frame);
        }
        proceed.send(()).expect("the decoder waits");
        let (pictures, counts) = rig.end();
        let lane = rig.stats().lanes.iter().find(|lane| lane.name == "decode").copied().expect("a lane");
        // 16 frames fit: 0 to 15, then 20 to 35, then 40 to 44.
        assert_eq!(numbers(&pictures), [40, 41, 42, 43, 44], "{kind:?}: {lane:?}");
        assert!(pictures.iter().all(|(number, picture)| *picture == whole[*number as usize].1), "{kind:?}");
        assert_eq!((lane.offered, lane.dropped, lane.taken), (46, 40, 6), "{kind:?}");
        assert_eq!((counts.taken, counts.decoded, counts.failed), (6, 5, 1), "{kind:?}: {counts:?}");
    }
}

/// Any frame of a recording of H.265 is shown after a seek, and after steps in both directions, also over a key frame.
#[test]
fn a_recording_of_h265_is_sought_and_stepped_to_any_frame() {
    let Some(stream) = video(H265, 60) else { return };
    let sent = sent(H265, &stream);
    let expected = decoded(&sent).0;
    assert_eq!(expected.len(), 60);
    let recording = Recording::of(vec![sent]);
    let spec = SourceSpec::File(FileSpec::new(recording.path()));
    let cameras = live::cameras(&[spec]);
    let (confirmed, pictures) = lane("pictures", Policy::DropNewest(1000));
    let lanes = PictureLanes { provisional: None, confirmed: Some(confirmed) };
    let _decoding = Decoding::start(&cameras[0], lanes, Box::new(|_, _| {})).expect("a thread");
    let live = Live::start(cameras, &SessionOptions::default()).expect("threads");
    let playback = live.sessions()[0].playback().expect("a recording has one").clone();
    let next = |what: &str, wanted: i64| loop {
        let picture =
            pictures.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("no picture after {what}"));
        let number = (picture.received.unix_ns - START_NS) / MS / 40;
        assert!(picture.payload() == expected[number as usize].1, "{what}: picture {number} is wrong");
        if number == wanted {
            break;
        }
    };
    // The file is open when a picture arrives.
    pictures.recv_timeout(Duration::from_secs(60)).expect("a picture");
    playback.pause(true);
    for (wanted, what) in [(33, "a seek"), (7, "a seek back"), (59, "a seek to the end"), (20, "a seek to a key frame")]
    {
        playback.seek(START_NS + wanted * 40 * MS);
        next(what, wanted);
    }
    for wanted in [19, 18] {
        playback.step_back();
        next("a step back", wanted);
    }
    for wanted in [19, 20, 21] {
        playback.step();
        next("a step", wanted);
    }
    drop(live);
}

/// A generator of the same numbers for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % limit.max(1) as u64) as usize
    }
}

/// Damages a payload in one of several ways.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    match random.below(7) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.below(256) as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..(at + 1 + random.below(64)).min(bytes.len()))),
        4 => {
            let copied = bytes[at..(at + 1 + random.below(64)).min(bytes.len())].to_vec();
            bytes.splice(at..at, copied);
        }
        5 => {
            let end = (at + 1 + random.below(32)).min(bytes.len());
            bytes[at..end].iter_mut().for_each(|byte| *byte = random.below(256) as u8);
        }
        // Parameter sets and slice headers, which are at the beginning, decide more than the rest.
        _ => {
            let early = random.below(bytes.len().min(96));
            bytes[early] ^= 1 << random.below(8);
        }
    }
}

/// Decodes mutated streams until `continues` returns `false` for the number of mutations, with seeds from `seed`. No decoder
/// panics, no frame takes 5 s, and no picture has more pixels than 4096x4096.
fn campaign(seed: u64, mut continues: impl FnMut(u64) -> bool) -> Option<(u64, u64, Duration)> {
    const STREAMS: [(PayloadKind, &[&str]); 4] = [
        (H264, &["-profile:v", "baseline"]),
        (H264, &["-profile:v", "high", "-bf", "0"]),
        (H265, &["-bf", "0"]),
        (H265, &["-bf", "3"]),
    ];
    let mut streams = Vec::new();
    for (kind, options) in STREAMS {
        streams.push(frames(kind, &encoded(external_tools::system("ffmpeg")?, kind, "160x96", 12, options)));
    }
    let (mut mutations, mut pictures, mut slowest) = (0, 0, Duration::ZERO);
    while continues(mutations) {
        let mut random = Random(seed + mutations);
        let mut stream = streams[random.below(streams.len())].clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(stream.len());
            let mut bytes = stream[at].payload().to_vec();
            (0..1 + random.below(4)).for_each(|_| mutate(&mut bytes, &mut random));
            let mut damaged = Frame::with_payload(bytes);
            (damaged.id, damaged.kind, damaged.received) = (stream[at].id, stream[at].kind, stream[at].received);
            stream[at] = Arc::new(damaged);
        }
        match random.below(8) {
            0 => drop(stream.remove(random.below(stream.len()))),
            1 => {
                let (a, b) = (random.below(stream.len()), random.below(stream.len()));
                stream.swap(a, b);
            }
            _ => {}
        }
        let mut decoder = VideoDecoder::new(Pool::default());
        let mut each = |picture: Arc<Frame>| {
            let size = picture.size().expect("a picture has a size");
            assert!(size.pixels() <= 1 << 24, "seed {}: {size}", seed + mutations);
            pictures += 1;
        };
        for frame in &stream {
            let began = Instant::now();
            // Most of them fail.
            let _ = decoder.decode(frame, &mut each);
            let took = began.elapsed();
            assert!(took < Duration::from_secs(5), "seed {}, frame {}: {took:?}", seed + mutations, frame.id);
            slowest = slowest.max(took);
            assert!(decoder.owed().count() <= 32);
        }
        decoder.flush(&mut each);
        mutations += 1;
    }
    Some((mutations, pictures, slowest))
}

/// Resident memory of this process at its highest, in bytes, where the system reports it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}

#[test]
fn mutated_streams_are_decoded_or_rejected() {
    let Some((mutations, pictures, _)) = campaign(1, |mutations| mutations < 300) else { return };
    // Mutations that break everything would test nothing.
    assert!(mutations == 300 && pictures > 300, "{pictures} pictures");
}

/// Ten minutes, or `OAKTAP_CAMPAIGN_SECONDS`: `cargo test --release --test export mutated_streams_for_minutes -- --ignored --nocapture`.
#[test]
#[ignore = "takes ten minutes"]
fn mutated_streams_for_minutes() {
    let seconds = std::env::var("OAKTAP_CAMPAIGN_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let seed = std::env::var("OAKTAP_CAMPAIGN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let end = Instant::now() + Duration::from_secs(seconds);
    let Some((mutations, pictures, slowest)) = campaign(seed, |_| Instant::now() < end) else { return };
    let peak = peak_memory().unwrap_or(0);
    println!(
        "{mutations} mutated streams from seed {seed}, {pictures} pictures, slowest frame {slowest:?}, peak {peak} bytes"
    );
    assert!(peak < 2 << 30, "{peak} bytes");
}

/// Video with B-frames begins with a key frame, which has a picture. The rest is named, with the next step.
#[test]
fn commands_name_video_with_b_frames() {
    let Some(ffmpeg) = external_tools::system("ffmpeg") else { return };
    let stream = frames(H264, &encoded(ffmpeg, H264, SIZE, 20, &["-profile:v", "main", "-bf", "2"]));
    let sent = sent(H264, &stream);
    let recording = Recording::of(vec![sent]);
    let path = recording.path();
    let path = path.to_str().expect("a name");
    let (code, out, said) = run(&["replay", "--no-window", "--json", path]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("frames of video that could not be decoded"), "{said}");
    let summary: serde_json::Value = serde_json::from_str(out.lines().last().expect("a summary")).expect("JSON");
    assert_eq!(summary["summary"]["cameras"][0]["findings"][0]["count"], "video.failed", "{summary}");
    let output = recording.folder.path().join("pictures");
    let (code, _, said) = run(&["export", path, "--to", "png", "-o", output.to_str().expect("a name")]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("video with B-frames is not supported"), "{said}");
    let (code, out, said) = run(&["inspect", path]);
    assert!(code == 0 && out.contains("H264 320x180 (20)"), "{out}{said}");
}

/// The simulator plays H.264 and H.265 of a file, in the size of the file, and `bench` measures it.
#[test]
fn a_simulated_camera_sends_the_video_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    for kind in [H264, H265] {
        let Some(ffmpeg) = external_tools::system("ffmpeg") else { return };
        let stream = encoded(ffmpeg, kind, SIZE, 40, &["-bf", "0"]);
        let file = folder.path().join(kind.name());
        std::fs::write(&file, &stream).expect("a file");
        let config = format!("format={}&images={}&boxes=2&records=on", kind.name(), file.display());
        let sent = recordings::frames(&config, 40);
        assert_eq!(sent[0].size().map(|size| (size.width, size.height)), Some((320, 180)));
        let (pictures, errors) = decoded(&sent);
        assert_eq!(errors, [], "{kind:?}");
        let expected = decoded(&frames(kind, &stream)).0;
        assert!(pictures == expected && pictures.len() == 40, "{kind:?}");
        let (code, out, said) = run(&["bench", "--json", "-n", "30", &format!("sim:?{config}&fps=0")]);
        assert!(matches!(code, 0 | 3), "a busy machine may lose frames: {said}");
        let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        let row = &report["summary"]["rows"][0];
        assert_eq!((&row["what"], &row["width"]), (&kind.name().into(), &320.into()), "{row}");
    }
}
