//! Writes detections as Parquet: the columns of [`Row`].

use std::borrow::Cow;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use serde::Serialize;

use super::ExportError;
use super::parquet_file::{Column, Columns, ParquetFile, RowGroup};

/// A row of CSV and Parquet: one detection, or a track without one. The field names are the column names.
#[derive(Debug, Default, Serialize)]
pub(super) struct Row<'a> {
    pub(super) camera: &'a str,
    /// Number of the frame among those of its camera in all files.
    pub(super) seq: u64,
    pub(super) device_time_us: i64,
    pub(super) arrival_unix_ns: i64,
    pub(super) time_utc_ns: i64,
    /// `None` for a track without a detection; this and the next six.
    pub(super) label: Option<u32>,
    pub(super) name: Option<Cow<'a, str>>,
    /// `None` also if the camera sent `NaN`.
    pub(super) confidence: Option<f32>,
    /// Corners, clipped to the picture: 0..=1 from left to right and from top to bottom.
    pub(super) xmin: Option<f32>,
    pub(super) ymin: Option<f32>,
    pub(super) xmax: Option<f32>,
    pub(super) ymax: Option<f32>,
    /// Size of the picture in pixels, if known.
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    /// Place in front of the camera in millimeters, if the camera sends it; `None` for `NaN`.
    pub(super) x_mm: Option<f32>,
    pub(super) y_mm: Option<f32>,
    pub(super) z_mm: Option<f32>,
    /// Median of the depths in the middle half of the box in millimeters, if a depth stream of the camera was recorded.
    pub(super) depth_mm: Option<u16>,
    /// Number and center of the track, if the camera follows the object.
    pub(super) track: Option<u32>,
    pub(super) track_x: Option<f32>,
    pub(super) track_y: Option<f32>,
    /// Objects counted until this frame, if the camera counts: the same in all rows of a frame.
    pub(super) moved_left: Option<u32>,
    pub(super) moved_right: Option<u32>,
    pub(super) moved_up: Option<u32>,
    pub(super) moved_down: Option<u32>,
    /// The frame waited in the camera before oaktap connected.
    pub(super) stale: bool,
}

impl Row<'_> {
    /// The names of the fields, in their order: the header of CSV.
    pub(super) const COLUMNS: [&'static str; 26] = [
        "camera",
        "seq",
        "device_time_us",
        "arrival_unix_ns",
        "time_utc_ns",
        "label",
        "name",
        "confidence",
        "xmin",
        "ymin",
        "xmax",
        "ymax",
        "width",
        "height",
        "x_mm",
        "y_mm",
        "z_mm",
        "depth_mm",
        "track",
        "track_x",
        "track_y",
        "moved_left",
        "moved_right",
        "moved_up",
        "moved_down",
        "stale",
    ];
}

/// A new Parquet file of detections.
pub(super) type Table = ParquetFile<DetectionColumns>;

pub(super) struct DetectionColumns {
    camera: Column<ByteArrayType>,
    seq: Column<Int64Type>,
    /// `device_time_us`, `arrival_unix_ns`, `time_utc_ns`.
    times: [Column<Int64Type>; 3],
    label: Column<Int32Type>,
    name: Column<ByteArrayType>,
    confidence: Column<FloatType>,
    corners: [Column<FloatType>; 4],
    size: [Column<Int32Type>; 2],
    position: [Column<FloatType>; 3],
    depth: Column<Int32Type>,
    track: Column<Int32Type>,
    track_center: [Column<FloatType>; 2],
    /// `moved_left`, `moved_right`, `moved_up`, `moved_down`.
    moved: [Column<Int32Type>; 4],
    stale: Column<BoolType>,
}

impl Columns for DetectionColumns {
    const SCHEMA: &'static str = "message detections {
        REQUIRED BYTE_ARRAY camera (STRING);
        REQUIRED INT64 seq (INTEGER(64, false));
        REQUIRED INT64 device_time_us;
        REQUIRED INT64 arrival_unix_ns;
        REQUIRED INT64 time_utc_ns;
        OPTIONAL INT32 label (INTEGER(32, false));
        OPTIONAL BYTE_ARRAY name (STRING);
        OPTIONAL FLOAT confidence;
        OPTIONAL FLOAT xmin;
        OPTIONAL FLOAT ymin;
        OPTIONAL FLOAT xmax;
        OPTIONAL FLOAT ymax;
        OPTIONAL INT32 width (INTEGER(32, false));
        OPTIONAL INT32 height (INTEGER(32, false));
        OPTIONAL FLOAT x_mm;
        OPTIONAL FLOAT y_mm;
        OPTIONAL FLOAT z_mm;
        OPTIONAL INT32 depth_mm (INTEGER(16, false));
        OPTIONAL INT32 track (INTEGER(32, false));
        OPTIONAL FLOAT track_x;
        OPTIONAL FLOAT track_y;
        OPTIONAL INT32 moved_left (INTEGER(32, false));
        OPTIONAL INT32 moved_right (INTEGER(32, false));
        OPTIONAL INT32 moved_up (INTEGER(32, false));
        OPTIONAL INT32 moved_down (INTEGER(32, false));
        REQUIRED BOOLEAN stale;
    }";

    fn new() -> Self {
        Self {
            camera: Column::required(),
            seq: Column::required(),
            times: std::array::from_fn(|_| Column::required()),
            label: Column::optional(),
            name: Column::optional(),
            confidence: Column::optional(),
            corners: std::array::from_fn(|_| Column::optional()),
            size: std::array::from_fn(|_| Column::optional()),
            position: std::array::from_fn(|_| Column::optional()),
            depth: Column::optional(),
            track: Column::optional(),
            track_center: std::array::from_fn(|_| Column::optional()),
            moved: std::array::from_fn(|_| Column::optional()),
            stale: Column::required(),
        }
    }

    fn write(&mut self, group: &mut RowGroup<'_>) -> Result<(), ParquetError> {
        self.camera.write(group)?;
        self.seq.write(group)?;
        self.times.iter_mut().try_for_each(|column| column.write(group))?;
        self.label.write(group)?;
        self.name.write(group)?;
        self.confidence.write(group)?;
        self.corners.iter_mut().try_for_each(|column| column.write(group))?;
        self.size.iter_mut().try_for_each(|column| column.write(group))?;
        self.position.iter_mut().try_for_each(|column| column.write(group))?;
        self.depth.write(group)?;
        self.track.write(group)?;
        self.track_center.iter_mut().try_for_each(|column| column.write(group))?;
        self.moved.iter_mut().try_for_each(|column| column.write(group))?;
        self.stale.write(group)
    }
}

impl DetectionColumns {
    fn push(&mut self, row: &Row<'_>) {
        // Parquet stores unsigned numbers in the signed type of the same width.
        let bits = u32::cast_signed;
        self.camera.push(ByteArray::from(row.camera));
        self.seq.push(row.seq.cast_signed());
        for (column, time) in self.times.iter_mut().zip([row.device_time_us, row.arrival_unix_ns, row.time_utc_ns]) {
            column.push(time);
        }
        self.label.push(row.label.map(bits));
        self.name.push(row.name.as_deref().map(ByteArray::from));
        self.confidence.push(row.confidence);
        for (column, corner) in self.corners.iter_mut().zip([row.xmin, row.ymin, row.xmax, row.ymax]) {
            column.push(corner);
        }
        for (column, side) in self.size.iter_mut().zip([row.width, row.height]) {
            column.push(side.map(bits));
        }
        for (column, coordinate) in self.position.iter_mut().zip([row.x_mm, row.y_mm, row.z_mm]) {
            column.push(coordinate);
        }
        self.depth.push(row.depth_mm.map(i32::from));
        self.track.push(row.track.map(bits));
        for (column, center) in self.track_center.iter_mut().zip([row.track_x, row.track_y]) {
            column.push(center);
        }
        let moved = [row.moved_left, row.moved_right, row.moved_up, row.moved_down];
        for (column, count) in self.moved.iter_mut().zip(moved) {
            column.push(count.map(bits));
        }
        self.stale.push(row.stale);
    }
}

impl Table {
    pub(super) fn write(&mut self, row: &Row<'_>) -> Result<(), ExportError> {
        self.add(|columns| columns.push(row))
    }
}
