//! Frames -> one MP4 file for each camera.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::mem;
use std::path::PathBuf;

use super::encode::Coder;
use super::film::Film;
use super::frames::{Camera, Frames, Shot};
use super::report::{Report, Skip};
use super::still::Darkroom;
use super::units::{Codec, Unit};
use super::{ExportError, Options, Tell, pipeline, place, tell};
use crate::frame::PayloadKind;

/// Pictures from one that needs no other to the next: two seconds at thirty a second, as far as one can seek then.
const GROUP: usize = 60;
/// Bytes of frames that are held until their group is encoded. All that wait and all that are worked on share them:
/// with large pictures or many threads groups are shorter.
const BUDGET: usize = 512 << 20;

/// Where the video of each camera goes.
enum Place {
    /// There is one camera.
    File(PathBuf),
    Folder(PathBuf),
}

impl Place {
    /// A file when it is called one, else a folder.
    fn of(options: &Options, cameras: &[Camera]) -> Result<Self, ExportError> {
        let path = options.output.clone();
        let is_file = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mp4"));
        if !is_file {
            place::empty_folder(&path)?;
            return Ok(Self::Folder(path));
        }
        if cameras.len() > 1 {
            let names: Vec<_> = cameras.iter().map(|camera| camera.name.as_str()).collect();
            return Err(ExportError::OneVideo { path, cameras: names.join(", ") });
        }
        if path.symlink_metadata().is_ok() { Err(ExportError::Exists(path)) } else { Ok(Self::File(path)) }
    }

    fn file(&self, camera: &Camera) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Folder(path) => path.join(format!("{}.mp4", camera.stem)),
        }
    }
}

/// Frames of one camera, in their order.
struct Group {
    camera: usize,
    shots: Vec<Shot>,
}

/// Cuts what is read into groups.
struct Cutter {
    frames: Frames,
    /// For each camera.
    open: Vec<Vec<Shot>>,
    bytes: usize,
    budget: usize,
    /// Groups of the end of the recordings.
    rest: Option<VecDeque<Group>>,
}

impl Cutter {
    fn new(frames: Frames, budget: usize) -> Self {
        let open = frames.cameras().iter().map(|_| Vec::new()).collect();
        Self { frames, open, bytes: 0, budget, rest: None }
    }

    fn next(&mut self, report: &mut Report) -> Result<Option<Group>, ExportError> {
        loop {
            if let Some(rest) = &mut self.rest {
                return Ok(rest.pop_front());
            }
            let Some(shot) = self.frames.next(report)? else {
                let open = mem::take(&mut self.open).into_iter().enumerate();
                let groups = open.map(|(camera, shots)| Group { camera, shots });
                self.rest = Some(groups.filter(|group| !group.shots.is_empty()).collect());
                continue;
            };
            let camera = shot.camera;
            self.bytes += weight(&shot);
            self.open[camera].push(shot);
            if self.open[camera].len() >= GROUP {
                return Ok(Some(self.cut(camera)));
            }
            if self.bytes > self.budget {
                // Whose group is the largest, so that the others need not be short.
                let largest = (0..self.open.len()).max_by_key(|camera| self.weight(*camera)).unwrap_or(camera);
                return Ok(Some(self.cut(largest)));
            }
        }
    }

    fn weight(&self, camera: usize) -> usize {
        self.open[camera].iter().map(weight).sum()
    }

    fn cut(&mut self, camera: usize) -> Group {
        self.bytes -= self.weight(camera);
        Group { camera, shots: mem::take(&mut self.open[camera]) }
    }
}

fn weight(shot: &Shot) -> usize {
    shot.frame.payload().len()
}

/// A group as it goes into a video: for each frame what was made of it.
struct Take {
    camera: usize,
    pictures: Vec<(Codec, Result<Unit, Skip>)>,
    /// When each was taken, how many detections it has.
    about: Vec<(i64, u64)>,
    /// The size of one that lost a row or column.
    cropped: Option<(u32, u32)>,
    part: f64,
}

/// Writes all frames.
pub(super) fn write(
    frames: Frames,
    options: &Options,
    report: &mut Report,
    progress: &mut Tell<'_>,
) -> Result<(), ExportError> {
    let cameras = frames.cameras();
    let place = Place::of(options, &cameras)?;
    let threads = options.threads.get();
    let window = threads + 1;
    let mut cutter = Cutter::new(frames, BUDGET / (window + 1));
    let mut films = HashMap::new();
    let style = options.boxes.then(|| options.choice.style());
    let books = RefCell::new(report);
    let hire = || {
        let mut coder = Coder::new(Darkroom::new(style.as_ref()));
        let cameras = &cameras;
        move |group: Group| develop(group, &mut coder, cameras, options)
    };
    let next = || cutter.next(&mut books.borrow_mut());
    let write = |take: Take| {
        let report = &mut *books.borrow_mut();
        let camera = &cameras[take.camera];
        for ((codec, picture), (taken_ns, detections)) in take.pictures.into_iter().zip(take.about) {
            match picture.map(|unit| add(&mut films, take.camera, || place.file(camera), codec, unit, taken_ns)) {
                Ok(added) => match added? {
                    Ok(()) => {
                        report.written += 1;
                        report.detections += if options.boxes { detections } else { 0 };
                    }
                    Err(skip) => report.skip(&camera.name, skip),
                },
                Err(skip) => {
                    if codec != Codec::Encoded
                        && let Some(film) = films.get_mut(&take.camera)
                    {
                        Film::lose(film);
                    }
                    report.skip(&camera.name, skip);
                }
            }
        }
        if let Some((width, height)) = take.cropped {
            let name = &camera.name;
            let size = format!("H.264 has an even number of rows and columns; those of {name} are {width}x{height}");
            report.note(format!("{size}, so the last one is left out"));
        }
        tell(progress, take.part, report.written)
    };
    pipeline::in_order(threads, window, next, hire, write)?;
    let report = books.into_inner();
    for (camera, film) in films {
        let (added, jumps) = film.finish()?;
        report.add(added);
        if jumps > 0 {
            let name = &cameras[camera].name;
            report.note(format!(
                "the clock of {name} jumped {jumps} times: there a frame is shown as long as the one before"
            ));
        }
    }
    Ok(())
}

/// Adds a picture to the film of its camera, which begins with the first one that can be begun with.
fn add(
    films: &mut HashMap<usize, Film>,
    camera: usize,
    path: impl FnOnce() -> PathBuf,
    codec: Codec,
    unit: Unit,
    taken_ns: i64,
) -> Result<Result<(), Skip>, ExportError> {
    let film = match films.entry(camera) {
        Entry::Occupied(there) => there.into_mut(),
        Entry::Vacant(none) => match Film::begin(path(), codec, &unit, taken_ns)? {
            Ok(film) => none.insert(film),
            Err(skip) => return Ok(Err(skip)),
        },
    };
    film.add(codec, unit, taken_ns)
}

/// Encodes pictures; takes video as it is.
fn develop(group: Group, coder: &mut Coder, cameras: &[Camera], options: &Options) -> Take {
    let Group { camera, shots } = group;
    let about = shots.iter().map(|shot| (shot.taken_ns, shot.seen.len() as u64)).collect();
    let part = shots.last().map_or(0.0, |shot| shot.part);
    let mut pictures = Vec::with_capacity(shots.len());
    for run in shots.chunk_by(|a, b| codec(a) == codec(b)) {
        let codec = codec(&run[0]);
        if codec == Codec::Encoded {
            pictures.extend(coder.encode(run, &cameras[camera]).into_iter().map(|unit| (codec, unit)));
        } else {
            pictures.extend(run.iter().map(|shot| (codec, as_sent(codec, shot, options))));
        }
    }
    Take { camera, pictures, about, cropped: coder.cropped(), part }
}

fn codec(shot: &Shot) -> Codec {
    match shot.frame.kind {
        PayloadKind::Raw | PayloadKind::Jpeg => Codec::Encoded,
        PayloadKind::H264 => Codec::H264,
        PayloadKind::H265 => Codec::H265,
    }
}

fn as_sent(codec: Codec, shot: &Shot, options: &Options) -> Result<Unit, Skip> {
    let refused = |why: &str| Err(Skip { kind: "video that stays as the camera sent it", why: why.to_owned() });
    if options.boxes {
        return refused("boxes cannot be drawn into it, because it is not decoded here: export it without --boxes");
    }
    if options.choice.every > 1 {
        return refused("its pictures build on each other: export it without --every");
    }
    Unit::of(codec, shot.frame.payload())
}
