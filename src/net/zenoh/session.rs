//! Opens sessions with a router.

use std::time::Duration;

use tokio::time::timeout;
use zenoh::liveliness::LivelinessToken;
use zenoh::{Config, Session, Wait as _};

use super::{ZenohError, ZenohRouter};

/// Longest wait for the router.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for the end of a session.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest time in microseconds that a message of several fragments waits for the link, before it is dropped. Zenoh's own limit,
/// 50 ms, never lets a picture pass that takes longer than this to send (a raw one of 676 KB with less than 108 Mbit/s). This is two
/// intervals of a camera with 5 frames/s.
const FRAGMENTS_WAIT_US: u32 = 400_000;

/// Largest message in bytes that is received. Zenoh's own limit, 1 GiB, would let any peer take this much memory. A picture of the
/// default `--max-payload` (64 MiB) has up to three times as many bytes with its image message. A larger message is dropped, and the
/// session goes on.
const MESSAGE_BYTES_MAX: u32 = 256 << 20;

/// Delays in milliseconds between attempts to reach a router that was lost.
const RETRY_MIN_MS: u32 = 100;
const RETRY_MAX_MS: u32 = 2000;

/// Opens a session as a client of a router. The session reconnects by itself, for ever, and declares everything again. A router that
/// cannot be reached now is an error: try again with a [`Backoff`](crate::source::Backoff).
///
/// Zenoh panics in runtimes of tokio with one thread: use one of `new_multi_thread`.
///
/// # Errors
/// The router cannot be reached.
pub(crate) async fn open(router: &ZenohRouter) -> Result<Session, ZenohError> {
    let config = config(router)?;
    // Zenoh connects before its future is polled: a limit around that future would have no effect.
    let opening = tokio::task::spawn_blocking(move || zenoh::open(config).wait());
    match timeout(OPEN_TIMEOUT, opening).await {
        Ok(Ok(Ok(session))) => Ok(session),
        Ok(Ok(Err(error))) => Err(ZenohError::Connect { router: router.clone(), why: reason(&error) }),
        Ok(Err(_)) | Err(_) => Err(ZenohError::NoAnswer { router: router.clone(), within: OPEN_TIMEOUT }),
    }
}

/// Returns whether a session has a connection to its router now.
pub(crate) async fn has_router(session: &Session) -> bool {
    session.info().routers_zid().await.next().is_some()
}

/// Declares a liveliness token.
///
/// # Errors
/// Zenoh refuses it.
pub(crate) async fn declare_token(session: &Session, key: String) -> Result<LivelinessToken, ZenohError> {
    let declared = session.liveliness().declare_token(key.clone()).await;
    declared.map_err(|error| ZenohError::refused(format!("the token {key}"), &error))
}

/// Ends a session: the router withdraws what it declared.
pub(crate) async fn close(session: Session) {
    match timeout(CLOSE_TIMEOUT, session.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("cannot end the Zenoh session: {error}"),
        Err(_) => tracing::debug!("the Zenoh session did not end within {} s", CLOSE_TIMEOUT.as_secs()),
    }
}

fn config(router: &ZenohRouter) -> Result<Config, ZenohError> {
    let mut config = Config::default();
    let endpoints = serde_json::Value::from(vec![router.endpoint()]).to_string();
    let retry = serde_json::json!({
        "period_init_ms": RETRY_MIN_MS, "period_max_ms": RETRY_MAX_MS, "period_increase_factor": 2.0
    });
    let retry = retry.to_string();
    for (key, value) in [
        ("mode", "\"client\""),
        ("connect/endpoints", endpoints.as_str()),
        ("connect/timeout_ms", "0"),
        ("connect/retry", retry.as_str()),
        ("listen/endpoints", "[]"),
        // Nothing is sent to anyone but the router.
        ("scouting/multicast/enabled", "false"),
        ("scouting/gossip/enabled", "false"),
        (
            "transport/link/tx/queue/congestion_control/drop/max_wait_before_drop_fragments",
            FRAGMENTS_WAIT_US.to_string().as_str(),
        ),
        ("transport/link/rx/max_message_size", MESSAGE_BYTES_MAX.to_string().as_str()),
    ] {
        config.insert_json5(key, value).map_err(|error| ZenohError::refused(format!("the setting {key}"), &error))?;
    }
    Ok(config)
}

/// Returns the text of an error without the places in the sources of Zenoh, which follow `at /`, and without its repetitions.
fn reason(error: &zenoh::Error) -> String {
    let text = error.to_string();
    text.split(" at /").next().unwrap_or(&text).trim().trim_end_matches(['!', '.']).to_owned()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn zenoh_accepts_the_configuration() {
        let router = ZenohRouter::parse("[fe80::1]:7448").expect("a router");
        let config = config(&router).expect("valid");
        for (key, value) in [
            ("mode", "\"client\""),
            ("connect/endpoints", "[\"tcp/[fe80::1]:7448\"]"),
            ("scouting/multicast/enabled", "false"),
            ("transport/link/tx/queue/congestion_control/drop/max_wait_before_drop_fragments", "400000"),
            ("transport/link/rx/max_message_size", "268435456"),
        ] {
            assert_eq!(config.get_json(key).expect("a setting"), value, "{key}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_router_that_is_not_there_is_named() {
        // Nothing listens on a port that was just free.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let router = ZenohRouter { host: "127.0.0.1".to_owned(), port };
        let error = open(&router).await.expect_err("nobody listens");
        let text = error.to_string();
        assert!(text.starts_with(&format!("cannot connect to a Zenoh router at 127.0.0.1 port {port}: ")), "{text}");
        assert!(error.help().is_some_and(|help| help.contains("zenohd")));
    }
}
