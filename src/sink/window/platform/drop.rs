//! Files that are dropped on the window: the receiving side of XDND, the drag-and-drop protocol of X desktops.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt as _, EventMask, PropMode, SelectionNotifyEvent,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use super::x11::Failure;

/// Version of the protocol that is supported, and the oldest one.
const VERSION: u32 = 5;
const VERSION_MIN: u32 = 3;

/// Longest list of files, in units of 4 bytes: 256 KiB.
const LIST_WORDS_MAX: u32 = 1 << 16;

x11rb::atom_manager! {
    /// Names of the protocol.
    DropAtoms: DropAtomsCookie {
        INCR,
        XdndActionCopy,
        XdndAware,
        XdndDrop,
        XdndEnter,
        XdndFinished,
        XdndLeave,
        XdndPosition,
        XdndSelection,
        XdndStatus,
        XdndTypeList,
        TEXT_URI_LIST: b"text/uri-list",
    }
}

/// A message of another client to the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientMessage {
    pub(super) window: u32,
    pub(super) kind: u32,
    pub(super) data: [u32; 5],
}

/// Files that were dropped, or why they cannot be used.
pub(super) type Dropped = Result<Vec<PathBuf>, String>;

/// An object that the user drags over the window.
#[derive(Clone, Copy, Debug)]
struct Drag {
    source: u32,
    has_files: bool,
}

/// The window as a target of drags.
#[derive(Debug)]
pub(super) struct DropTarget {
    atoms: DropAtoms,
    window: u32,
    /// Window of our connection that receives the list of files.
    requestor: u32,
    drag: Option<Drag>,
}

impl DropTarget {
    /// Announces that files can be dropped on a window.
    pub(super) fn announce(connection: &RustConnection, window: u32, requestor: u32) -> Result<Self, Failure> {
        let atoms = DropAtoms::new(connection)?.reply()?;
        connection.change_property32(PropMode::REPLACE, window, atoms.XdndAware, AtomEnum::ATOM, &[VERSION])?;
        Ok(Self { atoms, window, requestor, drag: None })
    }

    /// Handles a message of the source of a drag.
    pub(super) fn message(&mut self, connection: &RustConnection, message: ClientMessage) -> Result<(), Failure> {
        let ClientMessage { window, kind, data } = message;
        let atoms = self.atoms;
        if window != self.window {
            return Ok(());
        }
        let source = data[0];
        let drag = self.drag.filter(|drag| drag.source == source);
        if kind == atoms.XdndEnter {
            let is_supported = (VERSION_MIN..=VERSION).contains(&(data[1] >> 24));
            // The lowest bit: there are more than three types, in a property of the source.
            let listed = if data[1] & 1 == 1 { self.types(connection, source) } else { data[2..].to_vec() };
            self.drag = is_supported.then(|| Drag { source, has_files: listed.contains(&atoms.TEXT_URI_LIST) });
        } else if kind == atoms.XdndLeave {
            self.drag = None;
        } else if kind == atoms.XdndPosition {
            let accepts = drag.is_some_and(|drag| drag.has_files);
            let action = if accepts { atoms.XdndActionCopy } else { 0 };
            self.answer(connection, source, atoms.XdndStatus, [self.window, u32::from(accepts), 0, 0, action])?;
        } else if kind == atoms.XdndDrop {
            if drag.is_some_and(|drag| drag.has_files) {
                let (selection, time) = (atoms.XdndSelection, data[2]);
                connection.convert_selection(self.requestor, selection, atoms.TEXT_URI_LIST, selection, time)?;
                connection.flush()?;
            } else {
                self.finish(connection, source, false)?;
            }
        }
        Ok(())
    }

    /// Takes the list of files, which the source has sent. `None` if nothing was dropped.
    pub(super) fn receive(
        &mut self,
        connection: &RustConnection,
        event: &SelectionNotifyEvent,
    ) -> Result<Option<Dropped>, Failure> {
        if event.requestor != self.requestor || event.selection != self.atoms.XdndSelection {
            return Ok(None);
        }
        let Some(Drag { source, .. }) = self.drag.take() else { return Ok(None) };
        let dropped = if event.property == 0 {
            Err("the other program did not send the list of files".to_owned())
        } else {
            let read =
                connection.get_property(true, self.requestor, event.property, AtomEnum::ANY, 0, LIST_WORDS_MAX)?;
            let list = read.reply()?;
            if list.type_ == self.atoms.INCR || list.bytes_after > 0 {
                Err(format!("the list of files is longer than {} KiB", LIST_WORDS_MAX / 256))
            } else {
                files(&list.value)
            }
        };
        self.finish(connection, source, dropped.is_ok())?;
        Ok(Some(dropped))
    }

    /// Returns the types that a source offers.
    fn types(&self, connection: &RustConnection, source: u32) -> Vec<u32> {
        let read = connection.get_property(false, source, self.atoms.XdndTypeList, AtomEnum::ATOM, 0, 1024);
        // The source may be gone.
        let types = read.ok().and_then(|cookie| cookie.reply().ok());
        types.and_then(|types| Some(types.value32()?.collect())).unwrap_or_default()
    }

    fn finish(&self, connection: &RustConnection, source: u32, accepted: bool) -> Result<(), Failure> {
        let action = if accepted { self.atoms.XdndActionCopy } else { 0 };
        self.answer(connection, source, self.atoms.XdndFinished, [self.window, u32::from(accepted), action, 0, 0])
    }

    fn answer(&self, connection: &RustConnection, to: u32, kind: u32, data: [u32; 5]) -> Result<(), Failure> {
        let message = ClientMessageEvent::new(32, to, kind, data);
        connection.send_event(false, to, EventMask::NO_EVENT, message)?;
        connection.flush()?;
        Ok(())
    }
}

/// Parses a list of files (`text/uri-list`, RFC 2483).
fn files(list: &[u8]) -> Dropped {
    let lines = list.split(|byte| matches!(byte, b'\n' | b'\r' | 0)).map(<[u8]>::trim_ascii);
    let uris = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    let files = uris.map(file).collect::<Result<Vec<_>, _>>()?;
    if files.is_empty() { Err("the list of files is empty".to_owned()) } else { Ok(files) }
}

/// Parses `file:///path` or `file://host/path`.
fn file(uri: &[u8]) -> Result<PathBuf, String> {
    let path = uri.strip_prefix(b"file:").and_then(|rest| match rest.strip_prefix(b"//") {
        // Any host: desktops write the name of this computer in several ways.
        Some(rest) => rest.iter().position(|byte| *byte == b'/').map(|at| &rest[at..]),
        None => Some(rest).filter(|rest| rest.starts_with(b"/")),
    });
    let path = path.and_then(decoded).filter(|path| !path.contains(&0));
    path.map(|path| OsString::from_vec(path).into()).ok_or_else(|| {
        let shown: String = String::from_utf8_lossy(uri).chars().take(80).collect();
        format!("`{shown}` is not a file of this computer")
    })
}

/// Replaces `%20` and the like. `None` if two hexadecimal digits are missing.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(*byte);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_files_are_parsed() {
        let read =
            |list: &str| files(list.as_bytes()).map(|found| found.iter().map(|it| it.display().to_string()).collect());
        let paths = |paths: &[&str]| Ok::<Vec<String>, String>(paths.iter().map(|path| (*path).to_owned()).collect());
        assert_eq!(read("file:///a/evening.mcap\r\n"), paths(&["/a/evening.mcap"]));
        assert_eq!(
            read("# two\r\nfile:///a%20b/%C3%A4.mcap\r\nfile://host/c.mcap"),
            paths(&["/a b/ä.mcap", "/c.mcap"])
        );
        assert_eq!(read("file:/a.mcap\n\0"), paths(&["/a.mcap"]));
        assert_eq!(read("file:///100%25"), paths(&["/100%"]));
        for wrong in [
            "https://example.com/a.mcap",
            "/a.mcap",
            "file:a",
            "file://host",
            "file:///%2",
            "file:///%zz",
            "file:///%00",
        ] {
            assert_eq!(read(wrong), Err(format!("`{wrong}` is not a file of this computer")));
        }
        assert_eq!(read("# nothing\r\n\r\n"), Err("the list of files is empty".to_owned()));
        assert_eq!(files(b"file:///\xff").map(|found| found.len()), Ok(1), "names need not be UTF-8");
    }
}
