//! Models as the camera runs them: a header, what goes in and what comes out, stages, weights.
//!
//! ```text
//! 0   an ELF header that nobody reads
//! 52  magic, size, version, how many inputs and outputs, ..., where the sections lie
//!     inputs, outputs: for each its index, name, order of its sizes, and where those stand among the weights
//!     stages, weights
//! ```
//!
//! The layout is that of OpenVINO's public `blob_format.hpp` and of `BlobReader.cpp` in depthai-core. Numbers have 32 bits
//! and are little-endian.

use std::fmt;

use super::app::Size;

/// Where the header begins: behind an ELF header of 32 bits.
const HEADER: usize = 52;
/// What the header begins with.
const MAGIC: u32 = 9709;
/// Where the fields of the header are in the file.
const FILE_SIZE: usize = HEADER + 4;
const MAJOR: usize = HEADER + 8;
const MINOR: usize = HEADER + 12;
const INPUTS: usize = HEADER + 16;
const OUTPUTS: usize = HEADER + 20;
const INPUT_SECTION: usize = HEADER + 64;
const OUTPUT_SECTION: usize = HEADER + 68;
const WEIGHTS: usize = HEADER + 76;
/// Sizes of a tensor; its order has room for no more.
const MOST_SIZES: u32 = 8;
/// Digits of an order (`DimsOrder` of OpenVINO).
const WIDTH: u32 = 1;
const HEIGHT: u32 = 2;
const CHANNELS: u32 = 3;

/// Why a file is no model, or not a whole one. Offsets count from its beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The fields stand in the texts.
pub enum BlobError {
    /// It is something else.
    #[error(
        "no compiled model (.blob): expected the number {MAGIC} at byte {HEADER}, found {}; .onnx, .pt and .xml have to be compiled for a Myriad X first (blobconverter.luxonis.com)",
        found.map_or_else(|| "the end of the file".to_owned(), |found| found.to_string())
    )]
    NoBlob { found: Option<u32> },
    /// The end of it is missing.
    #[error("the model is cut off: expected {expected} bytes, found {found}; copy or download it again")]
    CutOff { expected: u32, found: usize },
    /// No firmware that is known runs it.
    #[error(
        "the model was compiled by OpenVINO {major}.{minor}; depthai 2.29 to 2.33 runs those of {}: compile it again",
        OpenVino::KNOWN.map(|known| known.to_string()).join(", ")
    )]
    Version { major: u32, minor: u32 },
    /// Something should be where there is no file any more.
    #[error("the model is damaged: its {what} should be at byte {at}, the file ends at byte {len}")]
    Outside { what: &'static str, at: u64, len: usize },
    /// Something cannot be as it is.
    #[error("the model is damaged: its {what} is {found}, expected {expected}")]
    Damaged { what: &'static str, found: u32, expected: String },
}

/// A version of OpenVINO, by the year and the release in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenVino {
    /// The year.
    pub major: u32,
    /// The release in it.
    pub minor: u32,
}

impl OpenVino {
    /// Those whose models depthai 2.29 to 2.33 has a firmware for (`ver.getVersions()`, without 2020.3, which it refuses).
    pub const KNOWN: [Self; 6] = [
        Self::new(2020, 4),
        Self::new(2021, 1),
        Self::new(2021, 2),
        Self::new(2021, 3),
        Self::new(2021, 4),
        Self::new(2022, 1),
    ];

    /// A version.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for OpenVino {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What goes into a model, or comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// What it is called in the model.
    pub name: String,
    /// Its sizes, the one that varies fastest first.
    pub sizes: Vec<u32>,
    order: u32,
}

impl Tensor {
    /// Columns, if it has any.
    #[must_use]
    pub fn width(&self) -> Option<u32> {
        self.along(WIDTH)
    }

    /// Rows, if it has any.
    #[must_use]
    pub fn height(&self) -> Option<u32> {
        self.along(HEIGHT)
    }

    /// Channels, if it has any: 3 colours.
    #[must_use]
    pub fn channels(&self) -> Option<u32> {
        self.along(CHANNELS)
    }

    fn along(&self, axis: u32) -> Option<u32> {
        // 0x4321 is batch, channels, rows, columns, of which columns vary fastest.
        let axes = (0..MOST_SIZES).map(|digit| self.order >> (4 * digit) & 0xf);
        axes.zip(&self.sizes).find_map(|(found, size)| (found == axis).then_some(*size))
    }
}

/// What can be known of a model without running it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The version that compiled it, or the newest that is compatible.
    pub openvino: OpenVino,
    /// What goes in.
    pub inputs: Vec<Tensor>,
    /// What comes out.
    pub outputs: Vec<Tensor>,
}

impl Blob {
    /// Reads a file, but for its stages and weights.
    ///
    /// # Errors
    /// It is no model, or not a whole one, or of a version that no camera runs.
    pub fn parse(file: &[u8]) -> Result<Self, BlobError> {
        let file = File(file);
        match file.number(HEADER as u64, "header") {
            Ok(MAGIC) => {}
            found => return Err(BlobError::NoBlob { found: found.ok() }),
        }
        let field = |at: usize| file.number(at as u64, "header");
        let (expected, found) = (field(FILE_SIZE)?, file.0.len());
        if u64::from(expected) > found as u64 {
            return Err(BlobError::CutOff { expected, found });
        }
        let openvino = match (field(MAJOR)?, field(MINOR)?) {
            // Any of those: the vendor's library takes the newest.
            (6, 0) => OpenVino::new(2022, 1),
            (major, minor) => OpenVino::new(major, minor),
        };
        if !OpenVino::KNOWN.contains(&openvino) {
            return Err(BlobError::Version { major: openvino.major, minor: openvino.minor });
        }
        let weights = field(WEIGHTS)?;
        let inputs = file.tensors(field(INPUTS)?, field(INPUT_SECTION)?, weights)?;
        let outputs = file.tensors(field(OUTPUTS)?, field(OUTPUT_SECTION)?, weights)?;
        Ok(Self { openvino, inputs, outputs })
    }

    /// The size of the pictures that go in: of its only input with columns and rows.
    #[must_use]
    pub fn input_size(&self) -> Option<Size> {
        let mut pictures = self.inputs.iter().filter_map(|input| Some(Size::new(input.width()?, input.height()?)));
        pictures.next().filter(|size| size.pixels() > 0 && pictures.next().is_none())
    }
}

struct File<'a>(&'a [u8]);

impl File<'_> {
    fn number(&self, at: u64, what: &'static str) -> Result<u32, BlobError> {
        let outside = BlobError::Outside { what, at, len: self.0.len() };
        let bytes = usize::try_from(at).ok().and_then(|at| self.0.get(at..)?.first_chunk());
        bytes.map(|bytes| u32::from_le_bytes(*bytes)).ok_or(outside)
    }

    fn tensors(&self, count: u32, section: u32, weights: u32) -> Result<Vec<Tensor>, BlobError> {
        let mut at = u64::from(section);
        // None is made ready for: each takes bytes that have to be there.
        let mut tensors = Vec::new();
        for index in 0..count {
            let tensor = self.tensor(index, &mut at, weights)?;
            // The sizes of others that are known when it runs.
            if !tensor.name.contains("@shape") {
                tensors.push(tensor);
            }
        }
        Ok(tensors)
    }

    fn tensor(&self, index: u32, at: &mut u64, weights: u32) -> Result<Tensor, BlobError> {
        let mut next = |what| {
            *at += 4;
            self.number(*at - 4, what)
        };
        let found = next("index of an input or output")?;
        if found != index {
            let what = "index of an input or output";
            return Err(BlobError::Damaged { what, found, expected: index.to_string() });
        }
        next("place of an input or output")?;
        let len = next("length of a name")?;
        let (name, end) = (*at, *at + u64::from(len));
        let name = usize::try_from(name).ok().zip(usize::try_from(end).ok());
        let name = name.and_then(|(start, end)| self.0.get(start..end));
        let name = name.ok_or(BlobError::Outside { what: "name", at: end, len: self.0.len() })?;
        let name = String::from_utf8_lossy(name.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
        *at = end;
        let mut next = |what| {
            *at += 4;
            self.number(*at - 4, what)
        };
        next("type")?;
        let order = next("order")?;
        let count = next("number of sizes")?;
        if count > MOST_SIZES {
            let expected = format!("{MOST_SIZES} at most");
            return Err(BlobError::Damaged { what: "number of sizes", found: count, expected });
        }
        next("kind of place")?;
        let sizes = u64::from(weights) + u64::from(next("place of sizes")?);
        next("kind of place")?;
        next("place of strides")?;
        let sizes =
            (0..count).map(|size| self.number(sizes + 4 * u64::from(size), "size")).collect::<Result<_, _>>()?;
        Ok(Tensor { name, sizes, order })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &[u8] = include_bytes!("../../tests/data/tiny.blob");

    fn numbers(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// A tensor, and its sizes where the weights should be.
    fn tensor(index: u32, name: &[u8; 16], sizes_at: u32, count: u32) -> Vec<u8> {
        // Half-precision numbers in the order N, C, H, W; sizes and strides are in the blob.
        let front = numbers(&[index, 0, 16]);
        [front, name.to_vec(), numbers(&[0, 0x4321, count, 1, sizes_at, 1, 0])].concat()
    }

    /// How tests/data/tiny.blob is made: a header that the vendor's library takes, 640x352 in, and nothing that runs.
    fn tiny() -> Vec<u8> {
        let inputs = tensor(0, b"images\0\0\0\0\0\0\0\0\0\0", 0, 4);
        let outputs = tensor(0, b"output1_yolov8\0\0", 16, 4);
        let weights = numbers(&[640, 352, 3, 1, 44, 80, 85, 1]);
        let input_section = HEADER as u32 + 80;
        let output_section = input_section + inputs.len() as u32;
        let weights_at = output_section + outputs.len() as u32;
        let len = weights_at + weights.len() as u32;
        let header = numbers(&[
            MAGIC,
            len,
            2022,
            1,
            1,
            1,
            0,
            0,
            0,
            1,
            0,
            0,
            6,
            0,
            0,
            0,
            input_section,
            output_section,
            weights_at,
            weights_at,
        ]);
        let elf = [b"\x7felf".as_slice(), &[0; HEADER - 4]].concat();
        [elf, header, inputs, outputs, weights].concat()
    }

    #[test]
    fn what_goes_in_is_known() {
        assert_eq!(tiny(), TINY);
        let blob = Blob::parse(TINY).expect("a model");
        assert_eq!((blob.openvino.to_string().as_str(), blob.input_size()), ("2022.1", Some(Size::new(640, 352))));
        let [input] = &blob.inputs[..] else { panic!("{:?}", blob.inputs) };
        assert_eq!((input.name.as_str(), input.channels()), ("images", Some(3)));
        assert_eq!((blob.outputs[0].name.as_str(), blob.outputs[0].channels()), ("output1_yolov8", Some(85)));
        let changed = |at: usize, number: u32| {
            let mut file = tiny();
            file[at..at + 4].copy_from_slice(&number.to_le_bytes());
            Blob::parse(&file)
        };
        assert_eq!(changed(INPUTS, 0).expect("without inputs").input_size(), None);
        for (major, minor, found) in [(2021, 3, "2021.3"), (6, 0, "2022.1")] {
            let mut file = tiny();
            file[MAJOR..MAJOR + 8].copy_from_slice(&numbers(&[major, minor]));
            assert_eq!(Blob::parse(&file).expect("known").openvino.to_string(), found);
        }
        let error = |at, number| changed(at, number).expect_err("it is damaged").to_string();
        assert_eq!(
            error(MAJOR, 2023),
            "the model was compiled by OpenVINO 2023.1; depthai 2.29 to 2.33 runs those of 2020.4, 2021.1, 2021.2, 2021.3, \
             2021.4, 2022.1: compile it again"
        );
        assert_eq!(
            error(FILE_SIZE, 999),
            format!("the model is cut off: expected 999 bytes, found {}; copy or download it again", TINY.len())
        );
        assert!(
            error(HEADER, 1).starts_with("no compiled model (.blob): expected the number 9709 at byte 52, found 1;")
        );
        assert!(
            error(INPUT_SECTION, 999).starts_with("the model is damaged: its index of an input or output should be at")
        );
        assert!(error(INPUTS, 2).ends_with("its index of an input or output is 0, expected 1"));
    }

    #[test]
    fn no_change_and_no_cut_makes_it_panic() {
        for len in 0..TINY.len() {
            let error = Blob::parse(&TINY[..len]).expect_err("it is cut off");
            assert!(!matches!(error, BlobError::Damaged { .. }), "{len}: {error}");
        }
        for at in (HEADER..TINY.len()).step_by(4) {
            for number in [0, 1, 7, 300, 0x7fff_ffff, u32::MAX] {
                let mut file = tiny();
                file[at..at + 4].copy_from_slice(&u32::to_le_bytes(number));
                if let Ok(blob) = Blob::parse(&file) {
                    assert!(blob.inputs.len() + blob.outputs.len() <= 2, "{at}");
                }
            }
        }
    }
}
