//! Writes detections as Parquet: the columns of [`Row`], compressed with zstd.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde::Serialize;

use super::ExportError;
use super::place;
use crate::file::NewFile;

/// Rows per row group. They are kept in memory until the group is complete, also by readers.
const ROWS_PER_GROUP: usize = 1 << 16;

const SCHEMA: &str = "message detections {
    REQUIRED BYTE_ARRAY camera (STRING);
    REQUIRED INT32 seq (INTEGER(32, false));
    REQUIRED INT64 device_time_us;
    REQUIRED INT64 arrival_unix_ns;
    REQUIRED INT64 time_utc_ns;
    REQUIRED INT32 label (INTEGER(32, false));
    REQUIRED BYTE_ARRAY name (STRING);
    OPTIONAL FLOAT confidence;
    REQUIRED FLOAT xmin;
    REQUIRED FLOAT ymin;
    REQUIRED FLOAT xmax;
    REQUIRED FLOAT ymax;
    OPTIONAL INT32 width (INTEGER(32, false));
    OPTIONAL INT32 height (INTEGER(32, false));
}";

/// One detection: a row of CSV and Parquet. The field names are the column names.
#[derive(Debug, Serialize)]
pub(super) struct Row<'a> {
    pub(super) camera: &'a str,
    /// Number of the frame among those of its camera in the recording.
    pub(super) seq: u32,
    pub(super) device_time_us: i64,
    pub(super) arrival_unix_ns: i64,
    pub(super) time_utc_ns: i64,
    pub(super) label: u32,
    pub(super) name: Cow<'a, str>,
    /// `None` if the camera sent `NaN`.
    pub(super) confidence: Option<f32>,
    /// Corners, clipped to the picture: 0..=1 from left to right and from top to bottom.
    pub(super) xmin: f32,
    pub(super) ymin: f32,
    pub(super) xmax: f32,
    pub(super) ymax: f32,
    /// Size of the picture in pixels, if known.
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
}

impl Row<'_> {
    /// The names of the fields, in their order: the header of CSV.
    pub(super) const COLUMNS: [&'static str; 14] = [
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
    ];
}

/// The values of a column in the current row group.
struct Column<T: DataType> {
    values: Vec<T::T>,
    /// For each row 1 if it has a value and 0 if not. `None` if the column is required.
    levels: Option<Vec<i16>>,
}

impl<T: DataType> Column<T> {
    fn required() -> Self {
        Self { values: Vec::new(), levels: None }
    }

    fn optional() -> Self {
        Self { levels: Some(Vec::new()), ..Self::required() }
    }

    fn push(&mut self, value: impl Into<Option<T::T>>) {
        let value = value.into();
        if let Some(levels) = &mut self.levels {
            levels.push(i16::from(value.is_some()));
        }
        self.values.extend(value);
    }

    fn write<W: std::io::Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        let Some(mut column) = group.next_column()? else {
            return Err(ParquetError::General("more columns than the schema has".to_owned()));
        };
        column.typed::<T>().write_batch(&self.values, self.levels.as_deref(), None)?;
        self.values.clear();
        if let Some(levels) = &mut self.levels {
            levels.clear();
        }
        column.close()
    }
}

/// A new Parquet file.
pub(super) struct Table {
    writer: SerializedFileWriter<NewFile>,
    path: PathBuf,
    rows: usize,
    camera: Column<ByteArrayType>,
    seq: Column<Int32Type>,
    /// `device_time_us`, `arrival_unix_ns`, `time_utc_ns`.
    times: [Column<Int64Type>; 3],
    label: Column<Int32Type>,
    name: Column<ByteArrayType>,
    confidence: Column<FloatType>,
    corners: [Column<FloatType>; 4],
    size: [Column<Int32Type>; 2],
}

impl Table {
    pub(super) fn create(path: &Path) -> Result<Self, ExportError> {
        let file = place::create(path.to_owned())?;
        let failed = || ExportError::format::<ParquetError>(path, "Parquet");
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(failed())?);
        let zstd = Compression::ZSTD(ZstdLevel::default());
        let properties = Arc::new(WriterProperties::builder().set_compression(zstd).build());
        let writer = SerializedFileWriter::new(file, schema, properties).map_err(failed())?;
        Ok(Self {
            writer,
            path: path.to_owned(),
            rows: 0,
            camera: Column::required(),
            seq: Column::required(),
            times: std::array::from_fn(|_| Column::required()),
            label: Column::required(),
            name: Column::required(),
            confidence: Column::optional(),
            corners: std::array::from_fn(|_| Column::required()),
            size: std::array::from_fn(|_| Column::optional()),
        })
    }

    pub(super) fn write(&mut self, row: &Row<'_>) -> Result<(), ExportError> {
        // Parquet stores unsigned numbers in the signed type of the same width.
        let bits = u32::cast_signed;
        self.camera.push(ByteArray::from(row.camera));
        self.seq.push(bits(row.seq));
        for (column, time) in self.times.iter_mut().zip([row.device_time_us, row.arrival_unix_ns, row.time_utc_ns]) {
            column.push(time);
        }
        self.label.push(bits(row.label));
        self.name.push(ByteArray::from(&*row.name));
        self.confidence.push(row.confidence);
        for (column, corner) in self.corners.iter_mut().zip([row.xmin, row.ymin, row.xmax, row.ymax]) {
            column.push(corner);
        }
        for (column, side) in self.size.iter_mut().zip([row.width, row.height]) {
            column.push(side.map(bits));
        }
        self.rows += 1;
        if self.rows == ROWS_PER_GROUP { self.write_group() } else { Ok(()) }
    }

    fn write_group(&mut self) -> Result<(), ExportError> {
        self.rows = 0;
        let mut write = || {
            let mut group = self.writer.next_row_group()?;
            self.camera.write(&mut group)?;
            self.seq.write(&mut group)?;
            self.times.iter_mut().try_for_each(|column| column.write(&mut group))?;
            self.label.write(&mut group)?;
            self.name.write(&mut group)?;
            self.confidence.write(&mut group)?;
            self.corners.iter_mut().try_for_each(|column| column.write(&mut group))?;
            self.size.iter_mut().try_for_each(|column| column.write(&mut group))?;
            group.close()
        };
        write().map(|_| ()).map_err(ExportError::format(&self.path, "Parquet"))
    }

    pub(super) fn finish(mut self) -> Result<u64, ExportError> {
        if self.rows > 0 {
            self.write_group()?;
        }
        let file = self.writer.into_inner().map_err(ExportError::format(&self.path, "Parquet"))?;
        place::finish(file)
    }
}
