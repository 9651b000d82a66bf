//! Writes the boxes of training data: in the layout of YOLO, or in the JSON of COCO.

use std::collections::HashMap;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ExportError;
use super::camera::Camera;
use super::choice::ChosenDetection;
use super::frames::ChosenFrame;
use super::place;
use super::report::Added;
use super::still::Still;
use crate::file::NewFile;

/// The classes of a data set, numbered from 0 without gaps, as training requires.
///
/// Starts with the label names of the cameras in their order, so that class 2 of COCO's names stays a car. Adds other
/// names when a detection first has them. Labels of different cameras with the same name are one class.
#[derive(Debug, Default)]
pub(super) struct Classes {
    names: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Classes {
    pub(super) fn new(cameras: &[Camera]) -> Self {
        let mut classes = Self::default();
        for (_, name) in cameras.iter().flat_map(|camera| camera.default_names().iter()) {
            classes.number(name);
        }
        classes
    }

    /// Returns the number of the class of this name. Adds the class if it is new.
    fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), self.names.len() - 1);
        self.names.len() - 1
    }
}

/// Writes the boxes of a data set. The file of a picture is complete before its boxes are added.
pub(super) trait BoxWriter {
    /// Adds the boxes of a picture. `file` is its file name in the folder of pictures.
    fn add(&mut self, chosen: &ChosenFrame, camera: &Camera, file: &str, still: &Still) -> Result<Added, ExportError>;

    /// Name of the file that [`Self::finish`] writes.
    fn list_name(&self) -> &'static str;

    /// Writes the files that need all pictures, such as the list of classes.
    fn finish(self: Box<Self>) -> Result<Added, ExportError>;
}

/// Creates a file with this content.
pub(super) fn write_file(path: PathBuf, bytes: &[u8]) -> Result<Added, ExportError> {
    let mut file = place::create(path)?;
    let path = file.path().to_owned();
    file.write_all(bytes).map_err(ExportError::io(&path))?;
    let path = file.path().to_owned();
    Ok(Added { files: 1, bytes: file.finish_unsynced().map_err(ExportError::io(&path))? })
}

/// Writes `labels/train/NAME.txt` for each `images/train/NAME.png`, and `data.yaml`.
#[derive(Debug)]
pub(super) struct Yolo {
    root: PathBuf,
    classes: Classes,
}

impl Yolo {
    /// Subfolder of the pictures.
    pub(super) const IMAGES: &str = "images/train";
    const LABELS: &str = "labels/train";

    pub(super) fn new(root: &Path, classes: Classes) -> Result<Self, ExportError> {
        let labels = root.join(Self::LABELS);
        std::fs::create_dir_all(&labels).map_err(ExportError::io(&labels))?;
        Ok(Self { root: root.to_owned(), classes })
    }
}

impl BoxWriter for Yolo {
    fn add(&mut self, chosen: &ChosenFrame, camera: &Camera, file: &str, _: &Still) -> Result<Added, ExportError> {
        let names = camera.names(&chosen.frame);
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let mut text = Vec::new();
        for ChosenDetection { seen: detection, .. } in &chosen.detections {
            let class = self.classes.number(&names.title(detection.label));
            let bbox = detection.bbox;
            let (x, y) = ((bbox.xmin + bbox.xmax) / 2.0, (bbox.ymin + bbox.ymax) / 2.0);
            let (width, height) = (bbox.xmax - bbox.xmin, bbox.ymax - bbox.ymin);
            writeln!(text, "{class} {x:.6} {y:.6} {width:.6} {height:.6}").map_err(ExportError::io(&self.root))?;
        }
        write_file(self.root.join(Self::LABELS).join(format!("{stem}.txt")), &text)
    }

    fn list_name(&self) -> &'static str {
        "data.yaml"
    }

    fn finish(self: Box<Self>) -> Result<Added, ExportError> {
        let mut yaml = String::from(
            "# All exported pictures are in one set. `val` lists the same pictures, because training requires it:\n\
             # its metrics mean nothing until you move some pictures to a set of their own.\n",
        );
        yaml.push_str(&format!("train: {0}\nval: {0}\nnc: {1}\nnames:\n", Self::IMAGES, self.classes.names.len()));
        for (number, name) in self.classes.names.iter().enumerate() {
            yaml.push_str(&format!("  {number}: {}\n", quoted(name)));
        }
        write_file(self.root.join(self.list_name()), yaml.as_bytes())
    }
}

/// Returns a quoted YAML string. Escapes everything special, because names come from the camera.
fn quoted(name: &str) -> String {
    let mut text = String::from('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            // YAML treats these Unicode characters as line breaks or as a byte order mark.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// Writes `instances.json` beside `images/`.
#[derive(Debug)]
pub(super) struct Coco {
    classes: Classes,
    /// The JSON up to the list of pictures.
    file: NewFile,
    /// The boxes, which follow the list of pictures in the JSON.
    boxes: NewFile,
    images: u64,
    annotations: u64,
}

#[derive(Serialize)]
struct Image<'a> {
    id: u64,
    file_name: &'a str,
    width: u32,
    height: u32,
    date_captured: String,
}

#[derive(Serialize)]
struct Annotation {
    id: u64,
    image_id: u64,
    category_id: usize,
    /// x, y, width, height in pixels.
    bbox: [f64; 4],
    area: f64,
    iscrowd: u8,
    /// Confidence. serde_json writes `NaN` as null.
    score: f32,
}

#[derive(Serialize)]
struct Category<'a> {
    id: usize,
    name: &'a str,
    supercategory: &'a str,
}

impl Coco {
    /// Subfolder of the pictures.
    pub(super) const IMAGES: &str = "images";

    pub(super) fn new(root: &Path, classes: Classes) -> Result<Self, ExportError> {
        let mut file = place::create(root.join("instances.json"))?;
        let boxes = place::create(root.join("instances.json.annotations"))?;
        let path = file.path().to_owned();
        let info =
            concat!("{\"info\":{\"description\":\"exported by oaktap ", env!("CARGO_PKG_VERSION"), "\"},\"images\":[");
        file.write_all(info.as_bytes()).map_err(ExportError::io(&path))?;
        Ok(Self { classes, file, boxes, images: 0, annotations: 0 })
    }

    fn end(&mut self) -> io::Result<()> {
        self.file.write_all(b"\n],\"annotations\":[")?;
        self.boxes.flush()?;
        self.boxes.rewind()?;
        io::copy(&mut self.boxes, &mut self.file)?;
        self.file.write_all(b"\n],\"categories\":[")?;
        for (number, name) in self.classes.names.iter().enumerate() {
            item(&mut self.file, number == 0, &Category { id: number + 1, name, supercategory: "" })?;
        }
        self.file.write_all(b"\n]}\n")
    }
}

fn item<T: Serialize>(file: &mut NewFile, first: bool, item: &T) -> io::Result<()> {
    file.write_all(if first { b"\n" } else { b",\n" })?;
    Ok(serde_json::to_writer(file, item)?)
}

impl BoxWriter for Coco {
    fn add(&mut self, chosen: &ChosenFrame, camera: &Camera, file: &str, still: &Still) -> Result<Added, ExportError> {
        let names = camera.names(&chosen.frame);
        self.images += 1;
        let date_captured = chrono::DateTime::from_timestamp_nanos(chosen.taken_ns).format("%Y-%m-%dT%H:%M:%S%.6fZ");
        let image = Image {
            id: self.images,
            file_name: file,
            width: still.size.width,
            height: still.size.height,
            date_captured: date_captured.to_string(),
        };
        let path = self.file.path().to_owned();
        item(&mut self.file, self.images == 1, &image).map_err(ExportError::io(&path))?;
        for ChosenDetection { seen: detection, .. } in &chosen.detections {
            self.annotations += 1;
            let bbox = detection.bbox;
            let (x, width) = pixels(bbox.xmin, bbox.xmax, still.size.width);
            let (y, height) = pixels(bbox.ymin, bbox.ymax, still.size.height);
            let annotation = Annotation {
                id: self.annotations,
                image_id: self.images,
                category_id: 1 + self.classes.number(&names.title(detection.label)),
                bbox: [x, y, width, height],
                area: width * height,
                iscrowd: 0,
                score: detection.confidence,
            };
            item(&mut self.boxes, self.annotations == 1, &annotation).map_err(ExportError::io(&path))?;
        }
        Ok(Added::default())
    }

    fn list_name(&self) -> &'static str {
        "instances.json"
    }

    fn finish(mut self: Box<Self>) -> Result<Added, ExportError> {
        let path = self.file.path().to_owned();
        self.end().map_err(ExportError::io(&path))?;
        Ok(Added { files: 1, bytes: place::finish(self.file)? })
    }
}

/// Returns start and length of a side of a box in pixels, rounded to 0.001.
fn pixels(low: f32, high: f32, side: u32) -> (f64, f64) {
    let thousandth = |x: f64| (x * 1000.0).round() / 1000.0;
    let low = thousandth(f64::from(low) * f64::from(side));
    (low, thousandth(thousandth(f64::from(high) * f64::from(side)) - low))
}
