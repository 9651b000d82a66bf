//! Pictures and boxes as trainers load them: the layout of YOLO, or COCO's JSON.

use std::collections::HashMap;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ExportError;
use super::frames::{Camera, Shot};
use super::place::NewFile;
use super::still::Still;

/// The classes of a data set, numbered from 0 without gaps, as trainers want them.
///
/// The names of the cameras come first, in their order: with COCO's, class 2 is a car here as it was there. What has
/// another name, or none, is added when it is first seen. Classes are the same when their names are.
#[derive(Debug, Default)]
pub(super) struct Classes {
    names: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Classes {
    pub(super) fn of(cameras: &[Camera]) -> Self {
        let mut classes = Self::default();
        for (_, name) in cameras.iter().flat_map(|camera| camera.default_names().iter()) {
            classes.number(name);
        }
        classes
    }

    /// The number of the class of this name.
    fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), self.names.len() - 1);
        self.names.len() - 1
    }
}

/// Where the boxes of a data set go. Pictures are in place when their boxes are written.
pub(super) trait Boxes {
    /// Adds the boxes of a picture that is in this file, in the folder of pictures.
    fn add(&mut self, shot: &Shot, camera: &Camera, file: &str, still: &Still) -> Result<Added, ExportError>;

    /// Writes what is known only at the end.
    fn finish(self: Box<Self>) -> Result<Added, ExportError>;
}

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Writes a whole file.
pub(super) fn write_file(path: PathBuf, bytes: &[u8]) -> Result<Added, ExportError> {
    let mut file = NewFile::create(path)?;
    let path = file.path().to_owned();
    file.write_all(bytes).map_err(ExportError::io(&path))?;
    Ok(Added { files: 1, bytes: file.finish()? })
}

/// `labels/train/NAME.txt` beside `images/train/NAME.png`, and `data.yaml`.
#[derive(Debug)]
pub(super) struct Yolo {
    root: PathBuf,
    classes: Classes,
}

impl Yolo {
    /// Where the pictures go.
    pub(super) const IMAGES: &str = "images/train";
    const LABELS: &str = "labels/train";

    pub(super) fn new(root: &Path, classes: Classes) -> Result<Self, ExportError> {
        let labels = root.join(Self::LABELS);
        std::fs::create_dir_all(&labels).map_err(ExportError::io(&labels))?;
        Ok(Self { root: root.to_owned(), classes })
    }
}

impl Boxes for Yolo {
    fn add(&mut self, shot: &Shot, camera: &Camera, file: &str, _: &Still) -> Result<Added, ExportError> {
        let names = camera.names(&shot.frame);
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let mut text = Vec::new();
        for detection in &shot.seen {
            let class = self.classes.number(&names.title(detection.label));
            let bbox = detection.bbox;
            let (x, y) = ((bbox.xmin + bbox.xmax) / 2.0, (bbox.ymin + bbox.ymax) / 2.0);
            let (width, height) = (bbox.xmax - bbox.xmin, bbox.ymax - bbox.ymin);
            writeln!(text, "{class} {x:.6} {y:.6} {width:.6} {height:.6}").map_err(ExportError::io(&self.root))?;
        }
        write_file(self.root.join(Self::LABELS).join(format!("{stem}.txt")), &text)
    }

    fn finish(self: Box<Self>) -> Result<Added, ExportError> {
        let mut yaml = String::from(
            "# Everything that was exported is in one set. `val` names the same pictures, because trainers ask for it:\n\
             # put some of them aside before you trust what it says.\n",
        );
        yaml.push_str(&format!("train: {0}\nval: {0}\nnc: {1}\nnames:\n", Self::IMAGES, self.classes.names.len()));
        for (number, name) in self.classes.names.iter().enumerate() {
            yaml.push_str(&format!("  {number}: {}\n", quoted(name)));
        }
        write_file(self.root.join("data.yaml"), yaml.as_bytes())
    }
}

/// In quotes as YAML has them: names come from the network.
fn quoted(name: &str) -> String {
    let mut text = String::from('"');
    for c in name.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            // Line ends of Unicode are ones to YAML.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// `instances.json` beside `images/`.
#[derive(Debug)]
pub(super) struct Coco {
    classes: Classes,
    /// The JSON as far as the pictures.
    file: NewFile,
    /// The boxes, which come after all pictures.
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
    /// Of the network; not a number is null.
    score: f32,
}

#[derive(Serialize)]
struct Category<'a> {
    id: usize,
    name: &'a str,
    supercategory: &'a str,
}

impl Coco {
    /// Where the pictures go.
    pub(super) const IMAGES: &str = "images";

    pub(super) fn new(root: &Path, classes: Classes) -> Result<Self, ExportError> {
        let mut file = NewFile::create(root.join("instances.json"))?;
        let boxes = NewFile::create(root.join("instances.json.annotations"))?;
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

impl Boxes for Coco {
    fn add(&mut self, shot: &Shot, camera: &Camera, file: &str, still: &Still) -> Result<Added, ExportError> {
        let names = camera.names(&shot.frame);
        self.images += 1;
        let date_captured = chrono::DateTime::from_timestamp_nanos(shot.taken_ns).format("%Y-%m-%dT%H:%M:%S%.6fZ");
        let image = Image {
            id: self.images,
            file_name: file,
            width: still.width,
            height: still.height,
            date_captured: date_captured.to_string(),
        };
        let path = self.file.path().to_owned();
        item(&mut self.file, self.images == 1, &image).map_err(ExportError::io(&path))?;
        for detection in &shot.seen {
            self.annotations += 1;
            let bbox = detection.bbox;
            let (x, width) = pixels(bbox.xmin, bbox.xmax, still.width);
            let (y, height) = pixels(bbox.ymin, bbox.ymax, still.height);
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

    fn finish(mut self: Box<Self>) -> Result<Added, ExportError> {
        let path = self.file.path().to_owned();
        self.end().map_err(ExportError::io(&path))?;
        Ok(Added { files: 1, bytes: self.file.finish()? })
    }
}

/// Where it begins and how long it is, in pixels, to a thousandth of one.
fn pixels(low: f32, high: f32, side: u32) -> (f64, f64) {
    let thousandth = |x: f64| (x * 1000.0).round() / 1000.0;
    let low = thousandth(f64::from(low) * f64::from(side));
    (low, thousandth(thousandth(f64::from(high) * f64::from(side)) - low))
}
