//! Exports contain exactly the frames that the camera sent.

use std::fs;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use oaktap::convert::{Converter, PackedOrder};
use oaktap::export::{self, Choice, ExportError, ExportFormat, ExportOptions, ExportProgress, ExportReport, TimeSpec};
use oaktap::frame::{BBox, Detection, Frame, Geometry, LabelMap, PixelFormat, Position, Received};
use oaktap::recording::{CameraInfo, Compression};
use serde_json::Value;

use crate::frames;
use crate::recordings;

const SMALL: &str = "size=96x64&records=on&boxes=2&seed=3";

fn options(format: ExportFormat, output: PathBuf) -> ExportOptions {
    ExportOptions {
        format,
        output,
        choice: Choice::default(),
        boxes: false,
        colormap: false,
        quality: None,
        threads: NonZeroUsize::new(2).expect("two"),
    }
}

fn exported(files: &[PathBuf], options: &ExportOptions) -> ExportReport {
    let mut fractions = Vec::new();
    let mut on_progress = |progress: ExportProgress| {
        fractions.push(progress.fraction);
        ControlFlow::Continue(())
    };
    let report = export::export(files, options, &mut on_progress).expect("an export");
    assert!(report.balances(), "{report:?}");
    assert!(fractions.is_sorted() && fractions.iter().all(|share| (0.0..=1.0).contains(share)), "{fractions:?}");
    report
}

/// A recording of one camera.
fn recording(folder: &Path, name: &str, frames: Vec<Arc<Frame>>) -> Vec<PathBuf> {
    let path = folder.join(format!("{name}.mcap"));
    recordings::write(&path, Compression::None, &[(recordings::camera(name), frames)]);
    vec![path]
}

fn made(number: u64, detections: Vec<Detection>, geometry: Option<Geometry>, payload: &[u8]) -> Arc<Frame> {
    let mut frame = frames::frame(number, 25_000 * number as i64, geometry, payload);
    frames::set_detections(&mut frame, detections);
    frame.received = Received { mono_ns: 1 + number, unix_ns: recordings::START_NS + 25_000_000 * number as i64 };
    Arc::new(frame)
}

fn seen(label: u32, confidence: f32, [xmin, ymin, xmax, ymax]: [f32; 4]) -> Detection {
    Detection { label, confidence, bbox: BBox { xmin, ymin, xmax, ymax }, ..Detection::default() }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn rgb(frame: &Frame) -> (Vec<u8>, (u32, u32)) {
    let mut rgb = Vec::new();
    let size = Converter::new().packed(frame, PackedOrder::Rgb, &mut rgb).expect("a picture");
    (rgb, size)
}

#[test]
fn exported_pictures_equal_the_cameras() {
    let folder = tempfile::tempdir().expect("a folder");
    let frames = recordings::frames(SMALL, 20);
    let files = recording(folder.path(), "front", frames.clone());
    let out = folder.path().join("png");
    let report = exported(&files, &options(ExportFormat::Png, out.clone()));
    assert_eq!((report.read, report.written, report.files), (20, 20, 20));
    assert!(report.is_complete());
    let names = names_in(&out);
    assert_eq!(names[0], "front_000000_2026-09-21T14-13-19.995Z.png");
    let mut bytes = 0;
    for (name, frame) in names.iter().zip(&frames) {
        let picture = image::open(out.join(name)).expect("a picture").into_rgb8();
        assert_eq!((picture.as_raw(), picture.dimensions()), (&rgb(frame).0, (96, 64)), "{name}");
        bytes += fs::metadata(out.join(name)).unwrap().len();
    }
    assert_eq!(report.bytes, bytes);
}

#[test]
fn a_jpeg_is_copied_unless_boxes_are_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let frames = recordings::frames("size=96x64&format=JPEG&dialect=IMG&boxes=2&seed=3", 5);
    let files = recording(folder.path(), "a b", frames.clone());
    let out = folder.path().join("jpeg");
    exported(&files, &options(ExportFormat::Jpeg, out.clone()));
    for (name, frame) in names_in(&out).iter().zip(&frames) {
        assert!(name.starts_with("a-b_0000") && name.ends_with("Z.jpg"), "{name}");
        assert_eq!(fs::read(out.join(name)).unwrap(), frame.payload());
    }
    // A quality asks for encoding again.
    let sizes = [20, 60].map(|quality| {
        let out = folder.path().join(format!("quality{quality}"));
        exported(&files, &ExportOptions { quality: Some(quality), ..options(ExportFormat::Jpeg, out.clone()) });
        let file = fs::read(out.join(&names_in(&out)[0])).unwrap();
        let (found, sent) = (image::load_from_memory(&file).expect("a JPEG").into_rgb8(), rgb(&frames[0]).0);
        let far = found.as_raw().iter().zip(&sent).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
        assert!(far / (sent.len() as u64) < 20, "the same picture: {far}");
        file.len()
    });
    assert!(sizes[0] < sizes[1] && sizes[1] < frames[0].payload().len(), "{sizes:?}");
    let out = folder.path().join("boxes");
    let report = exported(&files, &ExportOptions { boxes: true, ..options(ExportFormat::Png, out.clone()) });
    assert_eq!(report.detections, 10);
    let drawn = image::open(out.join(&names_in(&out)[0])).expect("a picture").into_rgb8();
    let plain = rgb(&frames[0]).0;
    let differ = drawn.as_raw().iter().zip(&plain).filter(|(a, b)| a != b).count();
    assert!(differ > 100, "boxes change pixels, not {differ}");
}

#[test]
fn depth_keeps_its_16_bits_unless_colors_or_boxes_are_wanted() {
    let folder = tempfile::tempdir().expect("a folder");
    let padded = Geometry { stride: 24, ..Geometry::tight(PixelFormat::Raw16, 10, 3).expect("a geometry") };
    let samples: Vec<u16> = (0..30).map(|n| n * 2_111).collect();
    let rows = samples.chunks(10).flat_map(|row| row.iter().copied().chain([9, 9]));
    let payload: Vec<u8> = rows.flat_map(u16::to_le_bytes).collect();
    let frame = made(0, vec![seen(0, 0.9, [0.1, 0.1, 0.9, 0.9])], Some(padded), &payload);
    let files = recording(folder.path(), "depth", vec![frame]);
    let export = |name: &str, change: fn(&mut ExportOptions)| {
        let mut options = options(ExportFormat::Png, folder.path().join(name));
        change(&mut options);
        let report = exported(&files, &options);
        assert_eq!(report.written, 1);
        let says_false =
            report.notes.iter().any(|note| note.contains("the depth of depth is exported in false colors"));
        assert_eq!(says_false, options.boxes, "{:?}", report.notes);
        image::open(options.output.join(&names_in(&options.output)[0])).expect("a picture")
    };
    let plain = export("plain", |_| {});
    assert_eq!(plain.color(), image::ColorType::L16);
    assert_eq!(plain.into_luma16().into_raw(), samples);
    assert_eq!(export("colors", |options| options.colormap = true).color(), image::ColorType::Rgb8);
    assert_eq!(export("boxes", |options| options.boxes = true).color(), image::ColorType::Rgb8);
    for format in [ExportFormat::Jpeg, ExportFormat::Mp4, ExportFormat::Coco] {
        let report = exported(&files, &options(format, folder.path().join(format.name())));
        assert!(report.notes.iter().any(|note| note.contains("false colors")), "{format:?}: {report:?}");
    }
}

#[test]
fn a_table_has_one_row_per_detection() {
    let folder = tempfile::tempdir().expect("a folder");
    let detections = vec![
        Detection {
            position: Some(Position::from_mm([-120.0, f32::NAN, 1237.0])),
            ..seen(0, 0.875, [-0.5, 0.25, 0.5, 2.0])
        },
        seen(57, f32::NAN, [0.0, 0.0, 0.5, 0.5]),
        seen(2, 0.5, [0.1, f32::NAN, 0.2, 0.2]),
    ];
    let tight = Geometry::tight(PixelFormat::Gray8, 8, 4).expect("a geometry");
    let frames = vec![made(0, detections, Some(tight), &[7; 32]), made(1, vec![], Some(tight), &[8; 32])];
    let path = folder.path().join("a.mcap");
    let labels = Some(["say \"hi\", you", "b"].into_iter().collect::<LabelMap>());
    let info = CameraInfo { labels, ..recordings::camera("front") };
    recordings::write(&path, Compression::None, &[(info, frames)]);
    let files = [path];

    let out = folder.path().join("a.csv");
    let report = exported(&files, &options(ExportFormat::Csv, out.clone()));
    assert_eq!((report.written, report.detections, report.without_box, report.files), (2, 2, 1, 1));
    assert_eq!(
        fs::read_to_string(&out).unwrap(),
        "camera,seq,device_time_us,arrival_unix_ns,time_utc_ns,label,name,confidence,xmin,ymin,xmax,ymax,width,height,x_mm,y_mm,z_mm,depth_mm,\
         track,track_x,track_y,moved_left,moved_right,moved_up,moved_down,stale\n\
         front,0,0,1790000000000000000,1789999999995000000,0,\"say \"\"hi\"\", you\",0.875,0.0,0.25,0.5,1.0,8,4,-120.0,,1237.0,,,,,,,,,false\n\
         front,0,0,1790000000000000000,1789999999995000000,57,#57,,0.0,0.0,0.5,0.5,8,4,,,,,,,,,,,,false\n"
    );
    assert_eq!(report.bytes, fs::metadata(&out).unwrap().len());

    let out = folder.path().join("a.jsonl");
    exported(&files, &options(ExportFormat::Jsonl, out.clone()));
    let text = fs::read_to_string(&out).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["detections"][0]["bbox"].to_string(), "[0.0,0.25,0.5,1.0]");
    assert_eq!(lines[0]["detections"][1]["confidence"], Value::Null);
    assert_eq!(lines[0]["detections"][0]["position_mm"].to_string(), "[-120.0,null,1237.0]");
    assert_eq!(lines[0]["detections"][1].get("position_mm"), None);
    assert_eq!((&lines[1]["seq"], &lines[1]["device_time_us"]), (&Value::from(1), &Value::from(25_000)));
    assert_eq!(lines[1]["detections"], Value::Array(vec![]));
}

#[test]
fn tracks_and_counters_are_exported() {
    let folder = tempfile::tempdir().expect("a folder");
    // Without records the camera sends no boxes, as Luxonis' program. 140 frames, so that both counters move.
    let frames = recordings::frames("size=64x48&dialect=ABCDE-256&boxes=2", 141);
    let files = recording(folder.path(), "front", frames);
    let out = folder.path().join("a.csv");
    exported(&files, &options(ExportFormat::Csv, out.clone()));
    let text = fs::read_to_string(&out).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 1 + 2 * 141, "a row for each track");
    let last = &rows[2 * 141];
    let column = |name: &str| last[rows[0].iter().position(|column| *column == name).expect(name)];
    assert_eq!(["seq", "label", "name", "confidence", "xmin", "track"].map(column), ["140", "", "", "", "", "1"]);
    assert_eq!(["moved_left", "moved_right", "moved_up", "moved_down"].map(column), ["2", "2", "0", "0"]);
    assert!(column("track_x").parse::<f32>().is_ok_and(|x| (0.0..=1.0).contains(&x)), "{last:?}");

    let boxed = recordings::frames("size=64x48&dialect=ABCDE-256&boxes=2&records=on", 3);
    let files = recording(folder.path(), "boxed", boxed);
    let out = folder.path().join("a.jsonl");
    exported(&files, &options(ExportFormat::Jsonl, out.clone()));
    let first: Value = serde_json::from_str(fs::read_to_string(&out).unwrap().lines().next().expect("a line")).unwrap();
    assert_eq!((&first["detections"][1]["track"], &first["tracks"][1]["track"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(first["counters"], serde_json::json!({"left": 0, "right": 0, "up": 0, "down": 0}));
    let out = folder.path().join("boxed.csv");
    exported(&files, &options(ExportFormat::Csv, out.clone()));
    assert_eq!(
        fs::read_to_string(&out).unwrap().lines().count(),
        1 + 2 * 3,
        "a track with a box has no row of its own"
    );
}

#[test]
fn only_selected_frames_are_exported_and_the_rest_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (front, back) = (recordings::frames(SMALL, 40), recordings::frames("size=64x48&records=on&boxes=1&seed=9", 40));
    let path = folder.path().join("a.mcap");
    recordings::write(
        &path,
        Compression::None,
        &[(recordings::camera("front"), front.clone()), (recordings::camera("back"), back)],
    );
    let mut number = 0;
    let mut lines = |choice: Choice| {
        number += 1;
        let out = folder.path().join(format!("{number}.jsonl"));
        let report = exported(
            std::slice::from_ref(&path),
            &ExportOptions { choice, ..options(ExportFormat::Jsonl, out.clone()) },
        );
        let text = fs::read_to_string(out).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(report.written, lines.len() as u64);
        (report, lines)
    };
    let sequences = |lines: &[Value], camera: &str| -> Vec<u64> {
        let of = lines.iter().filter(|line| line["camera"] == camera);
        of.map(|line| line["seq"].as_u64().expect("a number")).collect()
    };
    let (report, all) = lines(Choice::default());
    assert_eq!((report.read, all.len()), (80, 80));
    // At 25 ms per frame, the time range has frames 4 to 15; of those the first and every fifth of each camera.
    let (report, some) = lines(Choice {
        from: Some(TimeSpec::After(Duration::from_millis(100))),
        until: Some(TimeSpec::At(recordings::START_NS + 400_000_000)),
        every: 5,
        ..Choice::default()
    });
    assert_eq!(sequences(&some, "front"), [4, 9, 14]);
    assert_eq!(sequences(&some, "back"), [4, 9, 14]);
    assert_eq!((report.between, report.out_of_range + report.between + report.written), (18, report.read));
    let (report, back) = lines(Choice { cameras: vec!["back".to_owned()], ..Choice::default() });
    assert_eq!((report.read, sequences(&back, "front").len(), sequences(&back, "back").len()), (40, 0, 40));
    // A class that one of the two cameras has, or none.
    let label = front[0].detections[0].label;
    let (report, with_label) = lines(Choice { labels: vec![label.to_string()], ..Choice::default() });
    assert_eq!(report.written + report.without_label, 80);
    assert!(!with_label.is_empty());
    for line in &with_label {
        let seen = line["detections"].as_array().expect("detections");
        assert!(!seen.is_empty() && seen.iter().all(|seen| seen["label"] == label), "{line}");
    }
    let (_, sure) = lines(Choice { min_confidence: 0.7, ..Choice::default() });
    assert_eq!(sure.len(), 80);
    let confidences = || sure.iter().flat_map(|line| line["detections"].as_array().unwrap().iter());
    assert!(confidences().all(|seen| seen["confidence"].as_f64().unwrap() >= 0.7));
    let expected = all.iter().flat_map(|line| line["detections"].as_array().unwrap().iter());
    assert_eq!(confidences().count(), expected.filter(|seen| seen["confidence"].as_f64().unwrap() >= 0.7).count());
}

#[test]
fn frames_that_cannot_be_converted_are_counted_by_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let tight = Geometry::tight(PixelFormat::Gray8, 8, 4).expect("a geometry");
    let mut damaged = recordings::frames("size=64x48&format=JPEG", 1)[0].payload().to_vec();
    let header = damaged.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a frame header");
    damaged[header + 9] = 77; // An invalid number of components.
    let mut frames = vec![
        made(0, vec![], Some(tight), &[7; 32]),
        made(1, vec![], None, &[8; 31]),
        made(2, vec![], None, &damaged),
        made(3, vec![], None, &damaged),
    ];
    // Its slices are noise. The reader decodes, so that it comes first.
    frames.extend(recordings::frames("size=64x48&format=H265", 2));
    let files = recording(folder.path(), "front", frames);
    let report = exported(&files, &options(ExportFormat::Png, folder.path().join("out")));
    assert_eq!((report.read, report.written, report.frames_skipped()), (6, 1, 5), "{report:?}");
    assert!(!report.is_complete());
    let skipped: Vec<_> = report.skipped.iter().map(|skipped| (skipped.kind, skipped.frames)).collect();
    let expected = [
        ("video cannot be decoded", 1),
        ("frames before them could not be decoded", 1),
        ("unknown payload layout", 1),
        ("JPEG cannot be decoded", 2),
    ];
    assert_eq!(skipped, expected);
    assert_eq!(names_in(&folder.path().join("out")).len(), 1);
}

#[test]
fn existing_files_are_not_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = recording(folder.path(), "front", recordings::frames(SMALL, 2));
    let file = folder.path().join("mine.csv");
    fs::write(&file, "mine").unwrap();
    let refused = |format, output: &Path| {
        export::export(&files, &options(format, output.to_owned()), &mut |_| ControlFlow::Continue(()))
            .expect_err("it exists already")
    };
    for format in [ExportFormat::Csv, ExportFormat::Jsonl, ExportFormat::Parquet] {
        assert!(matches!(refused(format, &file), ExportError::Exists(path) if path == file));
    }
    for format in [ExportFormat::Png, ExportFormat::Jpeg, ExportFormat::Yolo, ExportFormat::Coco] {
        assert!(matches!(refused(format, folder.path()), ExportError::NotEmpty(_)));
        assert!(matches!(refused(format, &file), ExportError::Io { .. }));
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(names_in(folder.path()), ["front.mcap", "mine.csv"]);
}

#[test]
fn times_count_from_the_first_frame() {
    use oaktap::recording::SegmentWriter;
    use oaktap::recording::schema::RecordedIncident;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mcap");
    let file = fs::File::create_new(&path).expect("a new file");
    let cameras = [recordings::camera("front")];
    let mut writer = SegmentWriter::new(file, Compression::None, &cameras, recordings::START_NS).expect("a recording");
    // The camera sends its first frame a second after it was connected.
    let connected = RecordedIncident { kind: "connected".to_owned(), ..RecordedIncident::default() };
    writer.incident(0, &connected, recordings::START_NS - 1000 * recordings::MS).expect("write");
    for frame in recordings::frames(SMALL, 4) {
        writer.frame(0, &frame, recordings::taken_ns(&frame)).expect("write");
    }
    writer.finish(&[]).expect("write");
    let choice = Choice { until: Some(TimeSpec::After(Duration::from_millis(30))), ..Choice::default() };
    let options = ExportOptions { choice, ..options(ExportFormat::Csv, folder.path().join("a.csv")) };
    let report = export::export(&[path], &options, &mut |_| ControlFlow::Continue(())).expect("frames");
    assert_eq!((report.written, report.out_of_range), (2, 2), "25 ms from frame to frame");
}

#[test]
fn a_selection_without_frames_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = recording(folder.path(), "front", recordings::frames(SMALL, 2));
    let out = folder.path().join("a.csv");
    let refused = |choice| {
        let options = ExportOptions { choice, ..options(ExportFormat::Csv, out.clone()) };
        export::export(&files, &options, &mut |_| ControlFlow::Continue(())).expect_err("nothing to export").to_string()
    };
    let error = refused(Choice { cameras: vec!["back".to_owned()], ..Choice::default() });
    assert_eq!(error, "unknown camera `back`: expected one of front");
    let from = Some(TimeSpec::After(Duration::from_secs(2)));
    let error = refused(Choice { from, until: Some(TimeSpec::At(recordings::START_NS)), ..Choice::default() });
    let start = "2026-09-21T14:13:20Z";
    assert_eq!(error, format!("the time range is empty: `--from 2s` is not before `--until {start}`"));
    let until = Some(TimeSpec::After(Duration::from_secs(1)));
    let error = refused(Choice { from, until, ..Choice::default() });
    assert_eq!(error, "the time range is empty: `--from 2s` is not before `--until 1s`");
    let error =
        export::export(&[folder.path().join("none.mcap")], &options(ExportFormat::Csv, out.clone()), &mut |_| {
            ControlFlow::Continue(())
        });
    assert!(matches!(error, Err(ExportError::Recording { .. })));
    assert!(!out.exists());
}

#[test]
fn a_truncated_recording_is_exported_up_to_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = recording(folder.path(), "front", recordings::frames(SMALL, 400));
    let whole = fs::metadata(&files[0]).unwrap().len();
    fs::OpenOptions::new().write(true).open(&files[0]).unwrap().set_len(whole / 2).unwrap();
    let report = exported(&files, &options(ExportFormat::Jsonl, folder.path().join("a.jsonl")));
    assert!(report.written > 100, "{report:?}");
    assert!(!report.is_complete());
    assert_eq!(report.unread.len(), 1, "{report:?}");
}

#[test]
fn a_stopped_export_leaves_only_finished_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = recording(folder.path(), "front", recordings::frames(SMALL, 200));
    for format in ExportFormat::ALL {
        let output = folder.path().join(format.name());
        let mut calls = 0;
        let mut progress = |_: ExportProgress| {
            calls += 1;
            if calls == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let stopped = export::export(&files, &options(format, output.clone()), &mut progress);
        let Err(ExportError::Stopped { written, kept }) = stopped else { panic!("{format:?}: {stopped:?}") };
        // A video is written in groups of pictures, and reports progress while they are encoded too.
        assert_eq!(calls, 2, "{format:?}");
        let left = all_files(&output);
        let finished = |path: &PathBuf| {
            matches!(path.extension().and_then(|end| end.to_str()), Some("png" | "jpg" | "txt" | "yaml" | "json"))
        };
        assert!(left.iter().all(finished), "{format:?}: {left:?}");
        let pictures =
            matches!(format, ExportFormat::Png | ExportFormat::Jpeg | ExportFormat::Yolo | ExportFormat::Coco);
        assert_eq!(left.is_empty(), !pictures, "{format:?}: {left:?}");
        if pictures {
            // Other threads have saved pictures meanwhile: all that are left are counted.
            let ending = |ends: &[&str]| {
                let has = |path: &&PathBuf| ends.iter().any(|end| path.extension().is_some_and(|found| found == *end));
                left.iter().filter(has).count() as u64
            };
            let images = ending(&["png", "jpg"]);
            // A data set of the pictures that are left is complete.
            let sets = [(ExportFormat::Yolo, images, 1, 0), (ExportFormat::Coco, 0, 0, 1)];
            let set = sets.into_iter().find(|set| set.0 == format).unwrap_or((format, 0, 0, 0));
            assert_eq!((format, ending(&["txt"]), ending(&["yaml"]), ending(&["json"])), set, "{left:?}");
            if format == ExportFormat::Coco {
                let path = left.iter().find(|path| path.ends_with("instances.json")).expect("the boxes");
                let text = fs::read_to_string(path).expect("a file");
                let set: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!(set["images"].as_array().map(|images| images.len() as u64), Some(images));
            }
            assert!(images >= 2 && (written, kept) == (images, images), "{format:?}: {written} {kept} {images}");
        } else {
            assert_eq!(kept, 0, "{format:?}");
            assert!(if format == ExportFormat::Mp4 { written <= 120 } else { written == 2 }, "{format:?}: {written}");
        }
    }
}

/// Files in a folder and its subfolders; none if the folder does not exist.
fn all_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}
