//! Truncated, bit-flipped and overwritten recordings: every damage is found, and every intact frame is recovered.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use oaktap::frame::{BBox, Detection, DeviceTime, Frame, LabelMap, Received, Staleness};
use oaktap::recording::inspect::inspect;
use oaktap::recording::recover::{RecoverError, default_output_path, recover};
use oaktap::recording::schema::RecordedIncident;
use oaktap::recording::verify::verify;
use oaktap::recording::{CameraInfo, ClockModel, Compression, Reader, RecordingEntry, RecordingError, SegmentWriter};
use sha2::{Digest as _, Sha256};

use crate::program::run;
use crate::recordings;

/// Reproducible pseudorandom numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 20) % n
    }
}

/// A frame's bytes on the wire, and its time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    camera: String,
    id: u64,
    log_ns: i64,
    /// Capture time in units of 10 ms. A finished file has a stored clock, which gives it a little more precisely.
    captured: i64,
    records: Vec<u8>,
    header: Vec<u8>,
    detections: Vec<u8>,
    payload: Vec<u8>,
}

/// Two cameras of different dialects, one chunk per six frames, and an incident between them.
fn write(path: &Path, compression: Compression, frames: usize) {
    let cameras: [(CameraInfo, Vec<_>); 2] = [
        (recordings::camera("door"), recordings::frames("size=16x16&boxes=2&seed=3&records=on", frames)),
        (recordings::camera("yard"), recordings::frames("size=16x16&boxes=1&seed=4&dialect=FRAME&format=JPEG", frames)),
    ];
    let infos: Vec<_> = cameras.iter().map(|(info, _)| info.clone()).collect();
    let file = File::create_new(path).expect("a new file");
    let mut writer = SegmentWriter::new(file, compression, &infos, recordings::START_NS).expect("a recording");
    let mut clocks = [ClockModel::default(), ClockModel::default()];
    for number in 0..frames {
        for (camera, (_, frames)) in cameras.iter().enumerate() {
            let frame: &Frame = &frames[number];
            clocks[camera].observe(frame.device_time, frame.received.unix_ns);
            writer.frame(camera, frame, recordings::taken_ns(frame)).expect("write");
        }
        if number == 1 {
            let lost = RecordedIncident {
                kind: "withdrawn".to_owned(),
                text: "torn".to_owned(),
                ..RecordedIncident::default()
            };
            writer.incident(1, &lost, cameras[1].1[1].received.unix_ns).expect("write");
        }
        if number % 3 == 2 {
            writer.flush().expect("write");
        }
    }
    writer.finish(&clocks.map(|clock| clock.metadata())).expect("write");
}

/// Every frame that a reader returns from a file, up to its first damage.
fn read(path: &Path) -> Result<Vec<Sent>, RecordingError> {
    let mut reader = Reader::open(path)?;
    let names: Vec<_> = reader.cameras().map(|camera| camera.name.clone()).collect();
    let mut all = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let RecordingEntry::Frame(frame) = entry else { continue };
        all.push(Sent {
            camera: names[frame.camera].clone(),
            id: frame.wire.id,
            log_ns: frame.log_ns,
            captured: (frame.publish_ns + 2_000_000) / 10_000_000,
            records: frame.wire.records,
            header: frame.wire.header,
            detections: frame.wire.detections,
            payload: frame.payload,
        });
    }
    all.sort();
    Ok(all)
}

fn hash(path: &Path) -> Vec<u8> {
    Sha256::digest(fs::read(path).expect("a file")).to_vec()
}

fn put(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).expect("a file");
    file.seek(SeekFrom::Start(at)).expect("within it");
    file.write_all(bytes).expect("write");
}

/// Bytes of a chunk before its contents, if these are not compressed.
const CHUNK_HEAD_BYTES: u64 = 49;

/// A folder, a recording in it, its bytes, and the frames in it.
struct Bench {
    _folder: tempfile::TempDir,
    path: PathBuf,
    out: PathBuf,
    bytes: Vec<u8>,
    sent: Vec<Sent>,
    /// Start and end of its chunks.
    chunks: Vec<(u64, u64)>,
}

impl Bench {
    fn new(compression: Compression, frames: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.mcap");
        write(&path, compression, frames);
        let bytes = fs::read(&path).expect("a file");
        let sent = read(&path).expect("an intact file");
        assert_eq!(sent.len(), 2 * frames);
        let reader = Reader::open(&path).expect("an intact file");
        let chunks = reader.chunks().iter().map(|chunk| (chunk.at, chunk.at + chunk.len)).collect();
        Self { out: default_output_path(&path), _folder: folder, path, bytes, sent, chunks }
    }

    /// Recovers the file and returns the number of frames. The result is intact, contains only recorded frames, and is
    /// reported correctly. The original is unchanged.
    fn recovered(&self, what: &str) -> usize {
        let before = hash(&self.path);
        let done = match recover(&self.path, &self.out) {
            Ok(done) => done,
            Err(RecoverError::Nothing { .. }) => {
                assert!(!self.out.exists(), "{what}");
                return 0;
            }
            Err(error) => panic!("{what}: {error:?}"),
        };
        assert_eq!(hash(&self.path), before, "{what}");
        let saved = read(&self.out).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(saved.len() as u64, done.frames, "{what}");
        let strange: Vec<_> = saved.iter().filter(|frame| !self.sent.contains(frame)).collect();
        assert!(strange.is_empty(), "{what}: {strange:?}");
        let verified = verify(&self.out).expect("a file that was just written");
        assert!(verified.is_good(), "{what}: {:?}", verified.findings);
        assert_eq!(verified.frames, done.frames);
        let report = inspect(&self.out).expect("a file that was just written");
        assert!(report.is_whole() && report.frames() == done.frames, "{what}: {report:?}");
        let missing: u64 = report.cameras.iter().map(|camera| camera.missing - camera.damage.withdrawn).sum();
        assert_eq!(missing, done.lost_frames, "{what}");
        fs::remove_file(&self.out).expect("our own package");
        saved.len()
    }

    fn in_a_chunk(&self, at: u64) -> bool {
        self.chunks.iter().any(|(from, to)| (*from..*to).contains(&at))
    }
}

#[test]
fn an_intact_file_passes_and_recovers_completely() {
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let bench = Bench::new(compression, 9);
        let verified = verify(&bench.path).unwrap();
        assert!(verified.is_good(), "{compression:?}: {:#?}", verified.findings);
        assert_eq!((verified.frames, verified.incidents, verified.chunks), (18, 1, bench.chunks.len() as u64));
        assert_eq!(bench.recovered("nothing"), 18);
        let done = recover(&bench.path, &bench.out).unwrap();
        assert!(done.is_all() && done.finished, "{done:?}");
        assert_eq!((done.frames, done.incidents), (18, 1));
        let again = recover(&bench.path, &bench.out).unwrap_err();
        assert!(matches!(&again, RecoverError::Exists(_)) && again.help().is_some(), "{again:?}");
    }
}

#[test]
fn bytes_without_a_checksum_are_counted() {
    let bench = Bench::new(Compression::None, 9);
    let verified = verify(&bench.path).unwrap();
    let heads = CHUNK_HEAD_BYTES * bench.chunks.len() as u64;
    assert_eq!((verified.no_checksum["heads of chunks"], verified.no_checksum["magic numbers"]), (heads, 16));
    let sum: u64 = verified.no_checksum.values().sum();
    let contents: u64 = bench.chunks.iter().map(|(from, to)| to - from - CHUNK_HEAD_BYTES).sum();
    assert!(sum + contents < verified.bytes, "the summary has a checksum: {verified:?}");
    // A summary without it.
    let at = bench.bytes.len() as u64 - 8 - 4;
    put(&bench.path, at, &[0; 4]);
    let without = verify(&bench.path).unwrap().no_checksum;
    assert!(without["other records"] > verified.no_checksum["other records"], "{without:?}");
    // A file that was not finished has no magic at its end.
    fs::write(&bench.path, &bench.bytes[..bench.chunks[1].1 as usize]).expect("a file");
    let torn = verify(&bench.path).unwrap().no_checksum;
    assert_eq!((torn["heads of chunks"], torn["magic numbers"]), (2 * CHUNK_HEAD_BYTES, 8));
}

#[test]
fn a_flipped_byte_is_detected_anywhere() {
    let bench = Bench::new(Compression::None, 2);
    // The header names the library that wrote the file: no reader depends on it.
    let header_end = 8 + 9 + u64::from_le_bytes(bench.bytes[9..17].try_into().unwrap());
    // One checksum covers the contents of a chunk: a part of their bytes suffices, with each of the eight bits.
    let in_contents = |at: u64| bench.chunks.iter().any(|(from, to)| (from + CHUNK_HEAD_BYTES..*to).contains(&at));
    for at in (0..bench.bytes.len() as u64).filter(|at| !in_contents(*at) || at % 7 == 0) {
        let byte = bench.bytes[at as usize];
        put(&bench.path, at, &[byte ^ (1 << (at % 8))]);
        let found = verify(&bench.path).map_or(true, |verified| !verified.is_good());
        assert!(found || (17..header_end).contains(&at), "byte {at} of {}", bench.bytes.len());
        // Reported or not: no panic.
        let _ = read(&bench.path);
        put(&bench.path, at, &[byte]);
    }
    assert!(verify(&bench.path).unwrap().is_good());
}

#[test]
fn a_flipped_byte_loses_at_most_one_frame() {
    let bench = Bench::new(Compression::None, 4);
    let mut random = Random(5);
    let mut at = 0;
    while at < bench.bytes.len() as u64 {
        let byte = bench.bytes[at as usize];
        put(&bench.path, at, &[byte ^ (1 << random.below(8))]);
        let what = format!("byte {at}");
        let saved = bench.recovered(&what);
        let least = bench.sent.len() - usize::from(bench.in_a_chunk(at));
        assert!(saved >= least, "{what}: {saved} frames of {}", bench.sent.len());
        put(&bench.path, at, &[byte]);
        at += 1 + random.below(64);
    }
}

#[test]
fn a_flipped_byte_in_a_compressed_chunk_loses_at_most_that_chunk() {
    for compression in [Compression::Lz4, Compression::Zstd] {
        let bench = Bench::new(compression, 9);
        let mut random = Random(6);
        for _ in 0..300 {
            let at = random.below(bench.bytes.len() as u64);
            let byte = bench.bytes[at as usize];
            put(&bench.path, at, &[byte ^ (1 << random.below(8))]);
            let what = format!("{compression:?}, byte {at}");
            let saved = bench.recovered(&what);
            let least = bench.sent.len() - if bench.in_a_chunk(at) { 6 } else { 0 };
            assert!(saved >= least, "{what}: {saved} frames of {}", bench.sent.len());
            put(&bench.path, at, &[byte]);
        }
    }
}

#[test]
fn a_truncated_file_is_recovered_up_to_its_end() {
    for compression in [Compression::None, Compression::Zstd] {
        let bench = Bench::new(compression, 9);
        let mut random = Random(7);
        let ends = bench.chunks.iter().flat_map(|(from, to)| [*from, *to]);
        let mut cuts: Vec<u64> = ends.flat_map(|end| [end - 1, end, end + 1]).collect();
        cuts.extend((0..100).map(|_| random.below(bench.bytes.len() as u64)));
        for cut in cuts {
            let what = format!("{compression:?}, cut at {cut}");
            fs::write(&bench.path, &bench.bytes[..cut as usize]).unwrap();
            match verify(&bench.path) {
                Ok(verified) => assert!(!verified.is_good(), "{what}"),
                Err(error) => {
                    assert!(matches!(error, RecordingError::NotMcap { .. } | RecordingError::NoCamera { .. }));
                }
            }
            let saved = bench.recovered(&what);
            // The first chunk of the file holds one frame: the second camera's metadata end it.
            let whole: usize =
                (0..).zip(&bench.chunks).filter(|(_, (_, end))| *end <= cut).map(|(n, _)| frames_in(n)).sum();
            assert!(saved >= whole, "{what}: {saved} of {whole}");
            if saved > 0 {
                let report = inspect(&bench.path).unwrap();
                assert_eq!((report.frames(), report.finished), (saved as u64, false), "{what}");
            }
            // Preallocated zeros do not count as loss.
            let mut padded = bench.bytes[..cut as usize].to_vec();
            padded.resize(padded.len() + 5000, 0);
            fs::write(&bench.path, &padded).unwrap();
            assert!(bench.recovered(&what) >= whole, "{what}");
        }
    }
}

/// Frames in the n-th chunk of a file written by [`write`].
fn frames_in(chunk: usize) -> usize {
    match chunk {
        0 => 1,
        1 => 5,
        _ => 6,
    }
}

#[test]
fn an_overwritten_block_loses_only_what_it_covers() {
    for compression in [Compression::None, Compression::Lz4] {
        let bench = Bench::new(compression, 30);
        let mut random = Random(8);
        for round in 0..60_u64 {
            let len = 1 + random.below(1 << (1 + round % 12));
            let at = random.below(bench.bytes.len() as u64 - len);
            let block: Vec<u8> = (0..len).map(|_| if round % 2 == 0 { 0 } else { random.below(256) as u8 }).collect();
            put(&bench.path, at, &block);
            let what = format!("{compression:?}, {len} bytes at {at}");
            let saved = bench.recovered(&what);
            let hit = (0..).zip(&bench.chunks).filter(|(_, (from, to))| *from < at + len && at < *to);
            let least = bench.sent.len() - hit.map(|(n, _)| frames_in(n)).sum::<usize>();
            assert!(saved >= least, "{what}: {saved} frames, {least} were not hit");
            fs::write(&bench.path, &bench.bytes).unwrap();
        }
    }
}

#[test]
fn a_report_describes_the_contents() {
    let bench = Bench::new(Compression::Lz4, 9);
    let report = inspect(&bench.path).unwrap();
    assert!(report.is_whole() && !report.is_complete(), "a frame was withdrawn: {report:?}");
    assert_eq!((report.compression.as_str(), report.chunks), ("lz4", bench.chunks.len() as u64));
    let [door, yard] = &report.cameras[..] else { panic!("{report:?}") };
    assert_eq!((door.name.as_str(), door.address.as_str(), door.frames), ("door", "tcp://door:5000", 9));
    assert_eq!((door.dialects.clone(), yard.dialects.clone()), (vec!["IMG".to_owned()], vec!["FRAME".to_owned()]));
    assert_eq!(door.formats.keys().collect::<Vec<_>>(), ["BGR888p 16x16"]);
    assert_eq!((door.damage.withdrawn, yard.damage.withdrawn, door.missing), (0, 1, 0));
    let torn: Vec<_> = yard.gaps.iter().map(|gap| (gap.frames, gap.why.as_str())).collect();
    assert_eq!((yard.missing, torn), (1, vec![(1, "torn")]), "a frame that was withdrawn has its place");
    assert!((door.fps - 40.0).abs() < 0.01 && (door.seconds - 0.2).abs() < 1e-9, "{door:?}");
    assert_eq!((door.payload.min, door.payload.max, door.payload.total), (768, 768, 9 * 768));
    let interval = door.interval_ms.unwrap();
    assert!((interval.p50 - 25.0).abs() < 0.1 && (interval.max - 25.0).abs() < 0.1, "{interval:?}");
    assert_eq!((door.detections, yard.detections), (18, 9));
    assert_eq!(door.labels.values().sum::<u64>(), 18);
    assert_eq!(door.clock.as_ref().unwrap().frames, 9);
    let all = door.timeline.at_most(1).steps[0];
    assert_eq!((all.frames, all.detections, all.missing), (9, 18, 0));
    // NaN must not make the document invalid.
    assert!(serde_json::to_string(&report).unwrap().contains("\"fps\":40.0"));
}

#[test]
fn missing_frames_are_reported() {
    let bench = Bench::new(Compression::None, 9);
    // The third chunk: six frames, three of each camera.
    let (from, to) = bench.chunks[2];
    put(&bench.path, from, &vec![7; (to - from) as usize]);
    let report = inspect(&bench.path).unwrap();
    assert!(!report.is_whole() && report.damaged_bytes >= to - from, "{report:?}");
    let door = &report.cameras[0];
    assert_eq!((door.frames, door.missing), (6, 3));
    assert_eq!(door.gaps[0].frames, 3);
    let found = verify(&bench.path).unwrap();
    let gap = found.findings.iter().find(|finding| finding.camera.as_deref() == Some("door")).expect("a finding");
    assert_eq!((gap.frame, gap.expected.as_str()), (Some(6), "frame 3"));
    assert!(gap.to_string().contains("a.mcap at byte"), "{gap}");
    let done = recover(&bench.path, &bench.out).unwrap();
    assert_eq!((done.frames, done.lost_frames, done.is_all()), (12, 6, false));
    // The plot explains its red parts, and only if it has any.
    for file in [&bench.path, &bench.out] {
        let plot = file.with_extension("svg");
        let (_, _, said) = run(&["inspect", file.to_str().unwrap(), "--plot", plot.to_str().unwrap()]);
        assert!(fs::read_to_string(&plot).unwrap().contains("red: frames missing"), "{said}");
    }
    let whole = recordings::Recording::of(vec![recordings::frames("size=16x16&records=on", 9)]);
    let plot = whole.path().with_extension("svg");
    let (_, _, said) = run(&["inspect", whole.path().to_str().unwrap(), "--plot", plot.to_str().unwrap()]);
    assert!(!fs::read_to_string(&plot).unwrap().contains("red: "), "{said}");
}

#[test]
fn a_file_that_is_not_a_recording_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let out = folder.path().join("out");
    for (bytes, said) in [
        (&b""[..], "an empty file"),
        (b"P6 a picture", "12 bytes that do not begin like one"),
        (mcap::MAGIC, "one that ends after 8 bytes, before any frame"),
        (&[0; 100_000], "100000 bytes that are all zero"),
        (&[5; 100_000], "100000 bytes that do not begin like one"),
    ] {
        fs::write(&path, bytes).unwrap();
        for error in [inspect(&path).map(|_| ()), verify(&path).map(|_| ())] {
            assert!(
                matches!(error, Err(RecordingError::NotMcap { .. } | RecordingError::NoCamera { .. })),
                "{error:?}"
            );
        }
        let error = recover(&path, &out).expect_err("nothing to save");
        assert!(matches!(error, RecoverError::Nothing { .. }) && error.to_string().ends_with(said), "{error}");
        assert!(!out.exists());
    }
    assert!(matches!(recover(&folder.path().join("none"), &out), Err(RecoverError::Recording(_))));
}

/// The commands on an intact file and on the same file truncated.
#[test]
fn a_plot_without_a_name_gets_one_and_replaces_nothing() {
    let bench = Bench::new(Compression::None, 9);
    let folder = tempfile::tempdir().unwrap();
    let stem = bench.path.file_stem().unwrap().to_str().unwrap();
    for name in [format!("{stem}.svg"), format!("{stem}-1.svg")] {
        let done = crate::program::oaktap(&["inspect", bench.path.to_str().unwrap(), "--plot"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success() && said.contains(&format!("the plot is in {name}")), "{said}");
        assert!(fs::read_to_string(folder.path().join(name)).unwrap().contains("9 frames, 0 missing"));
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

#[test]
fn inspect_names_the_damage_of_joined_files_without_counts_of_zero() {
    let bench = Bench::new(Compression::None, 9);
    let joined = bench.path.with_file_name("joined.mcap");
    fs::write(&joined, [&bench.bytes[..], &bench.bytes].concat()).unwrap();
    let (code, out, _) = run(&["inspect", joined.to_str().unwrap()]);
    assert!(code == 3 && out.contains("  damaged: 1 place\n") && out.contains("another recording"), "{code}: {out}");
}

#[test]
fn the_commands_inspect_verify_and_recover_files() {
    let bench = Bench::new(Compression::None, 9);
    let folder = bench.path.parent().unwrap();
    let path = bench.path.to_str().unwrap();
    let (code, out, _) = run(&["inspect", path]);
    assert_eq!(code, 0);
    for told in ["door", "9 in 0.200 s from 2026-09-21T", "40.00 frames/s", "BGR888p 16x16 (9); 768 bytes", "1 damaged"]
    {
        assert!(out.contains(told), "{told}: {out}");
    }
    assert_eq!(run(&["verify", path]).0, 0);
    let plot = folder.join("plot.svg");
    let (code, out, _) = run(&["inspect", "--json", "--plot", plot.to_str().unwrap(), folder.to_str().unwrap()]);
    let document: serde_json::Value = serde_json::from_str(&out).expect("one document");
    assert_eq!((code, document["summary"]["files"][0]["cameras"][1]["frames"].as_u64()), (0, Some(9)));
    assert!(fs::read_to_string(&plot).unwrap().contains("9 frames, 0 missing, 18 boxes"));

    let torn = folder.join("torn.mcap.partial");
    fs::write(&torn, &bench.bytes[..bench.chunks[2].1 as usize + 7]).unwrap();
    let torn = torn.to_str().unwrap();
    let (code, out, _) = run(&["inspect", torn]);
    assert!(code == 3 && out.contains("unfinished: the end is missing"), "{code}: {out}");
    let (code, out, error) = run(&["verify", torn]);
    assert!(code == 3 && out.contains("the file was not finished") && error.contains("oaktap recover"), "{out}{error}");
    let (code, out, _) = run(&["recover", torn]);
    assert!(code == 3 && out.starts_with("saved 12 frames to ") && out.contains("7 bytes lost"), "{code}: {out}");
    let saved = folder.join("torn.recovered.mcap");
    assert_eq!(run(&["verify", saved.to_str().unwrap()]).0, 0);
    fs::rename(folder.join("torn.mcap.partial.original"), torn).unwrap();
    let (code, _, error) = run(&["recover", torn]);
    assert!(code == 1 && error.contains("help: oaktap does not replace files"), "{code}: {error}");
    let elsewhere = folder.join("elsewhere.mcap");
    let (code, out, _) = run(&["recover", "--json", path, "-o", elsewhere.to_str().unwrap()]);
    let document: serde_json::Value = serde_json::from_str(&out).expect("one document");
    assert_eq!((code, document["summary"]["frames"].as_u64()), (0, Some(18)));
    fs::write(&elsewhere, b"nothing").unwrap();
    for command in ["inspect", "verify", "recover"] {
        let (code, _, error) = run(&[command, elsewhere.to_str().unwrap()]);
        assert!(code == 1 && error.starts_with("error: "), "{command} {code}: {error}");
    }
}

/// Frames of a camera over HTTP: they have the time of their arrival, and class numbers without names.
fn over_http(frames: usize, arrival_ms: impl Fn(usize) -> i64) -> Vec<std::sync::Arc<Frame>> {
    let boxes = r#"[{"label": 16, "confidence": 0.5, "xmin": 0, "ymin": 0, "xmax": 1, "ymax": 1}]"#;
    let jpeg = recordings::frames("size=16x16&format=JPEG", 1)[0].payload().to_vec();
    let frame = |number: usize| {
        let after_ns = arrival_ms(number) * recordings::MS;
        let mut frame = Frame::with_payload(&*jpeg);
        frame.id = number as u64;
        (frame.kind, frame.dialect, frame.no_clock) = (oaktap::frame::PayloadKind::Jpeg, "HTTP", true);
        frame.received = Received { mono_ns: 1 + after_ns as u64, unix_ns: recordings::START_NS + after_ns };
        frame.device_time = DeviceTime(frame.received.unix_ns / 1000);
        frame.detection_text = boxes.into();
        frame.detections = vec![Detection {
            label: 16,
            confidence: 0.5,
            bbox: BBox { xmin: 0.0, ymin: 0.0, xmax: 1.0, ymax: 1.0 },
            ..Detection::default()
        }];
        frame.labels = Some(std::sync::Arc::new(LabelMap::default()));
        std::sync::Arc::new(frame)
    };
    (0..frames).map(frame).collect()
}

#[test]
fn a_camera_over_http_has_no_clock_and_its_pauses_are_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("http.mcap");
    // 20 frames per second, with pauses of 2 s and 13 s.
    let arrival_ms = |n: usize| 50 * n as i64 + if n >= 20 { 2_000 } else { 0 } + if n >= 60 { 13_000 } else { 0 };
    recordings::write(&path, Compression::None, &[(recordings::camera("door"), over_http(100, arrival_ms))]);
    let (code, out, said) = run(&["inspect", path.to_str().expect("text")]);
    assert_eq!(code, 0, "{said}");
    assert!(out.contains("clock      no camera clock: times are those of the arrivals\n"), "{out}");
    let longest = out.find("pause      13.050 s at 4.950 s: ~260 frames at the usual rate\n");
    let other = out.find("pause      2.050 s at 0.950 s: ~40 frames at the usual rate\n");
    assert!(longest.is_some() && longest < other, "the longest first: {out}");
    assert!(out.contains("anomalies  none"), "no estimate of missing frames: {out}");
    assert!(out.contains("boxes      100: dog 100\n"), "the stream has no names, so they are those of COCO: {out}");
    let (_, out, _) = run(&["inspect", path.to_str().expect("text"), "--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let camera = &document["summary"]["files"][0]["cameras"][0];
    assert_eq!(
        (&camera["clock"], &camera["pauses"][0]["frames_at_usual_rate"]),
        (&serde_json::Value::Null, &260.into())
    );
}

#[test]
fn frames_that_waited_in_a_slow_camera_are_not_its_usual_rate() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("slow.mcap");
    let report = |arrival_ms: fn(usize) -> i64, frames: usize| {
        let mut frames = over_http(frames, arrival_ms);
        for frame in frames.iter_mut().take(9) {
            std::sync::Arc::get_mut(frame).expect("the only owner").staleness = Staleness::Known(true);
        }
        let _ = fs::remove_file(&path);
        recordings::write(&path, Compression::None, &[(recordings::camera("door"), frames)]);
        inspect(&path).expect("a recording").cameras.remove(0)
    };
    // Nine frames arrive within 9 ms, then two frames per second.
    let door = report(|n| if n < 9 { n as i64 } else { 1_600 + 500 * (n as i64 - 9) }, 13);
    let interval = door.interval_ms.expect("intervals");
    assert!((499.0..501.0).contains(&interval.p50), "{interval:?}");
    assert!(door.pauses.is_empty(), "{:?}", door.pauses);
    let door = report(|n| if n < 9 { n as i64 } else { 500 * (n as i64 - 8) + if n == 12 { 13_000 } else { 0 } }, 13);
    assert_eq!(door.pauses.iter().map(|pause| pause.frames_at_usual_rate).collect::<Vec<_>>(), [26]);
    // One frame that did not wait has no interval, and no pause before it.
    let door = report(|n| if n < 9 { n as i64 } else { 1_600 }, 10);
    assert!(door.interval_ms.is_none() && door.pauses.is_empty(), "{:?}", door.pauses);
}

#[test]
fn a_recording_of_numbers_alone_is_complete() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("numbers.mcap");
    let write = |path: &Path, values: &[f64]| {
        let file = File::create_new(path).expect("a new file");
        let infos = [recordings::camera("door")];
        let mut writer =
            SegmentWriter::new(file, Compression::None, &infos, recordings::START_NS).expect("a recording");
        for value in values {
            let (kind, text) = ("measurement".to_owned(), "door/average".to_owned());
            let incident = RecordedIncident { kind, text, value: *value, ..RecordedIncident::default() };
            writer.incident(0, &incident, recordings::START_NS).expect("write");
        }
        writer.finish(&[]).expect("write");
    };
    write(&path, &[2.0, 0.5, 1.5]);
    let (code, out, said) = run(&["inspect", path.to_str().expect("text")]);
    assert_eq!((code, said.as_str()), (0, ""), "{out}");
    assert!(out.contains("numbers    door/average: 3 numbers, 0.5 to 2, last 1.5\n"), "{out}");
    let empty = folder.path().join("empty.mcap");
    write(&empty, &[]);
    let (code, _, said) = run(&["inspect", empty.to_str().expect("text")]);
    assert!(code == 3 && said.contains("no frames of door"), "{code}: {said}");
}

#[test]
fn objects_that_a_camera_follows_and_counts_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tracks.mcap");
    let frames = recordings::frames("size=64x48&dialect=ABCDE-256&format=JPEG&boxes=3", 20);
    let ids: std::collections::BTreeSet<u32> =
        frames.iter().flat_map(|frame| &frame.tracks).map(|track| track.id).collect();
    let counters = frames.last().and_then(|frame| frame.counters).expect("counters");
    assert!(ids.len() > 1, "{ids:?}");
    recordings::write(&path, Compression::None, &[(recordings::camera("door"), frames)]);
    let (_, out, said) = run(&["inspect", path.to_str().expect("text")]);
    assert!(out.contains(&format!("tracks     {} objects\n", ids.len())), "{out}{said}");
    assert!(out.contains(&format!("counters   {counters} at the end\n")), "{out}{said}");
    let (_, out, _) = run(&["inspect", path.to_str().expect("text"), "--json"]);
    let document: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let camera = &document["summary"]["files"][0]["cameras"][0];
    assert_eq!((&camera["tracks"], &camera["counters"]["left"]), (&ids.len().into(), &counters.left.into()));
}
