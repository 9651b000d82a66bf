//! The addresses of the server.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore, watch};

use super::advice::Advice;
use super::camera::ServedCamera;
use super::form::{FileKind, Form, Queried};
use super::guard::{Guard, guard, refuse, session, sign_in, sign_out};
use super::http::Place;
use super::replay::REPLAYS_MAX;
use super::viewer::ViewerKind;
use super::{ServeOptions, controls, events, metrics, mjpeg, page, recordings, signature, socket, status};
use crate::overlay::Style;
use crate::source::{Session, unescape};

/// Time that a snapshot waits for a picture.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(3);

const JSON: &str = "application/json";

/// Answers with JSON of strings and numbers: serializing them cannot fail.
pub(super) fn json(value: &impl Serialize) -> Response {
    ([(header::CONTENT_TYPE, JSON)], serde_json::to_string(value).unwrap_or_default()).into_response()
}

/// State that all requests share.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) guard: Guard,
    /// Cameras without their further streams.
    cameras: Vec<(Arc<ServedCamera>, Session)>,
    /// Folder of the recordings.
    pub(super) recordings: Option<PathBuf>,
    /// One permit for each further recording that a page may play.
    pub(super) replays: Arc<Semaphore>,
    /// Detections that are sent, and the names of their labels.
    pub(super) style: Style,
    /// State of the cameras for pages.
    pub(super) status: watch::Sender<Arc<str>>,
    /// Next steps for clients.
    pub(super) advice: Advice,
}

impl Server {
    pub(super) fn new(options: &ServeOptions, cameras: &[Arc<ServedCamera>], sessions: &[Session]) -> Arc<Self> {
        let ServeOptions { token, host_names, tls, .. } = options.clone();
        Arc::new(Self {
            guard: Guard { token, host_names, is_encrypted: tls.is_some(), wrong: Mutex::default() },
            recordings: options.recordings.as_ref().map(|options| options.target.path().to_owned()),
            replays: Arc::new(Semaphore::new(REPLAYS_MAX)),
            style: options.style.clone(),
            cameras: cameras.iter().cloned().zip(sessions.iter().cloned()).collect(),
            status: watch::Sender::new("{\"cameras\":[]}".into()),
            advice: Advice::new(options.advise),
        })
    }

    /// Returns each camera with its session. The further streams of a camera follow it.
    pub(super) fn each(&self) -> impl Iterator<Item = (&Arc<ServedCamera>, &Session)> {
        self.cameras.iter().flat_map(|(camera, session)| camera.with_streams().map(move |served| (served, session)))
    }

    /// Serves the further streams whose first frames have arrived.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn add_streams(&self) -> io::Result<()> {
        let is_taken = |name: &str| self.each().any(|(camera, _)| camera.name.eq_ignore_ascii_case(name));
        self.cameras.iter().try_for_each(|(camera, _)| camera.add_streams(is_taken))
    }

    /// Returns the camera of this name.
    pub(super) fn camera(&self, name: &str) -> Option<&Arc<ServedCamera>> {
        self.find(name).map(|(camera, _)| camera)
    }

    /// Returns the camera of this name with its session. Upper and lower case are the same for a name that no camera
    /// has exactly.
    fn find(&self, name: &str) -> Option<(&Arc<ServedCamera>, &Session)> {
        let exact = self.each().find(|(camera, _)| camera.name == name);
        exact.or_else(|| self.each().find(|(camera, _)| camera.name.eq_ignore_ascii_case(name)))
    }

    /// Returns the camera of a file name such as `front.jpg`, and the form that a query selects.
    fn queried(
        &self,
        file: &str,
        extension: &str,
        address: Queried,
        query: Option<&str>,
    ) -> Result<(&Arc<ServedCamera>, Form), Box<Response>> {
        let camera = self.named(file.strip_suffix(extension).unwrap_or(file)).map_err(|unknown| {
            let of_camera = file.rsplit_once('.').is_some_and(|(name, _)| self.camera(name).is_some());
            if !of_camera {
                return unknown;
            }
            let expected = match address {
                Queried::Snapshot(_) => ".jpg or .png",
                Queried::Stream => ".mjpg",
            };
            let text = format!("no picture `{}`; expected the extension {expected}", file.escape_default());
            Box::new(refuse(StatusCode::NOT_FOUND, text))
        })?;
        let form = Form::parse(address, query).and_then(|form| {
            form.crop.as_deref().map_or(Ok(()), |class| camera.check_class(class))?;
            Ok(form)
        });
        form.map(|form| (camera, form)).map_err(|text| Box::new(refuse(StatusCode::BAD_REQUEST, text)))
    }

    /// Checks the address of pictures: its camera and its query.
    pub(super) fn check_pictures(&self, path: &str, query: Option<&str>) -> Result<(), Box<Response>> {
        let found = match (path.strip_prefix("/stream/"), path.strip_prefix("/snapshot/")) {
            (Some(file), _) => self.queried(&segment(file)?, ".mjpg", Queried::Stream, query),
            (_, Some(file)) => {
                let file = segment(file)?;
                let (kind, extension) = snapshot_kind(&file);
                self.queried(&file, extension, Queried::Snapshot(kind), query)
            }
            (None, None) => {
                let name = path.strip_prefix("/whep/").ok_or_else(no_address)?;
                return self.named(&segment(name)?).map(|_| ());
            }
        };
        found.map(|_| ())
    }

    pub(super) fn named(&self, name: &str) -> Result<&Arc<ServedCamera>, Box<Response>> {
        self.session(name).map(|(camera, _)| camera)
    }

    /// Returns the camera of this name with its session.
    pub(super) fn session(&self, name: &str) -> Result<(&Arc<ServedCamera>, &Session), Box<Response>> {
        self.find(name).ok_or_else(|| {
            let names: Vec<_> = self.each().map(|(camera, _)| camera.name.as_str()).collect();
            let text = format!("no camera `{}`; expected {}", name.escape_default(), names.join(", "));
            Box::new(refuse(StatusCode::NOT_FOUND, text))
        })
    }
}

/// Returns the kind of a picture that a file name such as `front.png` selects, and its extension.
fn snapshot_kind(file: &str) -> (FileKind, &'static str) {
    if file.ends_with(".png") { (FileKind::Png, ".png") } else { (FileKind::Jpeg, ".jpg") }
}

/// Returns the text of the only segment of a path.
fn segment(text: &str) -> Result<String, Box<Response>> {
    let name = String::from_utf8(unescape(text)).ok().filter(|_| !text.contains('/'));
    name.ok_or_else(no_address)
}

fn no_address() -> Box<Response> {
    Box::new(refuse(StatusCode::NOT_FOUND, "no such address"))
}

/// Answers requests for WebRTC in a program without it.
#[cfg(not(feature = "whep"))]
pub(super) async fn without_webrtc() -> Response {
    refuse(StatusCode::NOT_IMPLEMENTED, "this oaktap was built without WebRTC; build it with the feature `whep`")
}

/// Returns the addresses with their handlers, and `more` under the same rules.
pub(super) fn router(server: Arc<Server>, more: Router<Arc<Server>>) -> Router {
    more.route("/", get(page::index))
        .route("/page/{file}", get(page::file))
        .route("/healthz", get(async || "ok\n"))
        .route("/api/session", get(session).post(sign_in).delete(sign_out))
        .route("/api/sign", post(signature::sign))
        .route("/api/cameras", get(cameras))
        .route("/api/cameras/{name}/recording", post(recordings::start).delete(recordings::stop))
        .route("/api/cameras/{name}/control", get(controls::settings).post(controls::set))
        .route("/api/recordings", get(recordings::list))
        .route("/recordings/{*name}", get(recordings::download))
        .route("/api/openapi.json", get(description))
        .route("/metrics", get(counts))
        .route("/snapshot/{file}", get(snapshot))
        .route("/stream/{file}", get(stream))
        .route("/events/{name}", get(detections))
        .route("/socket", any(open_socket))
        .fallback(async || *no_address())
        .layer(middleware::from_fn_with_state(Arc::clone(&server), guard))
        .with_state(server)
}

async fn cameras(State(server): State<Arc<Server>>) -> Response {
    ([(header::CONTENT_TYPE, JSON)], status::api(&server)).into_response()
}

/// Describes the addresses for programs. A test compares it with the answers.
async fn description() -> Response {
    let text = include_str!("openapi.json").replacen("VERSION", env!("CARGO_PKG_VERSION"), 1);
    ([(header::CONTENT_TYPE, JSON)], text).into_response()
}

async fn counts(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    let format = metrics::Format::accepted(&headers);
    ([(header::CONTENT_TYPE, format.content_type())], metrics::text(server, format)).into_response()
}

/// Answers with the next picture.
async fn snapshot(State(server): State<Arc<Server>>, Path(file): Path<String>, RawQuery(query): RawQuery) -> Response {
    let (kind, extension) = snapshot_kind(&file);
    let (camera, form) = match server.queried(&file, extension, Queried::Snapshot(kind), query.as_deref()) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let Some(viewer) = camera.watch(ViewerKind::Snapshot, &form) else { return too_many_forms() };
    match tokio::time::timeout(SNAPSHOT_TIMEOUT, viewer.next()).await {
        Ok(shot) => {
            viewer.sent(shot.file.len());
            ([(header::CONTENT_TYPE, kind.content_type())], shot.file.clone()).into_response()
        }
        Err(_) => {
            let reason = camera.no_picture().map(|no_picture| format!(": {}", no_picture.error)).unwrap_or_default();
            let with = form.crop.map(|class| format!(" with `{}`", class.escape_default())).unwrap_or_default();
            let text = format!("no picture of {}{with} within {} s{reason}", camera.name, SNAPSHOT_TIMEOUT.as_secs());
            refuse(StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

async fn stream(State(server): State<Arc<Server>>, Path(file): Path<String>, RawQuery(query): RawQuery) -> Response {
    match server.queried(&file, ".mjpg", Queried::Stream, query.as_deref()) {
        Ok((camera, form)) => mjpeg::stream(camera, &form).unwrap_or_else(too_many_forms),
        Err(response) => *response,
    }
}

fn too_many_forms() -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "other clients watch too many sizes of this camera; expected one of theirs")
}

async fn detections(State(server): State<Arc<Server>>, Path(name): Path<String>) -> Response {
    server.named(&name).map_or_else(|response| *response, |camera| events::events(Arc::clone(camera)))
}

async fn open_socket(
    State(server): State<Arc<Server>>,
    Extension(place): Extension<Arc<Place>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let upgrade = upgrade.max_message_size(socket::MAX_MESSAGE_BYTES).max_frame_size(socket::MAX_MESSAGE_BYTES);
    upgrade.write_buffer_size(0).on_upgrade(move |socket| async move {
        socket::serve(socket, &server).await;
        drop(place);
    })
}
