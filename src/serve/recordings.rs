//! Recordings in the folder of `--recordings`: their list, and their files.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::UNIX_EPOCH;

use axum::body::{Body, Bytes};
use axum::extract::{Path as Named, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame as Piece, SizeHint};
use serde::Serialize;
use tokio::task::{JoinHandle, spawn_blocking};

use super::camera::ServedCamera;
use super::guard::refuse;
use super::recording::CameraRecorder;
use super::routes::{Server, json};

/// Most recordings in the list: the newest ones.
const LISTED_MAX: usize = 1000;

/// Bytes of a file that are read at a time.
const CHUNK_BYTES: u64 = 256 << 10;

/// Text for requests while the server has no folder for recordings.
pub(super) const OFF: &str = "clients cannot record here; `oaktap serve --recordings FOLDER` lets them";

/// A file of the folder.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Recording {
    /// Path below the folder, with `/`.
    pub(super) name: String,
    bytes: u64,
    modified_unix_ms: u64,
    /// `false` while it is being written, or if its recorder was killed.
    pub(super) finished: bool,
}

/// Returns the recordings below a folder, the newest first: files of cameras, and files in the folder itself. Links are left out,
/// because they may lead anywhere.
fn listed(folder: &Path) -> io::Result<Vec<(Recording, PathBuf)>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        // The recorder creates it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries.filter_map(Result::ok) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // It may have been removed since.
            let inside = fs::read_dir(entry.path()).into_iter().flatten().filter_map(Result::ok);
            found.extend(inside.filter_map(|inner| {
                let file = inner.file_name().into_string().ok()?;
                recording(format!("{name}/{file}"), &inner)
            }));
        } else {
            found.extend(recording(name, &entry));
        }
    }
    found.sort_by(|(a, _), (b, _)| (Reverse(a.modified_unix_ms), &a.name).cmp(&(Reverse(b.modified_unix_ms), &b.name)));
    Ok(found)
}

fn recording(name: String, entry: &fs::DirEntry) -> Option<(Recording, PathBuf)> {
    let finished = name.ends_with(".mcap");
    // Does not follow links.
    let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let modified_unix_ms = u64::try_from(modified.as_millis()).unwrap_or(u64::MAX);
    let is_recording = finished || name.ends_with(".mcap.partial");
    is_recording.then(|| (Recording { name, bytes: metadata.len(), modified_unix_ms, finished }, entry.path()))
}

/// Runs blocking work of a request.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Box<Response>> {
    // A panic was printed when it happened.
    spawn_blocking(work).await.map_err(|_| Box::new(refuse(StatusCode::INTERNAL_SERVER_ERROR, "the server failed")))
}

/// Reads the list for a request.
pub(super) async fn list_for(folder: PathBuf) -> Result<Vec<(Recording, PathBuf)>, Box<Response>> {
    let name = folder.display().to_string();
    let found = blocking(move || listed(&folder)).await?;
    found.map_err(|error| {
        tracing::warn!(%error, folder = name, "cannot list recordings");
        Box::new(refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot read the folder of recordings: {error}")))
    })
}

/// `GET /api/recordings`
pub(super) async fn list(State(server): State<Arc<Server>>) -> Response {
    #[derive(Serialize)]
    struct List {
        /// Whether the server has a folder for recordings.
        on: bool,
        recordings: Vec<Recording>,
    }
    let found = match server.recordings.clone().map(list_for) {
        Some(listing) => match listing.await {
            Ok(found) => found,
            Err(response) => return *response,
        },
        None => Vec::new(),
    };
    let recordings = found.into_iter().map(|(recording, _)| recording).take(LISTED_MAX).collect();
    json(&List { on: server.recordings.is_some(), recordings })
}

/// `GET /recordings/NAME`: a file of the list. The name is compared with those in the list and never becomes a path.
pub(super) async fn download(State(server): State<Arc<Server>>, Named(name): Named<String>) -> Response {
    let Some(folder) = server.recordings.clone() else { return refuse(StatusCode::NOT_FOUND, OFF) };
    let found = match list_for(folder).await {
        Ok(found) => found.into_iter().find(|(recording, _)| recording.finished && recording.name == name),
        Err(response) => return *response,
    };
    let Some((recording, path)) = found else {
        return refuse(StatusCode::NOT_FOUND, "no such recording; expected a finished one of /api/recordings");
    };
    let opened = blocking(move || {
        let file = File::open(&path)?;
        file.metadata().map(|metadata| (file, metadata.len()))
    });
    let (file, bytes) = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return refuse(StatusCode::NOT_FOUND, format!("cannot read this recording: {error}")),
        Err(response) => return *response,
    };
    let body = Body::new(Download { file: Some(file), reading: None, left: bytes });
    // Names of files have no quotation marks or controls: `safe_name` replaces them. Others get a name of ours.
    let plain = recording.name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    let saved = if plain { recording.name.replace('/', "_") } else { "recording.mcap".to_owned() };
    let disposition = format!("attachment; filename=\"{saved}\"");
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CONTENT_DISPOSITION, &disposition)];
    (headers, body).into_response()
}

/// A file on its way to a client, read in chunks.
struct Download {
    /// `None` while it is being read.
    file: Option<File>,
    reading: Option<JoinHandle<(File, io::Result<Bytes>)>>,
    left: u64,
}

fn read(mut file: File, bytes: u64) -> (File, io::Result<Bytes>) {
    let mut chunk = Vec::with_capacity(bytes as usize);
    let read = file.by_ref().take(bytes).read_to_end(&mut chunk).map(|_| Bytes::from(chunk));
    (file, read)
}

impl hyper::body::Body for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Piece<Bytes>>>> {
        if let Some(file) = self.file.take().filter(|_| self.left > 0) {
            let bytes = self.left.min(CHUNK_BYTES);
            self.reading = Some(spawn_blocking(move || read(file, bytes)));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let done = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        let (file, chunk) = done.map_err(io::Error::other)?;
        let chunk = chunk?;
        if chunk.is_empty() {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        self.left -= chunk.len() as u64;
        self.file = Some(file);
        Poll::Ready(Some(Ok(Piece::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Answers with an error if a camera cannot be recorded.
fn recorder<'a>(server: &'a Server, name: &str) -> Result<(&'a ServedCamera, &'a Arc<CameraRecorder>), Box<Response>> {
    let camera = server.named(name)?;
    let recorder = camera.recorder.as_ref().ok_or_else(|| Box::new(refuse(StatusCode::CONFLICT, OFF)))?;
    Ok((camera, recorder))
}

/// `POST /api/cameras/NAME/recording`: starts a recording, unless one runs.
pub(super) async fn start(State(server): State<Arc<Server>>, Named(name): Named<String>) -> Response {
    let (camera, recorder) = match recorder(&server, &name) {
        Ok((camera, recorder)) => (camera, Arc::clone(recorder)),
        Err(response) => return *response,
    };
    match blocking(move || recorder.start()).await {
        Ok(Ok(())) => json(&camera.recording.state()),
        Ok(Err(error)) => {
            let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
            let text = format!("cannot record: {}{help}", crate::error::with_causes(&error));
            tracing::warn!(camera = name, "{text}");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
        Err(response) => *response,
    }
}

/// `DELETE /api/cameras/NAME/recording`: stops the recording, if one runs.
pub(super) async fn stop(State(server): State<Arc<Server>>, Named(name): Named<String>) -> Response {
    match recorder(&server, &name) {
        Ok((_, recorder)) => {
            recorder.stop();
            StatusCode::NO_CONTENT.into_response()
        }
        Err(response) => *response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_recordings_below_the_folder_are_listed() {
        let outside = tempfile::tempdir().expect("a folder");
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: PathBuf| fs::write(path, b"x").expect("a file");
        fs::create_dir_all(folder.path().join("front/deeper")).expect("a folder");
        write(folder.path().join("all.mcap"));
        write(folder.path().join("front/a.mcap"));
        write(folder.path().join("front/b.mcap.partial"));
        write(folder.path().join("front/token.txt"));
        write(folder.path().join("front/deeper/c.mcap"));
        write(outside.path().join("secret.mcap"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            symlink(outside.path(), folder.path().join("link")).expect("a link");
            symlink(outside.path().join("secret.mcap"), folder.path().join("front/link.mcap")).expect("a link");
        }
        let mut names: Vec<_> =
            listed(folder.path()).expect("a list").into_iter().map(|(one, _)| (one.name, one.finished)).collect();
        names.sort();
        let expected = [("all.mcap", true), ("front/a.mcap", true), ("front/b.mcap.partial", false)];
        assert_eq!(names, expected.map(|(name, finished)| (name.to_owned(), finished)));
        assert_eq!(listed(&folder.path().join("none")).expect("an empty list").len(), 0);
    }
}
