//! The files of one recording that was split: their order, and the files among them that are missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Reader, natural_order};
use crate::units::count;

/// Missing files that a description names; further ones are counted.
const CAMERAS_NAMED: usize = 5;
/// Beginning of the keys with the frames of a camera in the earlier files.
const FRAMES_KEY: &str = "frames.";

/// Place of a file among the files of one recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Text that all files of the recording have, and no other file.
    pub recording: String,
    /// Number of the file, from 0.
    pub number: u64,
    /// Name of the file before this one; `None` for the first.
    pub previous: Option<String>,
    /// Frames in all earlier files, by camera of the files: each further stream of a connection is one. Cameras without
    /// frames may be left out.
    pub frames_before: BTreeMap<String, u64>,
}

impl Part {
    pub(super) fn to_metadata(&self) -> BTreeMap<String, String> {
        let mut metadata: BTreeMap<_, _> = self
            .frames_before
            .iter()
            .map(|(name, frames)| (format!("{FRAMES_KEY}{name}"), frames.to_string()))
            .collect();
        metadata.insert("recording".to_owned(), self.recording.clone());
        metadata.insert("number".to_owned(), self.number.to_string());
        if let Some(previous) = &self.previous {
            metadata.insert("previous".to_owned(), previous.clone());
        }
        metadata
    }

    /// Parses metadata; `None` if it is not that of a part.
    pub(super) fn from_metadata(metadata: &BTreeMap<String, String>) -> Option<Self> {
        let frames = metadata
            .iter()
            .filter_map(|(key, frames)| Some((key.strip_prefix(FRAMES_KEY)?.to_owned(), frames.parse().ok()?)));
        Some(Self {
            recording: metadata.get("recording").filter(|text| !text.is_empty())?.clone(),
            number: metadata.get("number")?.parse().ok()?,
            previous: metadata.get("previous").cloned(),
            frames_before: frames.collect(),
        })
    }
}

/// A file with its place in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Its place.
    pub part: Part,
    /// Frames of each camera in it, if its summary counts them.
    pub frames: BTreeMap<String, Option<u64>>,
}

/// Consecutive files of a recording that are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingFiles {
    /// Path of the file before them.
    #[serde(serialize_with = "crate::file::serialize_path")]
    pub after: PathBuf,
    /// Path of the file after them.
    #[serde(serialize_with = "crate::file::serialize_path")]
    pub before: PathBuf,
    /// Number of missing files.
    pub files: u64,
    /// Name of the last one.
    pub name: Option<String>,
    /// Frames in them, by camera, with those after the last intact one of the file before them; `null` if that file cannot be read.
    pub frames: BTreeMap<String, Option<u64>>,
    /// The file before them was not finished, so that some of the frames may be from its end.
    #[serde(skip)]
    pub is_after_torn: bool,
}

impl std::fmt::Display for MissingFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { after, before, files, name, frames, is_after_torn } = self;
        let folder = after.parent().unwrap_or(Path::new(""));
        match (name, files) {
            (Some(name), 1) => write!(f, "{} is missing", folder.join(name).display())?,
            (Some(name), _) => {
                let others = count(files - 1, "file", "files");
                write!(f, "{} and {others} before it are missing", folder.join(name).display())?;
            }
            (None, _) => write!(f, "{} missing", count(*files, "file is", "files are"))?,
        }
        let file_name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        write!(f, " between {} and {}", file_name(after), file_name(before))?;
        for (at, (camera, frames)) in frames.iter().take(CAMERAS_NAMED).enumerate() {
            f.write_str(if at == 0 { ": " } else { ", " })?;
            match frames {
                Some(frames) => write!(f, "{} of {camera}", count(*frames, "frame", "frames"))?,
                None => write!(f, "an unknown number of frames of {camera}")?,
            }
        }
        if frames.len() > CAMERAS_NAMED {
            write!(f, " and frames of {} more cameras", frames.len() - CAMERAS_NAMED)?;
        }
        if *is_after_torn && frames.values().any(Option::is_some) {
            write!(f, ", some of them perhaps from the damaged end of {}", file_name(after))?;
        }
        Ok(())
    }
}

/// Finds the files that are missing between files of the same recording, in the order of recordings and files. The files
/// before the first and after the last given one cannot be known.
///
/// `given`: paths of all files, also of those that do not tell their place, because their metadata are damaged or they cannot
/// be read. Such a file is not missing if its name is between those of its neighbors.
#[must_use]
pub fn missing_files(mut files: Vec<PartFile>, given: &[PathBuf]) -> Vec<MissingFiles> {
    let placed: BTreeSet<_> = files.iter().map(|file| file.path.clone()).collect();
    let without_place: Vec<&PathBuf> = given.iter().filter(|path| !placed.contains(*path)).collect();
    files.sort_by(|a, b| (&a.part.recording, a.part.number).cmp(&(&b.part.recording, b.part.number)));
    // A recovered file has the place of the original.
    files.dedup_by(|a, b| (&a.part.recording, a.part.number) == (&b.part.recording, b.part.number));
    let pairs = files.windows(2).filter_map(|pair| match pair {
        [first, second] => between(first, second)?.without(&without_place),
        _ => None,
    });
    pairs.collect()
}

impl MissingFiles {
    /// Leaves out the files among these that are there by their names. Returns `None` if then no file is missing.
    fn without(mut self, others: &[&PathBuf]) -> Option<Self> {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (after, before) = (name(&self.after), name(&self.before));
        let common = after.chars().zip(before.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect::<String>();
        let prefix = common.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_between = |path: &&&PathBuf| {
            let found = name(path);
            path.parent() == self.after.parent()
                && found.starts_with(prefix)
                && natural_order(&after, &found).is_lt()
                && natural_order(&found, &before).is_lt()
        };
        let there: Vec<&Path> = others.iter().filter(is_between).map(|path| path.as_path()).collect();
        self.files = self.files.saturating_sub(there.len() as u64);
        self.name = self.name.filter(|last| there.iter().all(|path| name(path) != *last));
        for path in there {
            let Ok(mut reader) = Reader::open(path) else { continue };
            let names: Vec<_> = reader.cameras().map(|camera| camera.name.clone()).collect();
            for (camera, name) in names.into_iter().enumerate() {
                if let Some(Some(frames)) = self.frames.get_mut(&name) {
                    *frames = frames.saturating_sub(reader.frame_count(camera));
                }
            }
        }
        (self.files > 0).then_some(self)
    }
}

/// Returns the files that are missing between two files, if they are of the same recording and do not follow each other.
pub(super) fn between(first: &PartFile, second: &PartFile) -> Option<MissingFiles> {
    if first.part.recording != second.part.recording {
        return None;
    }
    let files = second.part.number.checked_sub(first.part.number)?.checked_sub(1).filter(|files| *files > 0)?;
    let is_after_torn = first.frames.values().any(Option::is_none);
    let frames_of_first = if is_after_torn { read_frames(first) } else { first.frames.clone() };
    let frames = second.part.frames_before.iter().filter_map(|(camera, all)| {
        let before = first.part.frames_before.get(camera).copied().unwrap_or(0);
        // Earlier versions counted the further streams of a connection with its camera.
        let is_its = |name: &str| {
            let rest = name.strip_prefix(camera.as_str());
            rest == Some("")
                || rest.is_some_and(|rest| rest.starts_with('_')) && !second.part.frames_before.contains_key(name)
        };
        let here: Option<u64> =
            frames_of_first.iter().filter(|(name, _)| is_its(name)).map(|(_, frames)| *frames).sum();
        let missing = here.map(|here| all.saturating_sub(before).saturating_sub(here));
        (missing != Some(0)).then(|| (camera.clone(), missing))
    });
    Some(MissingFiles {
        after: first.path.clone(),
        before: second.path.clone(),
        files,
        name: second.part.previous.clone(),
        frames: frames.collect(),
        is_after_torn,
    })
}

/// Returns the frames of each camera up to the last intact one of a file whose summary does not count them.
fn read_frames(file: &PartFile) -> BTreeMap<String, Option<u64>> {
    let mut frames = file.frames.clone();
    let Ok(mut reader) = Reader::open(&file.path) else { return frames };
    let names: Vec<_> = reader.cameras().map(|camera| camera.name.clone()).collect();
    for (camera, name) in names.into_iter().enumerate() {
        let counted = frames.entry(name).or_default();
        if counted.is_none() {
            *counted = Some(reader.frame_count(camera));
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(recording: &str, number: u64, before: u64, frames: Option<u64>) -> PartFile {
        let previous = number.checked_sub(1).map(|number| format!("{number}.mcap"));
        let frames_before = BTreeMap::from([("cam".to_owned(), before)]);
        PartFile {
            path: format!("rec/{number}.mcap").into(),
            part: Part { recording: recording.to_owned(), number, previous, frames_before },
            frames: BTreeMap::from([("cam".to_owned(), frames)]),
        }
    }

    #[test]
    fn missing_files_are_named_with_the_frames_that_they_held() {
        let files = vec![file("b", 7, 0, Some(1)), file("a", 4, 90, None), file("a", 0, 0, Some(20))];
        let files = [files, vec![file("a", 2, 50, Some(30)), file("a", 2, 50, Some(3)), file("a", 6, 95, Some(1))]];
        let found: Vec<_> = missing_files(files.concat(), &[]).iter().map(ToString::to_string).collect();
        let path = |number: u64| Path::new("rec").join(format!("{number}.mcap")).display().to_string();
        assert_eq!(
            found,
            [
                format!("{} is missing between 0.mcap and 2.mcap: 30 frames of cam", path(1)),
                format!("{} is missing between 2.mcap and 4.mcap: 10 frames of cam", path(3)),
                format!("{} is missing between 4.mcap and 6.mcap: an unknown number of frames of cam", path(5)),
            ]
        );
        let [gap] = &missing_files(vec![file("a", 1, 10, Some(10)), file("a", 4, 25, None)], &[])[..] else {
            panic!("one gap")
        };
        let text = gap.to_string();
        assert!(text.starts_with(&format!("{} and 1 file before it are missing", path(3))), "{text}");
        assert!(
            missing_files(vec![file("a", 1, 10, None), file("a", 2, 30, None)], &[]).is_empty(),
            "they follow each other"
        );
    }

    #[test]
    fn a_file_whose_place_is_damaged_is_not_missing() {
        let files = || vec![file("a", 1, 10, Some(10)), file("a", 4, 25, None)];
        let missing = |others: &[&str]| {
            let given: Vec<PathBuf> =
                ["1", "4"].iter().chain(others).map(|name| format!("rec/{name}.mcap").into()).collect();
            missing_files(files(), &given)
                .iter()
                .map(|missing| (missing.files, missing.name.clone()))
                .collect::<Vec<_>>()
        };
        let name = Some("3.mcap".to_owned());
        assert_eq!(missing(&[]), [(2, name.clone())]);
        assert_eq!(missing(&["2"]), [(1, name)]);
        assert_eq!(missing(&["3"]), [(1, None)]);
        assert_eq!(missing(&["2.recovered", "3"]), []);
        assert_eq!(missing(&["5", "0", "other", "../2"]).len(), 1, "not between them");
    }

    #[test]
    fn frames_of_each_stream_of_a_connection_are_counted() {
        let mut first = file("a", 1, 10, Some(10));
        first.frames.insert("cam_depth".to_owned(), Some(5));
        let mut third = file("a", 3, 40, None);
        // Of an earlier version, which counts them with the camera.
        let found = missing_files(vec![first.clone(), third.clone()], &[]);
        assert_eq!(found[0].frames, BTreeMap::from([("cam".to_owned(), Some(15))]));
        third.part.frames_before.insert("cam_depth".to_owned(), 9);
        let found = missing_files(vec![first, third], &[]);
        assert_eq!(found[0].frames, BTreeMap::from([("cam".to_owned(), Some(20)), ("cam_depth".to_owned(), Some(4))]));
    }

    #[test]
    fn metadata_of_a_part_is_parsed_as_it_was_written() {
        let part = file("a", 3, 17, None).part;
        assert_eq!(Part::from_metadata(&part.to_metadata()), Some(part));
        assert_eq!(Part::from_metadata(&BTreeMap::new()), None);
    }
}
