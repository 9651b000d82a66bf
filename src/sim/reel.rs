//! A cycle of pictures that is rendered once and sent repeatedly, so that a running simulator costs little CPU time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::bitstream;
use super::config::{Coding, SimConfig, SimError};
use super::pixels::{self, Rgb};
use super::scene::Scene;
use super::video_file::VideoFile;
use crate::frame::{Detection, Geometry};

/// Memory for all payloads of a reel with a drawn background.
const DRAWN_MAX_BYTES: usize = 64 << 20;

/// Frames after which a scene repeats: 3 s of the default camera.
const SCENE_FRAMES: usize = 120;

/// The same for H.264: two groups that begin with a key frame.
const ENCODED_FRAMES: usize = 2 * bitstream::KEY_FRAME_INTERVAL_FRAMES;

/// Memory for all payloads of a reel with pictures from a folder.
const IMAGES_MAX_BYTES: usize = 1 << 30;

/// One rendered picture.
#[derive(Clone, Debug)]
pub struct Still {
    /// The payload.
    pub payload: Arc<[u8]>,
    /// The objects in it.
    pub detections: Arc<[Detection]>,
    /// CRC-32 (IEEE 802.3) of the payload. 0 if the stream sends no records, which alone carry it.
    pub(super) crc32: u32,
    /// The depth picture of the same scene, if the configuration asks for one.
    pub(super) depth: Option<Arc<[u8]>>,
}

/// The pictures of a simulated camera. Any number of streams can share them. Renders each picture at its first use.
#[derive(Debug)]
pub struct Reel {
    config: SimConfig,
    scene: Scene,
    background: Background,
    stills: Vec<OnceLock<Still>>,
    /// Encoded payloads, in groups that begin with a key frame; empty unless the format is H.264 with an encoder.
    groups: Vec<OnceLock<Vec<Vec<u8>>>>,
}

#[derive(Debug)]
enum Background {
    Drawn(Rgb),
    Files(Vec<PathBuf>),
    /// Of payloads that are sent as they are; the boxes are not drawn.
    Video(VideoFile),
}

impl Reel {
    /// Creates the pictures of a configuration.
    ///
    /// # Errors
    /// [`SimError`] if the configuration is invalid, or a file of its folder cannot be read as a picture.
    pub fn new(config: &SimConfig) -> Result<Self, SimError> {
        config.check()?;
        if let Some(path) = config.images.as_deref().filter(|path| path.is_file()) {
            return Self::of_video(config, VideoFile::read(path, config.format, IMAGES_MAX_BYTES)?);
        }
        let (width, height) = config.size;
        let pixels = width as usize * height as usize;
        let is_encoded = config.format == Coding::H264 && config.is_decodable();
        // An upper bound for the bytes of one payload.
        let len = match config.format {
            Coding::Pixels(format) => Geometry::tight(format, width, height).ok().and_then(|tight| tight.byte_len()),
            Coding::H264 | Coding::H265 => Some(pixels / 8),
        };
        let len = len.unwrap_or(3 * pixels) + if config.depth { 2 * pixels } else { 0 };
        let files = config.images.as_deref().map(list).transpose()?;
        let frames = match &files {
            Some(files) if files.len().saturating_mul(len) > IMAGES_MAX_BYTES => {
                return Err(SimError::Images {
                    path: config.images.clone().unwrap_or_default(),
                    why: format!(
                        "{} pictures of {len} bytes each: expected at most {IMAGES_MAX_BYTES} bytes in total",
                        files.len()
                    ),
                });
            }
            Some(files) => files.len(),
            // All of them are encoded before the stream begins, which takes up to 2 s.
            None if is_encoded => (DRAWN_MAX_BYTES / pixels.max(1)).clamp(4, ENCODED_FRAMES),
            None => (DRAWN_MAX_BYTES / len.max(1)).clamp(4, SCENE_FRAMES),
        };
        let scene = Scene::new(config.size, config.boxes, frames, config.seed);
        let background = match files {
            Some(files) => {
                // Invalid files fail here and not in the middle of a stream.
                for file in &files {
                    open(file)?.into_dimensions().map_err(|error| refused(file, &error))?;
                }
                Background::Files(files)
            }
            None => Background::Drawn(scene.background()),
        };
        let groups = if is_encoded { frames.div_ceil(bitstream::KEY_FRAME_INTERVAL_FRAMES) } else { 0 };
        Ok(Self {
            config: config.clone(),
            scene,
            background,
            stills: vec![OnceLock::new(); frames],
            groups: vec![OnceLock::new(); groups],
        })
    }

    /// Repeats the video of a file, with boxes of the scene. The file decides the size.
    fn of_video(config: &SimConfig, video: VideoFile) -> Result<Self, SimError> {
        let config = SimConfig { size: (video.size.width, video.size.height), ..config.clone() };
        config.check()?;
        let frames = video.units.len();
        Ok(Self {
            scene: Scene::new(config.size, config.boxes, frames, config.seed),
            background: Background::Video(video),
            stills: vec![OnceLock::new(); frames],
            groups: Vec::new(),
            config,
        })
    }

    /// Returns the number of pictures, after which [`Self::still`] repeats.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.stills.len()
    }

    /// Returns the picture of frame `index` of the stream.
    #[must_use]
    pub fn still(&self, index: u64) -> &Still {
        let k = (index % self.stills.len() as u64) as usize;
        self.stills[k].get_or_init(|| self.render(k))
    }

    /// Encodes the first pictures of a video, so that the stream does not falter later.
    pub(super) fn prepare(&self) {
        for group in 0..self.groups.len().min(ENCODED_FRAMES / bitstream::KEY_FRAME_INTERVAL_FRAMES) {
            let _ = self.h264(group * bitstream::KEY_FRAME_INTERVAL_FRAMES);
        }
    }

    /// Returns whether a receiver can decode the payloads.
    #[must_use]
    pub fn is_decodable(&self) -> bool {
        matches!(self.background, Background::Video(_)) || self.config.is_decodable()
    }

    pub(super) fn config(&self) -> &SimConfig {
        &self.config
    }

    fn picture(&self, k: usize) -> (Rgb, Vec<Detection>) {
        let (width, height) = self.config.size;
        let mut picture = match &self.background {
            // Only its boxes are used.
            Background::Video(_) => {
                let (width, height) = (width as usize, height as usize);
                Rgb { width, height, bytes: vec![0; 3 * width * height] }
            }
            Background::Drawn(picture) => {
                let mut picture = picture.clone();
                self.scene.sweep(k, &mut picture);
                picture
            }
            Background::Files(files) => read(&files[k], width, height).unwrap_or_else(|error| {
                // The file was readable when the reel was created. A real camera would not stop either.
                tracing::warn!("{error}; sending a black picture instead");
                let (width, height) = (width as usize, height as usize);
                Rgb { width, height, bytes: vec![0; 3 * width * height] }
            }),
        };
        let detections = self.scene.draw(k, &mut picture);
        (picture, detections)
    }

    /// Returns the H.264 of picture `k`; `None` if the reel has another format or no encoder.
    fn h264(&self, k: usize) -> Option<Vec<u8>> {
        let interval = bitstream::KEY_FRAME_INTERVAL_FRAMES;
        let group = self.groups.get(k / interval)?.get_or_init(|| {
            let first = k / interval * interval;
            let pictures = (first..self.stills.len().min(first + interval)).map(|k| self.picture(k).0);
            h264_group(pictures)
        });
        group.get(k % interval).cloned()
    }

    fn render(&self, k: usize) -> Still {
        let (picture, mut detections) = self.picture(k);
        let depth = self.config.depth.then(|| super::pixels::depth(self.config.size, &detections).into());
        if !self.config.spatial {
            detections.iter_mut().for_each(|detection| detection.position = None);
        }
        let payload = match &self.background {
            Background::Video(video) => Some(video.units[k].clone()),
            Background::Drawn(_) | Background::Files(_) => self.coded(k, &picture),
        };
        let payload: Arc<[u8]> = payload.expect("`SimConfig::check` limits the sides of a JPEG").into();
        let crc32 = if self.config.records { crc32(&payload) } else { 0 };
        Still { payload, detections: detections.into(), crc32, depth }
    }

    /// Returns a picture in the format of the camera; `None` if a side is too long for JPEG.
    fn coded(&self, k: usize, picture: &Rgb) -> Option<Vec<u8>> {
        match self.config.format {
            Coding::Pixels(format) => pixels::layout(picture, format).or_else(|| bitstream::jpeg(picture)),
            coding => {
                Some(self.h264(k).unwrap_or_else(|| {
                    bitstream::noise_units(coding, k, picture.width, picture.height, self.config.seed)
                }))
            }
        }
    }
}

#[cfg(feature = "export")]
fn h264_group(pictures: impl Iterator<Item = Rgb>) -> Vec<Vec<u8>> {
    bitstream::h264_group(pictures).unwrap_or_else(|error| {
        tracing::warn!("cannot encode H.264: {error}; sending payloads that cannot be decoded");
        Vec::new()
    })
}

#[cfg(not(feature = "export"))]
fn h264_group(_pictures: impl Iterator<Item = Rgb>) -> Vec<Vec<u8>> {
    Vec::new()
}

/// Computes CRC-32 bit by bit. A table would not pay off: each picture is summed once.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, SimError> {
    let unusable = |why: String| SimError::Images { path: folder.to_owned(), why };
    let is_picture = |path: &PathBuf| {
        let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
        extension.is_some_and(|extension| extension == "png" || extension == "jpg" || extension == "jpeg")
    };
    let entries = fs::read_dir(folder).map_err(|error| unusable(error.to_string()))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_picture).collect();
    files.sort();
    if files.is_empty() {
        return Err(unusable("the folder contains no .png, .jpg or .jpeg file".to_owned()));
    }
    Ok(files)
}

fn refused(file: &Path, error: &dyn std::fmt::Display) -> SimError {
    SimError::Images { path: file.to_owned(), why: error.to_string() }
}

fn open(file: &Path) -> Result<image::ImageReader<std::io::BufReader<fs::File>>, SimError> {
    image::ImageReader::open(file)
        .and_then(image::ImageReader::with_guessed_format)
        .map_err(|error| refused(file, &error))
}

fn read(file: &Path, width: u32, height: u32) -> Result<Rgb, SimError> {
    let picture = open(file)?.decode().map_err(|error| refused(file, &error))?;
    let picture = if (picture.width(), picture.height()) == (width, height) {
        picture
    } else {
        picture.resize_exact(width, height, image::imageops::FilterType::Triangle)
    };
    Ok(Rgb { width: width as usize, height: height as usize, bytes: picture.into_rgb8().into_raw() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Interpreter;

    #[test]
    fn checksum_is_crc32() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn pictures_repeat() {
        let reel = Reel::new(&"size=64x48".parse().expect("a configuration")).expect("a reel");
        let frames = reel.frames() as u64;
        assert_eq!(reel.still(3).payload.len(), 64 * 48 * 3);
        assert!(Arc::ptr_eq(&reel.still(3).payload, &reel.still(3 + frames).payload));
        assert_ne!(reel.still(3).payload, reel.still(4).payload);
    }

    #[test]
    fn each_picture_alone_shows_its_order_of_chroma() {
        for (size, format) in [("640x480", "YUV420p"), ("640x480", "NV12"), ("640x352", "YUV420p"), ("416x416", "NV12")]
        {
            let reel =
                Reel::new(&format!("size={size}&format={format}").parse().expect("a configuration")).expect("a reel");
            for k in (0..reel.frames() as u64).step_by(7) {
                let (_, found) = Interpreter::default().interpret(&reel.still(k).payload);
                let found = found.map(|geometry| geometry.to_string());
                assert_eq!(found, Some(format!("{size} {format}")), "picture {k}");
            }
        }
    }

    #[test]
    #[cfg(feature = "export")]
    fn h264_of_a_reel_can_be_decoded_from_each_key_frame_also_when_it_repeats() {
        let reel = Reel::new(&"size=64x48&format=h264".parse().expect("a configuration")).expect("a reel");
        assert!(reel.is_decodable() && (reel.frames() as u64).is_multiple_of(30));
        let repeat = reel.frames() as u64;
        let mut decoder = openh264::decoder::Decoder::new().expect("a decoder");
        for index in repeat - 30..repeat + 10 {
            let payload = &reel.still(index).payload;
            assert_eq!(payload[4] & 0x1f == 7, index.is_multiple_of(30), "frame {index}");
            assert!(decoder.decode(payload).expect("a valid stream").is_some(), "frame {index}");
        }
        let undecodable = |text: &str| !text.parse::<SimConfig>().expect("a configuration").is_decodable();
        assert!(undecodable("format=h265") && undecodable("format=h264&size=63x48"));
    }

    #[test]
    fn folder_of_pictures_is_sorted_and_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let config =
            SimConfig { size: (4, 2), boxes: 0, images: Some(folder.path().to_owned()), ..SimConfig::default() };
        assert!(Reel::new(&config).expect_err("an empty folder").to_string().contains("no .png"));
        for (name, value) in [("b.png", 200), ("a.PNG", 100), ("c.txt", 0)] {
            let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([value; 3]));
            picture.save_with_format(folder.path().join(name), image::ImageFormat::Png).expect("a file");
        }
        let reel = Reel::new(&config).expect("a reel");
        assert_eq!(reel.frames(), 2);
        assert_eq!(reel.still(0).payload[6..8], [100; 2], "sorted by name");
        assert_eq!(reel.still(1).payload[6..8], [200; 2]);
        fs::write(folder.path().join("d.jpg"), b"no picture").expect("a file");
        assert!(Reel::new(&config).expect_err("a bad file").to_string().contains("d.jpg"));
    }
}
