//! The recordings that a command reads: files, and the files below folders.

use std::collections::{HashMap, HashSet};
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use anyhow::Context as _;
use oaktap::file::{self, shell_word};
use oaktap::frame::LabelMap;
use oaktap::recording::natural_order;
use oaktap::recording::recover::default_output_path;
use oaktap::source::{SourceSpec, split_name, without_password};
use oaktap::units::count;
use serde::Serialize;

use super::fleet::refuse_duplicates;
use super::{Ctx, present};

/// End of the names of finished recordings.
pub(crate) const FINISHED: &str = ".mcap";
/// End of the names of recordings that were interrupted, or are being written.
pub(crate) const UNFINISHED: &str = ".mcap.partial";

/// A recording or a folder that the user gave, with the name for its camera: `FILE` or `NAME=FILE`.
#[derive(Debug)]
pub(crate) struct NamedPath {
    pub(crate) name: Option<String>,
    pub(crate) path: PathBuf,
}

impl std::fmt::Display for NamedPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path.display().fmt(f)
    }
}

impl NamedPath {
    /// Parses words of the command line. A word that is the path of a file has no name, even if it has a `=`.
    ///
    /// # Errors
    /// A name is not valid, or is given to two recordings.
    pub(crate) fn all(words: &[PathBuf]) -> anyhow::Result<Vec<Self>> {
        let parse = |word: &PathBuf| {
            let text = word.to_str().filter(|_| word.symlink_metadata().is_err()).unwrap_or_default();
            match split_name(text) {
                Ok((Some(name), path)) => Ok(Self { name: Some(name.to_owned()), path: path.into() }),
                // A missing file in a folder with a `=` in its name has no name either.
                Err(error) if text.split_once('=').is_some_and(|(_, path)| Path::new(path).exists()) => {
                    Err(present::Usage(error.to_string()).into())
                }
                _ => Ok(Self { name: None, path: word.clone() }),
            }
        };
        let all: Vec<Self> = words.iter().map(parse).collect::<anyhow::Result<_>>()?;
        refuse_duplicates(all.iter().filter_map(|given| Some((given.name.as_deref()?, given))))?;
        Ok(all)
    }
}

/// A file that a command left out, because it cannot be read.
#[derive(Serialize)]
pub(crate) struct UnreadFile {
    #[serde(serialize_with = "file::serialize_path")]
    path: PathBuf,
    why: String,
}

impl UnreadFile {
    /// Reports the error of one of several files, so that the command continues with the next. Returns the error if the file
    /// is the only one, or if the user has stopped the command.
    pub(crate) fn unless_read<T>(
        ctx: &Ctx,
        path: &Path,
        is_alone: bool,
        read: anyhow::Result<T>,
    ) -> anyhow::Result<Result<T, Self>> {
        match read {
            Ok(read) => Ok(Ok(read)),
            Err(error) if ctx.stop.asked() => Err(error.context(format!("stopped while reading {}", path.display()))),
            Err(error) if is_alone => Err(error),
            Err(error) => {
                let error = present::with_file_named(error, path);
                present::failure_of(&path.display().to_string(), &error, ctx.command, None);
                Ok(Err(Self { path: path.to_owned(), why: format!("{error:#}") }))
            }
        }
    }
}

/// Returns whether a path is that of a folder. One that ends with a separator names a folder, whether it exists or not.
pub(crate) fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().to_string_lossy().ends_with(['/', MAIN_SEPARATOR])
}

/// Returns the given files, and the files below the given folders whose names end like this, in the natural order of their
/// names. A file that is given twice is returned once.
///
/// # Errors
/// A folder cannot be read, or has no such file; or a path is the address of a camera.
pub(crate) fn find(paths: &[PathBuf], ends: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    find_all(paths, ends).map(|found| found.files)
}

/// The recordings that a command reads, and those that it leaves out.
#[derive(Debug)]
pub(crate) struct FoundFiles {
    pub(crate) files: Vec<PathBuf>,
    /// Unfinished recordings below the folders that no recorder is writing: a command that leaves them out ends with exit
    /// code 3.
    pub(crate) unfinished: Vec<PathBuf>,
}

/// Like [`find`], and also returns the unfinished recordings that were left out.
///
/// # Errors
/// As [`find`].
pub(crate) fn find_all(paths: &[PathBuf], ends: &[&str]) -> anyhow::Result<FoundFiles> {
    let (mut files, mut left_out) = (Vec::new(), Vec::new());
    for path in paths {
        if let Some(address) = camera_address(path) {
            let error = present::Usage(format!("`{address}` is the address of a camera: expected a recording"));
            let help = format!(
                "`oaktap view {address}` shows the camera, `oaktap record {address} -o FILE.mcap` makes a recording"
            );
            return Err(present::advised(error.into(), help));
        }
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let all = below(path)?;
        let found = all.iter().filter(|file| ends.iter().any(|end| ends_with(file, end)));
        let before = files.len();
        let found: Vec<_> = found.cloned().collect();
        // A command that plays or exports a folder would take each frame twice.
        let recovered = if ends.contains(&UNFINISHED) { HashSet::new() } else { recovered(&found) };
        for original in &recovered {
            let copy = default_output_path(original);
            present::say(&format!("{} left out: {} has its intact frames", original.display(), copy.display()));
        }
        files.extend(found.into_iter().filter(|file| !recovered.contains(file)));
        let partial = all.iter().filter(|file| ends_with(file, UNFINISHED) && !ends.contains(&UNFINISHED));
        let (busy, unfinished): (Vec<_>, Vec<_>) = partial.partition(|file| file::is_locked(file));
        left_out.extend(unfinished.iter().copied().cloned());
        let unfinished = unfinished.len() as u64;
        let is_left_out = unfinished > 0;
        if let (Some(first), false, true) = (busy.first(), is_left_out, files.len() == before) {
            let (recordings, folder) = (count(busy.len() as u64, "recording", "recordings"), path.display());
            let error = anyhow::anyhow!(
                "no finished recording (*{FINISHED}) below the folder {folder}: found {recordings} (*{UNFINISHED}), still being \
                 recorded"
            );
            let help = format!("give the file itself to read the frames written so far: {}", shell_word(first));
            return Err(present::advised(error, help));
        }
        if !busy.is_empty() {
            let recordings = count(busy.len() as u64, "recording", "recordings");
            present::say(&format!("{recordings} (*{UNFINISHED}) left out: still being recorded"));
        }
        let recover = || format!("`oaktap recover {}` saves their intact frames to new files", shell_word(path));
        match (files.len() > before, is_left_out) {
            (true, false) => {}
            (true, true) => {
                let left_out = count(unfinished, "unfinished recording", "unfinished recordings");
                // It is the reason of exit code 3.
                present::always_say(&format!("{left_out} (*{UNFINISHED}) left out"));
                present::always_say(&format!("help: {}", recover()));
            }
            (false, true) => {
                let folder = path.display();
                let error = anyhow::anyhow!(
                    "no finished recording (*{FINISHED}) below the folder {folder}: found {} (*{UNFINISHED})",
                    count(unfinished, "unfinished one", "unfinished ones")
                );
                return Err(present::advised(error, recover()));
            }
            (false, false) => {
                let names: Vec<_> = ends.iter().map(|end| format!("*{end}")).collect();
                let (folder, names) = (path.display(), names.join(", "));
                let error = anyhow::anyhow!("no recording ({names}) below the folder {folder}");
                let help = format!("`oaktap record CAMERA -o {}` makes recordings there", shell_word(path));
                return Err(present::advised(error, help));
            }
        }
    }
    // The place of each file in the list, and how often it is given.
    let (mut places, mut times) = (HashMap::<PathBuf, usize>::new(), Vec::new());
    files.retain(|file| {
        let next = times.len();
        let place = *places.entry(file.canonicalize().unwrap_or_else(|_| file.clone())).or_insert(next);
        if place == next {
            times.push(0);
        }
        times[place] += 1;
        place == next
    });
    for (file, times) in files.iter().zip(times).filter(|(_, times)| *times > 1) {
        present::say(&format!("{} is given {times} times: taken once", file.display()));
    }
    left_out.retain(|file| !files.contains(file));
    left_out.dedup();
    Ok(FoundFiles { files, unfinished: left_out })
}

/// Returns the text of a path that is not a file, but certainly the address of a camera. A name alone may be a misspelled
/// file.
fn camera_address(path: &Path) -> Option<String> {
    let text = path.to_str().filter(|_| !path.exists())?;
    let is_address = match text.parse().ok()? {
        SourceSpec::File(_) => false,
        SourceSpec::Tcp { host, .. } => text.contains(':') || host.parse::<std::net::IpAddr>().is_ok(),
        _ => true,
    };
    is_address.then(|| without_password(text))
}

/// Refuses a word that is meant as a recording, but is not an existing file: one with a space, or with an ending like `.mcp`. It
/// would be looked up as the name of a host.
pub(crate) fn refuse_misspelled(word: &str) -> anyhow::Result<()> {
    let path = Path::new(word);
    let is_recording = path.exists() || ends_with(path, FINISHED) || ends_with(path, UNFINISHED);
    let is_address = word.contains([':', '?', '@']) || word.parse::<std::net::IpAddr>().is_ok();
    let ending = path.extension().and_then(std::ffi::OsStr::to_str);
    let ends_alike = ending.is_some_and(|ending| has_one_typo(&ending.to_lowercase(), "mcap"));
    let is_in_folder = path.parent().is_some_and(|parent| !parent.as_os_str().is_empty() && parent.is_dir());
    let nearest = nearest_recording(path);
    if is_recording || is_address || !(ends_alike || word.contains(' ') || (is_in_folder && nearest.is_some())) {
        return Ok(());
    }
    let nearest = nearest.map_or_else(String::new, |nearest| format!("; did you mean `{}`?", nearest.display()));
    let error = present::Usage(format!("there is no file `{word}`{nearest}"));
    let help = match word.contains([' ', '/', MAIN_SEPARATOR]) {
        true => "a recording is an existing file; a camera has an address such as 192.168.1.50".to_owned(),
        false => format!("if it is the name of a host: tcp://{word}"),
    };
    Err(present::advised(error.into(), help))
}

/// Returns whether at most one letter is missing, added or wrong, or two neighbors are swapped.
fn has_one_typo(found: &str, right: &str) -> bool {
    let letters = |text: &str| text.chars().collect::<Vec<_>>();
    let (found, right) = (letters(found), letters(right));
    let without = |letters: &[char], at: usize| [&letters[..at], &letters[at + 1..]].concat();
    let (mut of_found, mut of_right) = (0..found.len(), 0..right.len());
    match found.len() as i64 - right.len() as i64 {
        1 => of_found.any(|at| without(&found, at) == right),
        -1 => of_right.any(|at| without(&right, at) == found),
        0 => of_found.any(|at| {
            let near = at.saturating_sub(1)..right.len().min(at + 2);
            near.into_iter().any(|other| without(&found, at) == without(&right, other))
        }),
        _ => false,
    }
}

/// Returns the recording in the folder of a path that has the most similar name.
pub(crate) fn nearest_recording(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(FINISHED) || name.ends_with(UNFINISHED))
        .collect();
    let names: LabelMap = names.iter().map(String::as_str).collect();
    let nearest = names.nearest(path.file_name()?.to_str()?)?;
    Some(path.with_file_name(nearest))
}

/// Returns the recordings that have a recovered copy beside them.
fn recovered(found: &[PathBuf]) -> HashSet<PathBuf> {
    let all: HashSet<_> = found.iter().collect();
    found.iter().filter(|file| all.contains(&default_output_path(file))).cloned().collect()
}

fn ends_with(path: &Path, end: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(end))
}

/// Returns all files below a folder. Does not follow links to folders: they can form a cycle.
fn below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        for entry in entries.with_context(|| format!("cannot read the folder {}", folder.display()))? {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder { &mut folders } else { &mut files }.push(entry.path());
        }
    }
    files.sort_by(|a, b| {
        let (mut a, mut b) = (a.components(), b.components());
        loop {
            let text = |part: Option<std::path::Component<'_>>| {
                part.map(|part| part.as_os_str().to_string_lossy().into_owned())
            };
            match (text(a.next()), text(b.next())) {
                (Some(a), Some(b)) if a != b => return natural_order(&a, &b),
                (None, None) => return std::cmp::Ordering::Equal,
                (Some(_), Some(_)) => {}
                (a, b) => return a.cmp(&b),
            }
        }
    });
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_of_hosts_are_not_misspelled_ones_of_recordings() {
        for ending in ["mcp", "mcaps", "macp", "mcao", "cap", "mcap"] {
            assert!(has_one_typo(ending, "mcap"), "{ending}");
        }
        for ending in ["camp", "local", "lan", "com", "map1", "mc", "", "cam", "home"] {
            assert!(!has_one_typo(ending, "mcap"), "{ending}");
        }
    }
}
