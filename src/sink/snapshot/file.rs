//! Writes a picture to a PNG file, and the frame's metadata to a JSON file beside it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::convert::{ConvertError, Converter, encode_gray16_png, encode_png};
use crate::file::NewFile;
use crate::frame::picture::rgb;
use crate::frame::{Counters, Frame, LabelMap, NamedDetection, Picture, Size, Track, Utc};
use crate::sink::names;

/// Folder or file that snapshots are saved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotTarget {
    /// Files in this folder with generated names. Never replaces a file.
    Folder(PathBuf),
    /// This file, with a JSON file beside it. Neither may exist.
    File(PathBuf),
}

impl SnapshotTarget {
    /// A file if the path ends in `.png` and is not a folder, a folder otherwise.
    #[must_use]
    pub fn from_path(path: PathBuf) -> Self {
        if names::has_extension(&path, "png") { Self::File(path) } else { Self::Folder(path) }
    }
}

/// Reason for not saving a snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The system refuses a file or a folder.
    #[error("cannot write {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// The frame cannot be converted to a picture.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The picture cannot be encoded.
    #[error("cannot encode the picture as PNG")]
    Png(#[from] image::ImageError),
}

/// Samples of a picture, row by row.
#[derive(Clone, Copy, Debug)]
pub enum Samples<'a> {
    /// Red, green and blue of each pixel.
    Rgb(&'a [u8]),
    /// Depth in millimeters, or disparity, of each pixel: a PNG of 16-bit gray.
    Depth(&'a [u16]),
}

/// A picture to save.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// The samples.
    pub samples: Samples<'a>,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// The contents of the JSON file: times and boxes exactly as the camera sent them.
#[derive(Debug, Serialize)]
struct Sidecar<'a> {
    camera: &'a str,
    /// Number of the frame on its connection, from 0.
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    camera_seq: Option<u64>,
    device_time_us: i64,
    arrival_unix_ns: i64,
    width: u32,
    height: u32,
    format: String,
    /// See [`Frame::because`].
    because: &'a str,
    dialect: &'static str,
    header: String,
    bytes: usize,
    /// The frame waited in the camera's queue before we connected.
    stale: bool,
    detections: Vec<NamedDetection<'a>>,
    #[serde(skip_serializing_if = "<[Track]>::is_empty")]
    tracks: &'a [Track],
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<Counters>,
}

/// Metadata of a snapshot that is not part of its frame.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotInfo<'a> {
    /// The camera's name.
    pub camera: &'a str,
    /// Label names.
    pub names: &'a LabelMap,
}

/// Like [`write()`], for a [`Picture`] of the frame. Saves the samples of a depth frame (RAW16) instead of the colors of its
/// picture.
///
/// # Errors
/// As [`write()`].
pub fn write_picture(
    target: &SnapshotTarget,
    picture: &Picture,
    frame: &Frame,
    info: SnapshotInfo<'_>,
) -> Result<PathBuf, SnapshotError> {
    let mut depth = Vec::new();
    if let Some((width, height)) = Converter::new().depth(frame, &mut depth)? {
        return write(target, Pixels { samples: Samples::Depth(&depth), width, height }, frame, info);
    }
    let Size { width, height } = picture.size();
    write(target, Pixels { samples: Samples::Rgb(&picture.rgb().collect::<Vec<u8>>()), width, height }, frame, info)
}

/// Writes a picture of a frame and its JSON file. Returns the path of the PNG file.
///
/// # Errors
/// The file or folder cannot be written, or the picture is larger than a PNG can be.
pub fn write(
    target: &SnapshotTarget,
    pixels: Pixels<'_>,
    frame: &Frame,
    info: SnapshotInfo<'_>,
) -> Result<PathBuf, SnapshotError> {
    let size = Size::new(pixels.width, pixels.height);
    let png = match pixels.samples {
        Samples::Rgb(rgb) => encode_png(rgb, size)?,
        Samples::Depth(depth) => encode_gray16_png(depth, size)?,
    };
    let json = sidecar(pixels, frame, info);
    let (picture, beside) = match target {
        SnapshotTarget::File(path) => {
            let new = |path: &Path| NewFile::create(path).map_err(refused(path));
            (new(path)?, new(&path.with_extension("json"))?)
        }
        SnapshotTarget::Folder(folder) => {
            std::fs::create_dir_all(folder).map_err(refused(folder))?;
            let picture = new_file(folder, &stem(frame, info.camera))?;
            let beside = picture.path().with_extension("json");
            (picture, NewFile::create(&beside).map_err(refused(&beside))?)
        }
    };
    // Both before the first is finished: a full disk then leaves neither.
    let (picture, beside) = (written(picture, &png)?, written(beside, &json)?);
    let path = picture.path().to_owned();
    finished(picture)?;
    finished(beside)?;
    Ok(path)
}

/// Writes 0RGB words to a new file `STEM.png`, or `STEM-2.png` and so on if that exists.
///
/// # Errors
/// The file cannot be written, or the picture cannot be encoded.
pub fn write_new(
    folder: &Path,
    stem: &str,
    words: &[u32],
    width: usize,
    height: usize,
) -> Result<PathBuf, SnapshotError> {
    let png = encode_png(&rgb(words).collect::<Vec<u8>>(), Size::saturating(width, height))?;
    let file = new_file(folder, stem)?;
    let path = file.path().to_owned();
    finished(written(file, &png)?)?;
    Ok(path)
}

fn refused(path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    |source| SnapshotError::Io { path: path.to_owned(), source }
}

/// Writes all bytes of a file.
fn written(mut file: NewFile, bytes: &[u8]) -> Result<NewFile, SnapshotError> {
    let result = file.write_all(bytes).and_then(|()| file.flush());
    result.map_err(refused(file.path())).map(|()| file)
}

fn finished(file: NewFile) -> Result<(), SnapshotError> {
    let path = file.path().to_owned();
    file.finish().map_err(refused(&path)).map(drop)
}

/// Creates a PNG file. Skips names for which the PNG or the JSON file exists.
fn new_file(folder: &Path, stem: &str) -> Result<NewFile, SnapshotError> {
    for attempt in 1_u32.. {
        let suffix = if attempt == 1 { String::new() } else { format!("-{attempt}") };
        let path = folder.join(format!("{stem}{suffix}.png"));
        if path.with_extension("json").exists() {
            continue;
        }
        match NewFile::create(&path) {
            Ok(file) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(refused(&path)(error)),
        }
    }
    unreachable!("no folder holds 2^32 files of one name")
}

/// Returns `2026-11-21T11-05-12.345Z_front`, which sorts by time and is valid on every file system.
fn stem(frame: &Frame, camera: &str) -> String {
    let time = Utc::from_unix_ns(frame.received.unix_ns).to_string().replace(':', "-");
    format!("{time}_{}", names::safe_name(camera))
}

fn sidecar(pixels: Pixels<'_>, frame: &Frame, info: SnapshotInfo<'_>) -> Vec<u8> {
    let sent = frame.sent();
    let sidecar = Sidecar {
        camera: info.camera,
        seq: frame.id,
        camera_seq: frame.camera_seq,
        device_time_us: frame.device_time.0,
        arrival_unix_ns: frame.received.unix_ns,
        width: pixels.width,
        height: pixels.height,
        format: sent.format().map_or_else(|| sent.kind.name().to_owned(), str::to_owned),
        because: &frame.because,
        dialect: frame.dialect,
        header: String::from_utf8_lossy(&frame.header).into_owned(),
        bytes: sent.payload().len(),
        stale: frame.is_stale(),
        detections: (frame.detections.iter())
            .map(|detection| detection.named(info.names).on_track(Track::of(&frame.tracks, detection)))
            .collect(),
        tracks: &frame.tracks,
        counters: frame.counters,
    };
    let mut json = serde_json::to_vec_pretty(&sidecar).expect("plain values can be serialized");
    json.push(b'\n');
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{BBox, Detection, DeviceTime, Received};

    fn frame() -> Frame {
        let mut frame = Frame::with_payload([3; 12]);
        frame.id = 7;
        frame.device_time = DeviceTime(-5);
        frame.received = Received { mono_ns: 1, unix_ns: 1_795_259_112_345_678_901 };
        frame.dialect = "IMG";
        frame.because = "12 bytes are 2x2 RGB888p".into();
        frame.header.extend_from_slice(b"IMG -0.000005 12 0              ");
        let bbox = BBox { xmin: 0.1, ymin: 0.2, xmax: 1.5, ymax: 0.4 };
        frame.detections.push(Detection { label: 2, confidence: f32::NAN, bbox, ..Detection::default() });
        frame
    }

    const RGB: &[u8] = &[255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7];
    const PIXELS: Pixels<'static> = Pixels { samples: Samples::Rgb(RGB), width: 2, height: 2 };

    fn written(target: &SnapshotTarget) -> PathBuf {
        let names = ["person", "bicycle", "car"].into_iter().collect();
        let info = SnapshotInfo { camera: "tcp://10.0.0.5:5000", names: &names };
        write(target, PIXELS, &frame(), info).expect("a snapshot")
    }

    #[test]
    fn a_snapshot_has_the_picture_and_its_metadata() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = written(&SnapshotTarget::Folder(folder.path().join("new")));
        assert_eq!(path.file_name().unwrap(), "2026-11-21T11-05-12.345Z_tcp---10.0.0.5-5000.png");
        let picture = image::open(&path).expect("a picture").into_rgb8();
        assert_eq!((picture.dimensions(), picture.as_raw().as_slice()), ((2, 2), RGB));
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).expect("JSON");
        assert_eq!(json["seq"], 7);
        assert_eq!(json["device_time_us"], -5);
        assert_eq!(json["arrival_unix_ns"], 1_795_259_112_345_678_901_i64);
        assert_eq!(json["header"], "IMG -0.000005 12 0              ");
        assert_eq!(json["dialect"], "IMG");
        assert_eq!(json["because"], "12 bytes are 2x2 RGB888p");
        let seen = &json["detections"][0];
        assert_eq!((seen["label"].as_u64(), seen["name"].as_str()), (Some(2), Some("car")));
        assert!(seen["confidence"].is_null(), "JSON has no NaN");
        assert_eq!(seen["bbox"].to_string(), "[0.1,0.2,1.5,0.4]", "as sent");
    }

    #[test]
    fn depth_is_saved_as_its_samples() {
        let mut frame = frame();
        frame.payload_mut(12).copy_from_slice(&[0, 0, 0xd2, 4, 1, 0, 0xff, 0xff, 2, 1, 7, 0]);
        frame.geometry = crate::frame::Geometry::tight(crate::frame::PixelFormat::Raw16, 3, 2).ok();
        let mut picture = Picture::default();
        Converter::new().picture(&frame, &mut picture).expect("a good frame");
        let folder = tempfile::tempdir().expect("a folder");
        let names = LabelMap::default();
        let info = SnapshotInfo { camera: "c", names: &names };
        let target = SnapshotTarget::Folder(folder.path().to_owned());
        let path = write_picture(&target, &picture, &frame, info).expect("a snapshot");
        let image::DynamicImage::ImageLuma16(saved) = image::open(path).expect("a picture") else {
            panic!("16-bit gray")
        };
        assert_eq!((saved.dimensions(), &saved.as_raw()[..]), ((3, 2), &[0, 1234, 1, 65535, 258, 7][..]));
    }

    #[test]
    fn no_file_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = SnapshotTarget::from_path(folder.path().to_owned());
        let (first, second) = (written(&target), written(&target));
        assert_ne!(first, second);
        assert!(second.to_str().unwrap().ends_with("-2.png"), "{second:?}");
        std::fs::remove_file(&first).unwrap();
        std::fs::write(first.with_extension("json"), "mine").unwrap();
        assert!(written(&target).to_str().unwrap().ends_with("-3.png"), "its JSON file exists");
        assert_eq!(std::fs::read(first.with_extension("json")).unwrap(), b"mine");
        let named = folder.path().join("dog.png");
        let target = SnapshotTarget::from_path(named.clone());
        assert_eq!(written(&target), named);
        assert!(folder.path().join("dog.json").exists());
        std::fs::remove_file(&named).unwrap();
        let (names, frame) = (LabelMap::default(), frame());
        let info = SnapshotInfo { camera: "c", names: &names };
        let error = write(&target, PIXELS, &frame, info).expect_err("its JSON file exists");
        let existing = |error: &SnapshotError| matches!(error, SnapshotError::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists);
        assert!(existing(&error) && !named.exists(), "{error}");
    }

    #[test]
    fn errors_contain_the_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let names = LabelMap::default();
        let info = SnapshotInfo { camera: "c", names: &names };
        for target in
            [SnapshotTarget::Folder(file.join("below")), SnapshotTarget::File(folder.path().join("none/x.png"))]
        {
            let error = write(&target, PIXELS, &frame(), info).expect_err("it cannot be written").to_string();
            assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
        }
    }
}
