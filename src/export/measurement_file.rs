//! Writes the numbers that cameras sent beside their pictures to a file of their own, in the format of the detections.

use std::path::{Path, PathBuf};

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use serde::Serialize;

use super::ExportError;
use super::detection_file::{DetectionFile, create_csv, finish_csv, plain_cell, write_json_line};
use super::parquet_file::{Column, Columns, ParquetFile, RowGroup};
use super::place;
use crate::file::NewFile;
use crate::recording::PlayedMeasurement;

/// One number: a line of JSON, a row of CSV and Parquet.
#[derive(Debug, Serialize)]
struct Row<'a> {
    camera: &'a str,
    topic: &'a str,
    arrival_unix_ns: i64,
    value: f64,
    stale: bool,
}

/// The names of the fields of [`Row`], in their order.
const COLUMNS: [&str; 5] = ["camera", "topic", "arrival_unix_ns", "value", "stale"];

/// Returns the path of the numbers beside a table: `x.csv` has `x-measurements.csv`.
fn path_beside(table: &Path) -> PathBuf {
    let mut name = table.file_stem().unwrap_or_default().to_owned();
    name.push("-measurements");
    if let Some(extension) = table.extension() {
        name.push(".");
        name.push(extension);
    }
    table.with_file_name(name)
}

/// A new file of numbers.
enum Rows {
    Jsonl(NewFile),
    Csv(Box<csv::Writer<NewFile>>),
    Parquet(Box<Table>),
}

/// The numbers of the chosen cameras. There is a file only if there are numbers.
pub(super) struct MeasurementFile {
    path: PathBuf,
    rows: Option<Rows>,
}

impl MeasurementFile {
    /// Prepares the file beside this table.
    pub(super) fn beside(table: &Path) -> Self {
        Self { path: path_beside(table), rows: None }
    }

    /// Writes a number of the camera of this name. The first one creates the file, in the format of `detections`.
    pub(super) fn write(
        &mut self,
        measurement: &PlayedMeasurement,
        camera: &str,
        detections: &DetectionFile,
    ) -> Result<(), ExportError> {
        let PlayedMeasurement { topic, log_ns, value, stale, .. } = measurement;
        let (arrival_unix_ns, value, stale) = (*log_ns, *value, *stale);
        let rows = match &mut self.rows {
            Some(rows) => rows,
            empty => empty.insert(Rows::create(&self.path, detections)?),
        };
        match rows {
            Rows::Jsonl(file) => write_json_line(file, &Row { camera, topic, arrival_unix_ns, value, stale }),
            Rows::Csv(writer) => {
                let (camera, topic) = (plain_cell(camera), plain_cell(topic));
                let row = Row { camera: &camera, topic: &topic, arrival_unix_ns, value, stale };
                writer.serialize(row).map_err(ExportError::format(&self.path, "CSV"))
            }
            Rows::Parquet(table) => {
                table.add(|columns| columns.push(&Row { camera, topic, arrival_unix_ns, value, stale }))
            }
        }
    }

    /// Renames the file to its final path. Returns the path and the size in bytes; `None` if there were no numbers.
    pub(super) fn finish(self) -> Result<Option<(PathBuf, u64)>, ExportError> {
        let Self { path, rows } = self;
        let bytes = match rows {
            None => return Ok(None),
            Some(Rows::Jsonl(file)) => place::finish(file)?,
            Some(Rows::Csv(writer)) => finish_csv(*writer)?,
            Some(Rows::Parquet(table)) => table.finish()?,
        };
        Ok(Some((path, bytes)))
    }
}

impl Rows {
    fn create(path: &Path, detections: &DetectionFile) -> Result<Self, ExportError> {
        Ok(match detections {
            DetectionFile::Jsonl(_) => Self::Jsonl(place::create(path.to_owned())?),
            DetectionFile::Csv(_) => Self::Csv(Box::new(create_csv(path, &COLUMNS)?)),
            DetectionFile::Parquet(_) => Self::Parquet(Box::new(Table::create(path)?)),
        })
    }
}

/// A new Parquet file of numbers.
type Table = ParquetFile<NumberColumns>;

struct NumberColumns {
    /// `camera`, `topic`.
    texts: [Column<ByteArrayType>; 2],
    arrival: Column<Int64Type>,
    value: Column<DoubleType>,
    stale: Column<BoolType>,
}

impl Columns for NumberColumns {
    const SCHEMA: &'static str = "message measurements {
        REQUIRED BYTE_ARRAY camera (STRING);
        REQUIRED BYTE_ARRAY topic (STRING);
        REQUIRED INT64 arrival_unix_ns;
        REQUIRED DOUBLE value;
        REQUIRED BOOLEAN stale;
    }";

    fn new() -> Self {
        Self {
            texts: std::array::from_fn(|_| Column::required()),
            arrival: Column::required(),
            value: Column::required(),
            stale: Column::required(),
        }
    }

    fn write(&mut self, group: &mut RowGroup<'_>) -> Result<(), ParquetError> {
        self.texts.iter_mut().try_for_each(|column| column.write(group))?;
        self.arrival.write(group)?;
        self.value.write(group)?;
        self.stale.write(group)
    }
}

impl NumberColumns {
    fn push(&mut self, row: &Row<'_>) {
        for (column, text) in self.texts.iter_mut().zip([row.camera, row.topic]) {
            column.push(ByteArray::from(text));
        }
        self.arrival.push(row.arrival_unix_ns);
        self.value.push(row.value);
        self.stale.push(row.stale);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_beside_the_detections() {
        for (table, numbers) in [
            ("a/x.csv", "a/x-measurements.csv"),
            ("x.y.jsonl", "x.y-measurements.jsonl"),
            ("a.b/x", "a.b/x-measurements"),
        ] {
            assert_eq!(path_beside(Path::new(table)), Path::new(numbers));
        }
    }
}
