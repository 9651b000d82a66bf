//! Writes Parquet files in groups of rows, compressed with zstd.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::ExportError;
use super::place;
use crate::file::NewFile;

/// Rows per row group. They are kept in memory until the group is complete, also by readers.
const ROWS_PER_GROUP: usize = 1 << 16;

pub(super) type RowGroup<'a> = SerializedRowGroupWriter<'a, NewFile>;

/// The values of a column in the current row group.
pub(super) struct Column<T: DataType> {
    values: Vec<T::T>,
    /// For each row 1 if it has a value and 0 if not. `None` if the column is required.
    levels: Option<Vec<i16>>,
}

impl<T: DataType> Column<T> {
    pub(super) fn required() -> Self {
        Self { values: Vec::new(), levels: None }
    }

    pub(super) fn optional() -> Self {
        Self { levels: Some(Vec::new()), ..Self::required() }
    }

    pub(super) fn push(&mut self, value: impl Into<Option<T::T>>) {
        let value = value.into();
        if let Some(levels) = &mut self.levels {
            levels.push(i16::from(value.is_some()));
        }
        self.values.extend(value);
    }

    /// Writes the values as the next column of the group, and removes them.
    pub(super) fn write(&mut self, group: &mut RowGroup<'_>) -> Result<(), ParquetError> {
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

/// The columns of one kind of rows.
pub(super) trait Columns {
    const SCHEMA: &'static str;

    fn new() -> Self;

    /// Writes all columns in the order of the schema.
    fn write(&mut self, group: &mut RowGroup<'_>) -> Result<(), ParquetError>;
}

/// A new Parquet file.
pub(super) struct ParquetFile<C> {
    writer: SerializedFileWriter<NewFile>,
    path: PathBuf,
    rows: usize,
    columns: C,
}

impl<C: Columns> ParquetFile<C> {
    pub(super) fn create(path: &Path) -> Result<Self, ExportError> {
        let file = place::create(path.to_owned())?;
        let failed = || ExportError::format::<ParquetError>(path, "Parquet");
        let schema = Arc::new(parse_message_type(C::SCHEMA).map_err(failed())?);
        let zstd = Compression::ZSTD(ZstdLevel::default());
        let properties = Arc::new(WriterProperties::builder().set_compression(zstd).build());
        let writer = SerializedFileWriter::new(file, schema, properties).map_err(failed())?;
        Ok(Self { writer, path: path.to_owned(), rows: 0, columns: C::new() })
    }

    /// Adds the row that `push` appends to the columns.
    pub(super) fn add(&mut self, push: impl FnOnce(&mut C)) -> Result<(), ExportError> {
        push(&mut self.columns);
        self.rows += 1;
        if self.rows == ROWS_PER_GROUP { self.write_group() } else { Ok(()) }
    }

    fn write_group(&mut self) -> Result<(), ExportError> {
        self.rows = 0;
        let mut write = || {
            let mut group = self.writer.next_row_group()?;
            self.columns.write(&mut group)?;
            group.close()
        };
        write().map(|_| ()).map_err(ExportError::format(&self.path, "Parquet"))
    }

    /// Renames the file to its final path. Returns its size in bytes.
    pub(super) fn finish(mut self) -> Result<u64, ExportError> {
        if self.rows > 0 {
            self.write_group()?;
        }
        let file = self.writer.into_inner().map_err(ExportError::format::<ParquetError>(&self.path, "Parquet"))?;
        place::finish(file)
    }
}
