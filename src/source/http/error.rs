//! Errors of servers that send no pictures, with the next step for the user.

use std::time::Duration;

use super::spec::HttpSpec;
use crate::net::tls::TlsError;
use crate::source::SourceErrorClass;
use crate::wire::MultipartError;

/// Cause of the end of an HTTP source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The response is an error, or a status that is not expected.
    #[error("the server answers {status} for {path}{}", quoted(.found))]
    Status {
        /// Code and reason.
        status: String,
        /// The code.
        code: u16,
        /// The path that was asked for.
        path: String,
        /// Text of the page.
        found: String,
    },
    /// The server requires a user name and a password (401).
    #[error("the server requires a user name and a password for {path}")]
    PasswordRequired {
        /// The path that was asked for.
        path: String,
    },
    /// The server does not accept the user name and the password (401).
    #[error("the server does not accept this user name and password for {path}")]
    PasswordRejected {
        /// The path that was asked for.
        path: String,
    },
    /// The server requires an authentication that is not supported (401).
    #[error("the server requires the authentication \"{offered}\" for {path}: expected Basic or Digest")]
    Authentication {
        /// The path that was asked for.
        path: String,
        /// Value of `WWW-Authenticate`.
        offered: String,
    },
    /// The response is not a stream or a picture.
    #[error("{path} is {}, not a stream or a picture{}", kind(.content_type), quoted(.found))]
    NotAStream {
        /// The path that was asked for.
        path: String,
        /// The content type, if the response has one.
        content_type: Option<String>,
        /// Text of the page.
        found: String,
    },
    /// Too many redirects, or one that is not followed.
    #[error("the server redirects {path} to {to}: {why}")]
    Redirect {
        /// The path that was asked for.
        path: String,
        /// The target.
        to: String,
        /// The reason for which it is not followed.
        why: String,
    },
    /// The response did not arrive in time.
    #[error("no response to GET {path} within {} s", .within.as_secs_f32())]
    NoResponse {
        /// The path that was asked for.
        path: String,
        /// The time.
        within: Duration,
    },
    /// The server closed the connection before the response.
    #[error("the server closed the connection without a response to GET {path}")]
    ClosedWithoutResponse {
        /// The path that was asked for.
        path: String,
    },
    /// The response is not HTTP, or breaks its rules.
    #[error("the response is not valid HTTP: {0}")]
    Invalid(String),
    /// The certificate of the server is not trusted.
    #[error("the server's certificate is not trusted: {0}")]
    Certificate(String),
    /// The TLS handshake failed.
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    /// The stream is not a multipart body, or exceeds a limit.
    #[error(transparent)]
    Multipart(#[from] MultipartError),
    /// A still picture is larger than [`Limits`](crate::wire::Limits) allow.
    #[error("the picture has more than {max} bytes: expected at most that")]
    PictureTooLarge {
        /// Bytes allowed.
        max: usize,
    },
}

impl From<TlsError> for HttpError {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Certificate(why) => Self::Certificate(why),
            TlsError::Handshake(why) => Self::Tls(why),
        }
    }
}

fn kind(content_type: &Option<String>) -> String {
    match content_type {
        None => "data without a content type".to_owned(),
        Some(text) if is_page(text) => "a web page".to_owned(),
        Some(text) => format!("`{text}`"),
    }
}

fn is_page(content_type: &str) -> bool {
    content_type.get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"))
}

fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": \"{text}\"") }
}

impl HttpError {
    /// Returns whether retrying can help.
    pub(in crate::source) fn class(&self) -> SourceErrorClass {
        match self {
            Self::Status { code: 408 | 425 | 429 | 500.., .. }
            | Self::NoResponse { .. }
            | Self::ClosedWithoutResponse { .. }
            | Self::Tls(_) => SourceErrorClass::Retry,
            _ => SourceErrorClass::Fatal,
        }
    }

    /// Returns the next step for the user.
    pub(in crate::source) fn help(&self) -> Option<&'static str> {
        match self {
            Self::Status { code: 404, .. } | Self::NotAStream { .. } | Self::ClosedWithoutResponse { .. } => {
                Some(PATHS)
            }
            Self::Status { .. } | Self::NoResponse { .. } => {
                Some("open the address in a browser to see what the server sends")
            }
            Self::PasswordRequired { .. } | Self::PasswordRejected { .. } => {
                Some("give them as http://USER:PASSWORD@HOST/PATH; write `@`, `:` and `/` in them as %40, %3A and %2F")
            }
            Self::Redirect { .. } => Some("give the address at which the redirects end"),
            Self::Certificate(_) => {
                Some("if this is a camera with a certificate of its own, accept any with https://HOST/PATH#insecure")
            }
            Self::Tls(_) => Some("check the port, and whether the server expects http:// instead of https://"),
            Self::PictureTooLarge { .. } | Self::Multipart(MultipartError::PartTooLarge { .. }) => {
                Some("if the pictures are as large as that, raise --max-payload")
            }
            Self::Invalid(_) => Some("check the port: camera streams without HTTP are tcp://HOST:PORT"),
            Self::Authentication { .. } | Self::Multipart(_) => None,
        }
    }
}

/// The usual paths.
const PATHS: &str = "usual paths: / (Luxonis' MJPEG server), /img (Luxonis' still pictures), /video, /stream, /mjpeg, \
                     /video.mjpg, /snapshot.jpg; open the address in a browser to see what the server has";

impl HttpSpec {
    /// Returns the path without its query, which may have a secret.
    pub(super) fn shown_path(&self) -> String {
        self.path.split('?').next().unwrap_or_default().to_owned()
    }
}
