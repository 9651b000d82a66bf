//! Serves each further stream of a camera, such as depth, as a camera of its own once its first frame has arrived.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::routes::Server;

/// How often new streams are looked for.
const STREAM_INTERVAL: Duration = Duration::from_millis(100);

/// Time after which a thread is asked for again that the system has refused.
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// Adds streams while the server runs.
pub(super) async fn serve(server: Arc<Server>) {
    loop {
        let delay = match server.add_streams() {
            Ok(()) => STREAM_INTERVAL,
            Err(error) => {
                tracing::warn!("cannot serve another stream of a camera, retrying in 10 s: {error}");
                RETRY_DELAY
            }
        };
        sleep(delay).await;
    }
}
