//! Writes detections to a file: JSON with a line per frame, CSV or Parquet with a row per detection.

use std::borrow::Cow;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use super::ExportError;
use super::camera::Camera;
use super::choice::ChosenDetection;
use super::frames::ChosenFrame;
use super::place;
use super::table::{Row, Table};
use crate::file::NewFile;
use crate::frame::{Counters, LabelMap, NamedDetection, Track};

/// One frame: a line of JSON.
#[derive(Debug, Serialize)]
struct Line<'a> {
    camera: &'a str,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    camera_seq: Option<u64>,
    device_time_us: i64,
    arrival_unix_ns: i64,
    time_utc_ns: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
    width: Option<u32>,
    height: Option<u32>,
    detections: Vec<NamedDetection<'a>>,
    #[serde(skip_serializing_if = "<[Track]>::is_empty")]
    tracks: &'a [Track],
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<Counters>,
}

/// Returns one row per chosen detection of a frame, and one per track that no detection has.
fn rows<'a>(chosen: &'a ChosenFrame, camera: &'a Camera, names: &'a LabelMap) -> impl Iterator<Item = Row<'a>> {
    let frame = &*chosen.frame;
    let number = |number: f32| (!number.is_nan()).then_some(number);
    let row = move |track: Option<&Track>| Row {
        camera: &camera.name,
        seq: chosen.number,
        device_time_us: frame.device_time.0,
        arrival_unix_ns: frame.received.unix_ns,
        time_utc_ns: chosen.taken_ns,
        width: frame.size().map(|size| size.width),
        height: frame.size().map(|size| size.height),
        track: track.map(|track| track.id),
        track_x: track.map(|track| track.x),
        track_y: track.map(|track| track.y),
        moved_left: frame.counters.map(|counters| counters.left),
        moved_right: frame.counters.map(|counters| counters.right),
        moved_up: frame.counters.map(|counters| counters.up),
        moved_down: frame.counters.map(|counters| counters.down),
        stale: frame.is_stale(),
        ..Row::default()
    };
    let detections = chosen.detections.iter().map(move |ChosenDetection { seen, track, depth_mm }| Row {
        label: Some(seen.label),
        name: Some(names.title(seen.label)),
        confidence: number(seen.confidence),
        xmin: Some(seen.bbox.xmin),
        ymin: Some(seen.bbox.ymin),
        xmax: Some(seen.bbox.xmax),
        ymax: Some(seen.bbox.ymax),
        x_mm: seen.position.and_then(|position| number(position.x.0)),
        y_mm: seen.position.and_then(|position| number(position.y.0)),
        z_mm: seen.position.and_then(|position| number(position.z.0)),
        depth_mm: *depth_mm,
        ..row(track.as_ref())
    });
    // Those of detections that were not chosen are not chosen either.
    let boxed: Vec<u32> = frame
        .detections
        .iter()
        .filter_map(|detection| Track::of(&frame.tracks, detection))
        .map(|track| track.id)
        .collect();
    detections
        .chain(frame.tracks.iter().filter(move |track| !boxed.contains(&track.id)).map(move |track| row(Some(track))))
}

fn line<'a>(chosen: &'a ChosenFrame, camera: &'a Camera, names: &'a LabelMap) -> Line<'a> {
    let frame = &*chosen.frame;
    let named = |chosen: &'a ChosenDetection| {
        chosen.seen.named(names).on_track(chosen.track.as_ref()).at_depth(chosen.depth_mm)
    };
    Line {
        camera: &camera.name,
        seq: chosen.number,
        camera_seq: frame.camera_seq,
        device_time_us: frame.device_time.0,
        arrival_unix_ns: frame.received.unix_ns,
        time_utc_ns: chosen.taken_ns,
        stale: frame.is_stale(),
        width: frame.size().map(|size| size.width),
        height: frame.size().map(|size| size.height),
        detections: chosen.detections.iter().map(named).collect(),
        tracks: &frame.tracks,
        counters: frame.counters,
    }
}

/// Prevents spreadsheets from computing a cell: camera and class names come from the network. They read a leading
/// apostrophe as "this is text", and do not show it.
pub(super) fn plain_cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}").into() } else { text.into() }
}

/// Creates a CSV file with this header. A file without rows has it too.
pub(super) fn create_csv(path: &Path, columns: &[&str]) -> Result<csv::Writer<NewFile>, ExportError> {
    let file = place::create(path.to_owned())?;
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(file);
    writer.write_record(columns).map_err(ExportError::format(path, "CSV"))?;
    Ok(writer)
}

/// Renames a CSV file to its final path. Returns its size in bytes.
pub(super) fn finish_csv(writer: csv::Writer<NewFile>) -> Result<u64, ExportError> {
    let path = writer.get_ref().path().to_owned();
    let file = writer.into_inner().map_err(|error| ExportError::io(&path)(error.into_error()))?;
    place::finish(file)
}

/// Appends a line of JSON.
pub(super) fn write_json_line(file: &mut NewFile, line: &impl Serialize) -> Result<(), ExportError> {
    let path = file.path().to_owned();
    let failed = |error: serde_json::Error| ExportError::Io { path: path.clone(), source: error.into() };
    let mut text = serde_json::to_vec(line).map_err(failed)?;
    text.push(b'\n');
    file.write_all(&text).map_err(ExportError::io(&path))
}

/// A new file of detections.
pub(super) enum DetectionFile {
    Jsonl(NewFile),
    Csv(Box<csv::Writer<NewFile>>),
    Parquet(Box<Table>),
}

impl DetectionFile {
    pub(super) fn jsonl(path: &Path) -> Result<Self, ExportError> {
        place::create(path.to_owned()).map(Self::Jsonl)
    }

    pub(super) fn csv(path: &Path) -> Result<Self, ExportError> {
        Ok(Self::Csv(Box::new(create_csv(path, &Row::COLUMNS)?)))
    }

    pub(super) fn parquet(path: &Path) -> Result<Self, ExportError> {
        Table::create(path).map(|table| Self::Parquet(Box::new(table)))
    }

    /// Writes a frame. Returns the number of rows.
    pub(super) fn write(&mut self, chosen: &ChosenFrame, camera: &Camera) -> Result<usize, ExportError> {
        let names = camera.names(&chosen.frame);
        let mut count = 0;
        match self {
            Self::Jsonl(file) => {
                write_json_line(file, &line(chosen, camera, names))?;
                count += 1;
            }
            Self::Csv(writer) => {
                for row in rows(chosen, camera, names) {
                    let (camera, name) = (plain_cell(row.camera), row.name.as_deref().map(plain_cell));
                    let written = writer.serialize(Row { camera: &camera, name, ..row });
                    written.map_err(ExportError::format(writer.get_ref().path(), "CSV"))?;
                    count += 1;
                }
            }
            Self::Parquet(table) => {
                for row in rows(chosen, camera, names) {
                    table.write(&row)?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    /// Renames the file to its final path. Returns its size in bytes.
    pub(super) fn finish(self) -> Result<u64, ExportError> {
        match self {
            Self::Jsonl(file) => place::finish(file),
            Self::Csv(writer) => finish_csv(*writer),
            Self::Parquet(table) => table.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_a_spreadsheet_would_compute_are_text() {
        for text in ["=1+1", "+3", "-7", "@SUM(A1)", "\t=1", "\r=1", "='x'!A1"] {
            assert_eq!(plain_cell(text), format!("'{text}"));
        }
        for text in ["person", "", "a=1", " -", "'quoted", "#57"] {
            assert_eq!(plain_cell(text), text);
        }
    }
}
