//! Detections -> Parquet: the columns of [`Row`], compressed with zstd.

use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::ExportError;
use super::place::NewFile;
use super::rows::Row;

/// Rows that are held until they are written: readers take a group at a time, too.
const GROUP: usize = 1 << 16;

const SCHEMA: &str = "message detections {
    REQUIRED BYTE_ARRAY camera (STRING);
    REQUIRED INT32 sequence (INTEGER(32, false));
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

/// A column of values, and for each row whether it has one, if it can lack it.
struct Column<T: DataType> {
    values: Vec<T::T>,
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

/// A Parquet file that is written.
pub(super) struct Table {
    writer: SerializedFileWriter<NewFile>,
    path: std::path::PathBuf,
    rows: usize,
    camera: Column<ByteArrayType>,
    sequence: Column<Int32Type>,
    /// Of the device, of the arrival, and of the picture.
    times: [Column<Int64Type>; 3],
    label: Column<Int32Type>,
    name: Column<ByteArrayType>,
    confidence: Column<FloatType>,
    corners: [Column<FloatType>; 4],
    size: [Column<Int32Type>; 2],
}

impl Table {
    pub(super) fn create(path: &Path) -> Result<Self, ExportError> {
        let file = NewFile::create(path.to_owned())?;
        let refused = || ExportError::format::<ParquetError>(path, "Parquet");
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(refused())?);
        let zstd = Compression::ZSTD(ZstdLevel::default());
        let properties = Arc::new(WriterProperties::builder().set_compression(zstd).build());
        let writer = SerializedFileWriter::new(file, schema, properties).map_err(refused())?;
        Ok(Self {
            writer,
            path: path.to_owned(),
            rows: 0,
            camera: Column::required(),
            sequence: Column::required(),
            times: std::array::from_fn(|_| Column::required()),
            label: Column::required(),
            name: Column::required(),
            confidence: Column::optional(),
            corners: std::array::from_fn(|_| Column::required()),
            size: std::array::from_fn(|_| Column::optional()),
        })
    }

    pub(super) fn write(&mut self, row: &Row<'_>) -> Result<(), ExportError> {
        // Unsigned numbers are stored as the same 32 bits.
        let bits = u32::cast_signed;
        self.camera.push(ByteArray::from(row.camera));
        self.sequence.push(bits(row.sequence));
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
        if self.rows == GROUP { self.write_group() } else { Ok(()) }
    }

    fn write_group(&mut self) -> Result<(), ExportError> {
        self.rows = 0;
        let mut write = || {
            let mut group = self.writer.next_row_group()?;
            self.camera.write(&mut group)?;
            self.sequence.write(&mut group)?;
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
        file.finish()
    }
}
