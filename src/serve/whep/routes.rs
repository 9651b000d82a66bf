//! The addresses of WHEP.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};

use super::offer::answer;
use super::peer::Peer;
use super::{Door, MAX_PEERS, Order};
use crate::serve::guard::refuse;
use crate::serve::routes::Server;

/// Type of offers and answers.
const SDP: &str = "application/sdp";

/// Says which type the body of a `POST` has.
const ACCEPT_POST: header::HeaderName = header::HeaderName::from_static("accept-post");

/// Seconds after which a viewer that found no place may ask again.
const RETRY_S: &str = "5";

/// Time that a viewer waits for the first frame of a camera: shorter than that of a request.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(4);

/// Returns the addresses with their handlers.
pub(in crate::serve) fn routes(door: Door) -> Router<Arc<Server>> {
    let viewers = post(open).options(options);
    Router::new()
        .route("/whep/{name}", viewers)
        .route("/whep/{name}/{id}", delete(close).options(viewer_options))
        .layer(Extension(door))
}

async fn options() -> Response {
    (StatusCode::NO_CONTENT, [(header::ALLOW, "POST, OPTIONS"), (ACCEPT_POST, SDP)]).into_response()
}

async fn viewer_options() -> Response {
    (StatusCode::NO_CONTENT, [(header::ALLOW, "DELETE, OPTIONS")]).into_response()
}

/// Adds a viewer: answers its offer.
async fn open(
    State(server): State<Arc<Server>>,
    Extension(door): Extension<Door>,
    uri: Uri,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let camera = match server.named(&name) {
        Ok(camera) => camera,
        Err(response) => return *response,
    };
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(SDP)) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, format_args!("expected `Content-Type: {SDP}`"));
    }
    let Ok(offer) = std::str::from_utf8(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "the offer is not UTF-8");
    };
    let busy = || {
        let text = format!("{MAX_PEERS} viewers are connected over WebRTC; expected fewer");
        let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, text);
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static(RETRY_S));
        response
    };
    let Some(place) = door.place() else { return busy() };
    let media = match camera.whep.media(MEDIA_TIMEOUT).await {
        Ok(media) => media,
        Err(reason) => return refuse(StatusCode::SERVICE_UNAVAILABLE, reason),
    };
    let mut answered = match answer(&door, offer, &media) {
        Ok(answered) => answered,
        Err(reason) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, reason),
    };
    let id = format!("{:016x}{:016x}", crate::serve::random(), crate::serve::random());
    let sdp = std::mem::take(&mut answered.sdp);
    let location = format!("{}/{id}", uri.path());
    let peer = Box::new(Peer::new(id, Arc::clone(camera), media, answered, place));
    if door.orders.try_send(Order::Add(peer)).is_err() {
        return busy();
    }
    (StatusCode::CREATED, [(header::CONTENT_TYPE, SDP), (header::LOCATION, location.as_str())], sdp).into_response()
}

/// Ends a viewer. An unknown one has ended already.
async fn close(Extension(door): Extension<Door>, Path((_, id)): Path<(String, String)>) -> Response {
    match door.orders.try_send(Order::End(id)) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the server ends"),
    }
}
