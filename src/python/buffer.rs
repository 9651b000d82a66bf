//! Bytes for numpy and others by the buffer protocol, which copies nothing.
//!
//! The only file of the library with `unsafe`: Python defines the protocol by a C struct of raw pointers.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::kept::KeptFrame;
use crate::sync::locked;

/// Converted pictures whose memory is kept for the next ones.
const SPARE_MAX: usize = 4;

/// Larger buffers are not kept.
const SPARE_BYTES_MAX: usize = 32 << 20;

/// Memory for converted pictures. A buffer comes back when the last array of it is dropped, so that a steady stream neither
/// allocates nor clears.
#[derive(Debug, Default)]
pub(super) struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    /// Returns a buffer of this many bytes with any content.
    pub(super) fn take(&self, len: usize) -> Vec<u8> {
        let mut spare = locked(&self.0);
        match spare.iter().position(|buffer| buffer.len() == len) {
            Some(at) => spare.swap_remove(at),
            None => {
                // Of another size, so of another format.
                spare.clear();
                vec![0; len]
            }
        }
    }

    fn put_back(&self, buffer: Vec<u8>) {
        let mut spare = locked(&self.0);
        if spare.len() < SPARE_MAX && buffer.len() <= SPARE_BYTES_MAX {
            spare.push(buffer);
        }
    }
}

/// Type of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    U8,
    U16,
    U32,
    U64,
    I64,
    F16,
    F32,
}

impl Sample {
    const fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 | Self::F16 => 2,
            Self::U32 | Self::F32 => 4,
            Self::U64 | Self::I64 => 8,
        }
    }

    /// Returns the letter of the module `struct`.
    const fn letter(self) -> &'static std::ffi::CStr {
        match self {
            Self::U8 => c"B",
            Self::U16 => c"H",
            Self::U32 => c"I",
            Self::U64 => c"Q",
            Self::I64 => c"q",
            Self::F16 => c"e",
            Self::F32 => c"f",
        }
    }
}

/// A region of bytes with rows and strides: for each dimension its length, and the bytes from one item to the next.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) offset: usize,
    pub(super) dimensions: Vec<(usize, usize)>,
    pub(super) sample: Sample,
}

impl Region {
    /// Returns rows without padding.
    pub(super) fn tight(shape: &[usize], sample: Sample) -> Self {
        let mut stride = sample.size();
        let mut dimensions: Vec<_> = shape
            .iter()
            .rev()
            .map(|length| {
                let dimension = (*length, stride);
                stride *= length;
                dimension
            })
            .collect();
        dimensions.reverse();
        Self { offset: 0, dimensions, sample }
    }

    /// Returns the bytes from the first item to the end of the last one.
    fn extent(&self) -> usize {
        if self.dimensions.iter().any(|(length, _)| *length == 0) {
            return 0;
        }
        self.dimensions.iter().map(|(length, stride)| (length - 1) * stride).sum::<usize>() + self.sample.size()
    }

    fn items(&self) -> usize {
        self.dimensions.iter().map(|(length, _)| length).product()
    }

    fn is_tight(&self) -> bool {
        let shape: Vec<_> = self.dimensions.iter().map(|(length, _)| *length).collect();
        Self::tight(&shape, self.sample).dimensions == self.dimensions
    }
}

/// Owner of the bytes.
enum Memory {
    /// The payload of a received frame, which others read, too: read-only.
    Frame { _kept: Arc<KeptFrame> },
    /// A buffer of this object alone, which Python may write. Rust does not touch it until it is dropped.
    Own { buffer: Vec<u8>, spare: Option<Arc<Spare>> },
}

/// Samples of a picture, as numpy takes them without a copy: `numpy.asarray(pixels)`. Planes are read-only, because they are the
/// received bytes; converted pictures can be written.
#[pyclass(frozen, module = "oaktap")]
pub(super) struct Pixels {
    memory: Memory,
    start: NonNull<u8>,
    region: Region,
    /// Shape and strides, at addresses that stay the same as long as a buffer is exported.
    shape: Box<[ffi::Py_ssize_t]>,
    strides: Box<[ffi::Py_ssize_t]>,
}

// SAFETY: `start` points into `memory`, whose heap allocation does not move, and which lives as long as this object. The bytes of a
// frame are only read. Own bytes are read and written by Python, under its rules for exported buffers; Rust has no reference to
// them meanwhile.
unsafe impl Send for Pixels {}
// SAFETY: as above.
unsafe impl Sync for Pixels {}

impl Pixels {
    /// Exports a region of a frame's payload. `None` if the region is not inside of it.
    pub(super) fn of_frame(frame: Arc<KeptFrame>, region: Region) -> Option<Self> {
        let bytes = frame.payload();
        let inside = region.offset.checked_add(region.extent()).is_some_and(|end| end <= bytes.len());
        let start = NonNull::from(bytes.get(region.offset..).filter(|_| inside)?).cast();
        Some(Self::new(Memory::Frame { _kept: frame }, start, region))
    }

    /// Exports a buffer without padding. The buffer returns to `spare` afterwards. `None` if its length does not fit the shape.
    pub(super) fn own(mut buffer: Vec<u8>, shape: &[usize], sample: Sample, spare: Option<Arc<Spare>>) -> Option<Self> {
        let region = Region::tight(shape, sample);
        if region.items() * sample.size() != buffer.len() {
            return None;
        }
        let start = NonNull::new(buffer.as_mut_ptr())?;
        Some(Self::new(Memory::Own { buffer, spare }, start, region))
    }

    fn new(memory: Memory, start: NonNull<u8>, region: Region) -> Self {
        // A payload is shorter than `isize::MAX`, and so are its parts.
        let shape = region.dimensions.iter().map(|(length, _)| *length as ffi::Py_ssize_t).collect();
        let strides = region.dimensions.iter().map(|(_, stride)| *stride as ffi::Py_ssize_t).collect();
        Self { memory, start, region, shape, strides }
    }

    fn is_readonly(&self) -> bool {
        matches!(self.memory, Memory::Frame { .. })
    }
}

impl Drop for Pixels {
    fn drop(&mut self) {
        // Python drops this object after the last buffer was released.
        if let Memory::Own { buffer, spare: Some(spare) } = &mut self.memory {
            spare.put_back(std::mem::take(buffer));
        }
    }
}

#[pymethods]
impl Pixels {
    /// Length of each dimension.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.shape.iter().copied())
    }

    /// Whether the samples cannot be written.
    #[getter]
    fn readonly(&self) -> bool {
        self.is_readonly()
    }

    fn __repr__(&self) -> String {
        let shape: Vec<_> = self.shape.iter().map(ToString::to_string).collect();
        format!("<oaktap.Pixels ({})>", shape.join(", "))
    }

    /// # Safety
    /// Python calls this with a buffer to fill, or with null.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("the view is null"));
        }
        let wants = |flag: c_int| flags & flag == flag;
        let pixels = slf.get();
        let refusal = if wants(ffi::PyBUF_WRITABLE) && pixels.is_readonly() {
            Some("planes of a received frame are read-only: copy them")
        } else if !wants(ffi::PyBUF_STRIDES) && !pixels.region.is_tight() {
            Some("the rows are padded: ask for strides")
        } else if wants(ffi::PyBUF_F_CONTIGUOUS) && pixels.shape.len() > 1 {
            Some("the pixels are not in the order of Fortran")
        } else if wants(ffi::PyBUF_C_CONTIGUOUS) && !pixels.region.is_tight() {
            Some("the rows are padded: copy them")
        } else {
            None
        };
        // SAFETY: `view` is not null, and Python lends it for this call. A failed export must leave `obj` null.
        if let Some(refusal) = refusal {
            unsafe { (*view).obj = ptr::null_mut() };
            return Err(PyBufferError::new_err(refusal));
        }
        // Freed by `__releasebuffer__`.
        let format = match wants(ffi::PyBUF_FORMAT) {
            true => CString::from(pixels.region.sample.letter()).into_raw(),
            false => ptr::null_mut(),
        };
        let (start, shape, strides) = (pixels.start, pixels.shape.as_ptr(), pixels.strides.as_ptr());
        // SAFETY: as above. The view owns a reference to this object, so the bytes, the shape and the strides live as long as it.
        // Consumers do not write shape and strides, whose pointers are mutable in C only.
        unsafe {
            (*view).buf = start.as_ptr().cast::<c_void>();
            (*view).len = (pixels.region.items() * pixels.region.sample.size()) as ffi::Py_ssize_t;
            (*view).readonly = c_int::from(pixels.is_readonly());
            (*view).itemsize = pixels.region.sample.size() as ffi::Py_ssize_t;
            (*view).format = format;
            (*view).ndim = if wants(ffi::PyBUF_ND) { pixels.shape.len() as c_int } else { 1 };
            (*view).shape = if wants(ffi::PyBUF_ND) { shape.cast_mut() } else { ptr::null_mut() };
            (*view).strides = if wants(ffi::PyBUF_STRIDES) { strides.cast_mut() } else { ptr::null_mut() };
            (*view).suboffsets = ptr::null_mut();
            (*view).internal = ptr::null_mut();
            (*view).obj = slf.into_any().into_ptr();
        }
        Ok(())
    }

    /// # Safety
    /// Python calls this once for each view that `__getbuffer__` has filled.
    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: `format` is null or from `CString::into_raw` above.
        unsafe {
            if !(*view).format.is_null() {
                drop(CString::from_raw((*view).format));
                (*view).format = ptr::null_mut();
            }
        }
    }
}
