//! Parses the header of a compiled model: version, inputs and outputs.
//!
//! ```text
//! 0   an ELF header, which is not used
//! 52  magic, size, version, number of inputs and outputs, ..., offsets of the sections
//!     inputs, outputs: index, name, order of the sizes, and offset of the sizes in the weights
//!     stages, weights
//! ```
//!
//! The layout is that of OpenVINO's public `blob_format.hpp` and of `BlobReader.cpp` in depthai-core. Numbers have 32 bits
//! and are little-endian.

use std::fmt;

use super::app::Size;

/// Offset of the header, after a 32-bit ELF header.
const HEADER: usize = 52;
const MAGIC: u32 = 9709;
/// Offsets of the header's fields in the file.
const FILE_SIZE: usize = HEADER + 4;
const MAJOR: usize = HEADER + 8;
const MINOR: usize = HEADER + 12;
const INPUTS: usize = HEADER + 16;
const OUTPUTS: usize = HEADER + 20;
const INPUT_SECTION: usize = HEADER + 64;
const OUTPUT_SECTION: usize = HEADER + 68;
const WEIGHTS: usize = HEADER + 76;
/// Dimensions of a tensor: its order has eight digits.
const DIMENSIONS_MAX: u32 = 8;
/// Digits of an order (OpenVINO's `DimsOrder`).
const WIDTH: u32 = 1;
const HEIGHT: u32 = 2;
const CHANNELS: u32 = 3;

/// Reason for rejecting a model. Offsets count from the beginning of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // The texts explain the fields.
pub enum BlobError {
    /// The file is not a compiled model.
    #[error(
        "not a compiled model (.blob): expected {MAGIC} at byte {HEADER}, found {}; compile .onnx, .pt and .xml for a Myriad X first (blobconverter.luxonis.com)",
        found.map_or_else(|| "the end of the file".to_owned(), |found| found.to_string())
    )]
    Magic { found: Option<u32> },
    /// The file is shorter than its header says.
    #[error("the model is cut off: expected {expected} bytes, found {found}; copy or download it again")]
    CutOff { expected: u32, found: usize },
    /// No known firmware runs the model.
    #[error(
        "the model was compiled by OpenVINO {major}.{minor}, expected {}, which depthai 2.29 to 2.33 runs: compile it again",
        OpenVino::KNOWN.map(|known| known.to_string()).join(", ")
    )]
    Version { major: u32, minor: u32 },
    /// An offset is outside of the file.
    #[error("the model is damaged: the {what} is at byte {at}, but the file ends at byte {len}")]
    Outside { what: &'static str, at: u64, len: usize },
    /// A field has an impossible value.
    #[error("the model is damaged: the {what} is {found}, expected {expected}")]
    Damaged { what: &'static str, found: u32, expected: String },
}

/// A version of OpenVINO, such as 2022.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenVino {
    /// The year.
    pub major: u32,
    /// The release of the year.
    pub minor: u32,
}

impl OpenVino {
    /// The versions whose models depthai 2.29 to 2.33 runs (`ver.getVersions()`, without 2020.3, which it refuses).
    pub const KNOWN: [Self; 6] = [
        Self::new(2020, 4),
        Self::new(2021, 1),
        Self::new(2021, 2),
        Self::new(2021, 3),
        Self::new(2021, 4),
        Self::new(2022, 1),
    ];

    /// `major` is the year.
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

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name in the model.
    pub name: String,
    /// Sizes of the dimensions, the fastest-varying first.
    pub sizes: Vec<u32>,
    order: u32,
}

impl Tensor {
    /// Size of the dimension W.
    #[must_use]
    pub fn width(&self) -> Option<u32> {
        self.along(WIDTH)
    }

    /// Size of the dimension H.
    #[must_use]
    pub fn height(&self) -> Option<u32> {
        self.along(HEIGHT)
    }

    /// Size of the dimension C: 3 for colors.
    #[must_use]
    pub fn channels(&self) -> Option<u32> {
        self.along(CHANNELS)
    }

    fn along(&self, axis: u32) -> Option<u32> {
        // 0x4321 is NCHW: W varies fastest.
        let axes = (0..DIMENSIONS_MAX).map(|digit| self.order >> (4 * digit) & 0xf);
        axes.zip(&self.sizes).find_map(|(found, size)| (found == axis).then_some(*size))
    }
}

/// The header of a compiled model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The version that compiled it, or the newest compatible one.
    pub openvino: OpenVino,
    /// Tensors of the inputs.
    pub inputs: Vec<Tensor>,
    /// Tensors of the outputs.
    pub outputs: Vec<Tensor>,
}

impl Blob {
    /// Parses the header. Stages and weights are not checked.
    ///
    /// # Errors
    /// The file is not a model, is damaged, or has a version that no camera runs.
    pub fn parse(file: &[u8]) -> Result<Self, BlobError> {
        let file = File(file);
        match file.number(HEADER as u64, "header") {
            Ok(MAGIC) => {}
            found => return Err(BlobError::Magic { found: found.ok() }),
        }
        let field = |at: usize| file.number(at as u64, "header");
        let (expected, found) = (field(FILE_SIZE)?, file.0.len());
        if u64::from(expected) > found as u64 {
            return Err(BlobError::CutOff { expected, found });
        }
        let openvino = match (field(MAJOR)?, field(MINOR)?) {
            // Compatible with all versions; the vendor's library takes the newest.
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

    /// Size of the pictures that the model takes: of its only input with W and H. `None` if there are several.
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
        // No capacity is reserved, because `count` is not checked: parsing stops at the end of the file.
        let mut tensors = Vec::new();
        for index in 0..count {
            let tensor = self.tensor(index, &mut at, weights)?;
            // Such a tensor holds the sizes of another one that are known only when the model runs.
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
        let found = next("tensor index")?;
        if found != index {
            let what = "tensor index";
            return Err(BlobError::Damaged { what, found, expected: index.to_string() });
        }
        next("tensor offset")?;
        let len = next("name length")?;
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
        let count = next("number of dimensions")?;
        if count > DIMENSIONS_MAX {
            let expected = format!("at most {DIMENSIONS_MAX}");
            return Err(BlobError::Damaged { what: "number of dimensions", found: count, expected });
        }
        next("location")?;
        let sizes = u64::from(weights) + u64::from(next("offset of the dimensions")?);
        next("location")?;
        next("offset of the strides")?;
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

    /// A tensor whose sizes are at `sizes_at` in the weights.
    fn tensor(index: u32, name: &[u8; 16], sizes_at: u32, count: u32) -> Vec<u8> {
        // Half-precision numbers in the order NCHW; sizes and strides are in the blob.
        let front = numbers(&[index, 0, 16]);
        [front, name.to_vec(), numbers(&[0, 0x4321, count, 1, sizes_at, 1, 0])].concat()
    }

    /// Builds tests/data/tiny.blob: a header that the vendor's library accepts, with an input of 640x352, and no stages.
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
    fn inputs_and_outputs_are_parsed() {
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
            "the model was compiled by OpenVINO 2023.1, expected 2020.4, 2021.1, 2021.2, 2021.3, 2021.4, 2022.1, which depthai \
             2.29 to 2.33 runs: compile it again"
        );
        assert_eq!(
            error(FILE_SIZE, 999),
            format!("the model is cut off: expected 999 bytes, found {}; copy or download it again", TINY.len())
        );
        assert!(error(HEADER, 1).starts_with("not a compiled model (.blob): expected 9709 at byte 52, found 1;"));
        assert!(error(INPUT_SECTION, 999).starts_with("the model is damaged: the tensor index is at byte"));
        assert!(error(INPUTS, 2).ends_with("the tensor index is 0, expected 1"));
    }

    #[test]
    fn damaged_and_truncated_files_do_not_panic() {
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
