//! Messages of players: requests, and packets between them.

/// Longest request in bytes, with its body.
pub(super) const MAX_REQUEST_BYTES: usize = 8 << 10;

/// The version that is supported.
const VERSION: &str = "RTSP/1.0";

/// End of the head of a request.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A request without its body, which no method needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    /// `rtsp://HOST:PORT/PATH`, or `*`.
    pub(super) url: String,
    version: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// Returns whether the version is RTSP 1.0.
    pub(super) fn is_supported(&self) -> bool {
        self.version == VERSION
    }

    /// Returns the value of the first header of this name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let known = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, value)| value.as_str())
    }

    /// Returns the path of the URL without its query; empty without one.
    pub(super) fn path(&self) -> &str {
        let url = self.without_query();
        let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        path.unwrap_or_default()
    }

    /// Returns the URL without its query.
    pub(super) fn without_query(&self) -> &str {
        self.url.split(['?', '#']).next().unwrap_or_default()
    }
}

/// The beginning of what a player sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Request(Request),
    /// The head of a packet, such as a report of RTCP, whose `len` bytes follow.
    Packet {
        channel: u8,
        len: usize,
    },
    /// Line breaks between messages, or a response.
    Nothing,
}

/// Reason for closing a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMessage {
    #[error("the request is longer than {MAX_REQUEST_BYTES} bytes")]
    TooLong,
    #[error("this is not a request of RTSP 1.0")]
    NotRtsp,
}

/// Returns the first piece of these bytes and its length, or `None` if more bytes are needed.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Piece, usize)>, BadMessage> {
    match bytes {
        [] => return Ok(None),
        [b'$', channel, high, low, ..] => {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            return Ok(Some((Piece::Packet { channel: *channel, len }, 4)));
        }
        [b'$', ..] => return Ok(None),
        [b'\r' | b'\n', ..] => {
            let breaks = bytes.iter().take_while(|byte| b"\r\n".contains(byte)).count();
            return Ok(Some((Piece::Nothing, breaks)));
        }
        [first, ..] if !first.is_ascii_uppercase() => return Err(BadMessage::NotRtsp),
        _ => {}
    }
    let Some(end) = memchr::memmem::find(bytes, HEAD_END) else {
        return if bytes.len() < MAX_REQUEST_BYTES { Ok(None) } else { Err(BadMessage::TooLong) };
    };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| BadMessage::NotRtsp)?;
    let (request, is_response) = head(text).ok_or(BadMessage::NotRtsp)?;
    let body: usize = match request.header("Content-Length") {
        Some(len) => len.parse().map_err(|_| BadMessage::NotRtsp)?,
        None => 0,
    };
    let len = body.saturating_add(end + HEAD_END.len());
    if len > MAX_REQUEST_BYTES {
        return Err(BadMessage::TooLong);
    }
    if len > bytes.len() {
        return Ok(None);
    }
    Ok(Some((if is_response { Piece::Nothing } else { Piece::Request(request) }, len)))
}

/// Parses a head, and returns whether it is that of a response.
fn head(text: &str) -> Option<(Request, bool)> {
    // Also excludes line breaks other than CRLF, and headers of several lines: values appear in answers and in the log.
    let mut lines = text.split("\r\n");
    let mut words = lines.next()?.splitn(3, ' ');
    let (first, second, third) = (words.next()?, words.next()?, words.next()?);
    let is_response = first.starts_with("RTSP/");
    let is_token = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    // Players send letters of names, such as `ü`, as the user typed them.
    let is_url = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_control() || c.is_whitespace());
    let is_request = third.starts_with("RTSP/") && is_token(first) && is_url(second) && is_token(third);
    if !(is_response || is_request) {
        return None;
    }
    let mut request =
        Request { method: first.to_owned(), url: second.to_owned(), version: third.to_owned(), headers: Vec::new() };
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if !is_token(name) || value.contains(|c: char| c.is_control() && c != '\t') {
            return None;
        }
        request.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Some((request, is_response))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DESCRIBE: &str = "DESCRIBE rtsp://h/front RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 3\r\n\r\nabc";

    fn pieces(mut bytes: &[u8]) -> Result<Vec<String>, BadMessage> {
        let mut found = Vec::new();
        while let Some((piece, len)) = parse(bytes)? {
            assert!(len > 0 && len <= bytes.len());
            bytes = &bytes[len..];
            match piece {
                Piece::Request(request) => found.push(request.method),
                Piece::Packet { channel, len } => {
                    found.push(format!("{len} bytes on {channel}"));
                    bytes = &bytes[len.min(bytes.len())..];
                }
                Piece::Nothing => {}
            }
        }
        Ok(found)
    }

    #[test]
    fn requests_and_packets_are_found_at_every_split() {
        let all = [
            DESCRIBE.as_bytes(),
            b"\r\n",
            b"$\x01\x00\x02\r\n",
            b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
            DESCRIBE.as_bytes(),
        ]
        .concat();
        assert_eq!(pieces(&all).expect("messages"), ["DESCRIBE", "2 bytes on 1", "DESCRIBE"]);
        for cut in 0..DESCRIBE.len() {
            assert_eq!(pieces(&all[..cut]).expect("no error"), Vec::<String>::new(), "{cut}");
        }
    }

    #[test]
    fn long_and_foreign_requests_are_refused_before_they_are_complete() {
        let endless = format!("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: {}", "x".repeat(MAX_REQUEST_BYTES));
        assert_eq!(pieces(endless.as_bytes()), Err(BadMessage::TooLong));
        assert_eq!(pieces(&endless.as_bytes()[..MAX_REQUEST_BYTES - 1]), Ok(Vec::new()));
        for body in [MAX_REQUEST_BYTES, 10_000_000_000] {
            let request = DESCRIBE.replace("Length: 3", &format!("Length: {body}"));
            assert_eq!(pieces(request.as_bytes()), Err(BadMessage::TooLong), "{body}");
        }
        for foreign in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "\u{1}",
            "OPTIONS * RTSP/1.0\r\nContent-Length: -1\r\n\r\n",
            "OPTIONS  * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            "OPTIONS * RTSP/1.0\r\nCSeq: 1\n2\r\n\r\n",
            "OPTIONS * RTSP/1.0\r\nCSeq: 1\rX: 2\r\n\r\n",
            "OPTIONS * RTSP/1.0\r\nX: 1\r\n folded\r\n\r\n",
            "OPTIONS * RTSP/1.0\r\nwithout a colon\r\n\r\n",
        ] {
            assert_eq!(pieces(foreign.as_bytes()), Err(BadMessage::NotRtsp), "{foreign}");
        }
    }

    #[test]
    fn urls_have_letters_but_no_spaces_and_controls() {
        assert_eq!(pieces("OPTIONS rtsp://h/türe RTSP/1.0\r\n\r\n".as_bytes()).expect("a request"), ["OPTIONS"]);
        for other in ["\u{a0}", "\u{2028}", "\u{85}", "\u{7f}", "\t"] {
            let request = format!("OPTIONS rtsp://h/{other} RTSP/1.0\r\n\r\n");
            assert_eq!(pieces(request.as_bytes()), Err(BadMessage::NotRtsp), "{other:?}");
        }
    }

    #[test]
    fn urls_have_a_path() {
        for (url, path, whole) in [
            ("rtsp://h:1/front?x=/y", "/front", "rtsp://h:1/front"),
            ("rtsp://h/a/b#c?", "/a/b", "rtsp://h/a/b"),
            ("rtsp://h", "", "rtsp://h"),
            ("rtsp://h?/x", "", "rtsp://h"),
            ("/front", "", "/front"),
            ("rtsp://h/türe", "/türe", "rtsp://h/türe"),
            ("*", "", "*"),
        ] {
            let request = Request { url: url.to_owned(), ..Request::default() };
            assert_eq!((request.path(), request.without_query()), (path, whole), "{url}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(start in 0..4_usize, tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let starts = ["", "OPTIONS * RTSP/1.0\r\n", "SETUP rtsp://", "RTSP/1.0 200 "];
            let _ = pieces(&[starts[start].as_bytes(), &tail, b"\r\n\r\n"].concat());
        }
    }
}
