//! Error handlers for Xlib, through which minifb draws. By default Xlib ends the process when the connection to the X
//! server breaks, and on every error of a request, such as one for a window that another client has destroyed. The
//! handlers here only note the error: the window is then lost, and the program ends in order.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_uchar, c_ulong, c_void};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use crate::sync::locked;

/// Set once the connection is broken. Xlib returns at once from every later call.
static BROKEN: AtomicBool = AtomicBool::new(false);

/// Code of the first error that concerns the window or its pictures. 0: none.
static ERROR: AtomicU8 = AtomicU8::new(0);

/// The window. 0: not open yet.
static WINDOW: AtomicU32 = AtomicU32::new(0);

/// Messages of other clients to the window: its number, the kind of the message, and five numbers.
static MESSAGES: Mutex<Vec<[u32; 7]>> = Mutex::new(Vec::new());

/// `WM_PROTOCOLS` and `WM_DELETE_WINDOW`, the kind and the first number of the message with which a window manager asks to
/// close the window. 0: minifb gets it, which ends the window at once.
static CLOSE: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];

/// Most messages that wait to be handled. They are handled after each read of minifb, and more are forgotten.
const MESSAGES_MAX: usize = 256;

/// Xlib's own reader of client messages. `None`: it has not been wrapped.
static READER: Mutex<Option<WireReader>> = Mutex::new(None);

/// Number of the event for messages of other clients.
const CLIENT_MESSAGE: c_int = 33;

/// X request that draws a picture.
const PUT_IMAGE: c_uchar = 72;

/// `XErrorEvent` of Xlib.h.
#[repr(C)]
struct ErrorEvent {
    kind: c_int,
    display: *mut c_void,
    resource: c_ulong,
    serial: c_ulong,
    error: c_uchar,
    request: c_uchar,
    minor: c_uchar,
}

type ErrorHandler = unsafe extern "C" fn(*mut c_void, *mut ErrorEvent) -> c_int;
type IoErrorHandler = unsafe extern "C" fn(*mut c_void) -> c_int;
/// Converts an event from its form on the wire, of 32 bytes, to that of Xlib.
type WireReader = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> c_int;
type ExitHandler = unsafe extern "C" fn(*mut c_void, *mut c_void);

unsafe extern "C" fn on_error(_display: *mut c_void, event: *mut ErrorEvent) -> c_int {
    // SAFETY: Xlib passes a valid event for the time of the call.
    let (resource, error, request) = unsafe { ((*event).resource, (*event).error, (*event).request) };
    let window = WINDOW.load(Ordering::Relaxed);
    if request == PUT_IMAGE || (window != 0 && resource == c_ulong::from(window)) {
        let _ = ERROR.compare_exchange(0, error, Ordering::Relaxed, Ordering::Relaxed);
    }
    0
}

unsafe extern "C" fn on_io_error(_display: *mut c_void) -> c_int {
    BROKEN.store(true, Ordering::Relaxed);
    0
}

/// Called after [`on_io_error`]; Xlib's own ends the process.
unsafe extern "C" fn on_exit(_display: *mut c_void, _data: *mut c_void) {}

/// Keeps a copy of a client message for us. Such messages go to the connection that made the window, which is minifb's, and
/// minifb ignores most of them.
unsafe extern "C" fn on_client_message(display: *mut c_void, event: *mut c_void, wire: *mut c_void) -> c_int {
    // SAFETY: Xlib passes the 32 bytes of the event.
    let bytes = unsafe { wire.cast::<[u8; 32]>().read_unaligned() };
    let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let mut messages = locked(&MESSAGES);
    let close = CLOSE.each_ref().map(|atom| atom.load(Ordering::Relaxed));
    if bytes[1] == 32 && close == [8, 12].map(word) && close != [0; 2] {
        // SAFETY: the numbers begin at byte 12 of the 32 bytes, which Xlib's reader copies. `None` is no protocol.
        unsafe { wire.cast::<u32>().add(3).write_unaligned(0) };
    }
    // Byte 1: bits of a number in the message.
    if bytes[1] == 32 && messages.len() < MESSAGES_MAX {
        messages.push([4, 8, 12, 16, 20, 24, 28].map(word));
    }
    drop(messages);
    let reader = *locked(&READER);
    // SAFETY: this is Xlib's own function, with the arguments that Xlib has passed.
    reader.map_or(0, |reader| unsafe { reader(display, event, wire) })
}

/// Takes the messages of other clients that have arrived, if [`keeps_messages`].
pub(super) fn messages() -> Vec<[u32; 7]> {
    std::mem::take(&mut locked(&MESSAGES))
}

/// Returns whether messages of other clients are kept.
pub(super) fn keeps_messages() -> bool {
    locked(&READER).is_some()
}

/// Leaves it to us to close the window when a window manager asks for it with this message.
pub(super) fn keep_window(protocols: u32, delete_window: u32) {
    CLOSE[0].store(protocols, Ordering::Relaxed);
    CLOSE[1].store(delete_window, Ordering::Relaxed);
}

/// Keeps the messages of other clients that minifb's connection receives.
fn keep_messages(display: NonNull<c_void>) {
    locked(&MESSAGES).clear();
    *locked(&READER) = symbol(c"XESetWireToEvent").and_then(|set| {
        // SAFETY: this is the type in Xlibint.h; `display` is minifb's open display, and no other thread uses it;
        // `on_client_message` is valid for as long as the process, and does nothing until `READER` is set.
        unsafe {
            let set: unsafe extern "C" fn(*mut c_void, c_int, WireReader) -> Option<WireReader> =
                std::mem::transmute(set.as_ptr());
            set(display.as_ptr(), CLIENT_MESSAGE, on_client_message)
        }
    });
}

/// Returns a function of libX11, which minifb loads too.
fn symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: both names are strings of C. Loading libX11 has no effect, and it stays loaded.
    unsafe {
        let library = NonNull::new(libc::dlopen(c"libX11.so.6".as_ptr(), libc::RTLD_LAZY))?;
        NonNull::new(libc::dlsym(library.as_ptr(), name.as_ptr()))
    }
}

/// Installs the handler for errors of requests, before a window is opened.
pub(super) fn keep_process_on_errors() {
    BROKEN.store(false, Ordering::Relaxed);
    ERROR.store(0, Ordering::Relaxed);
    WINDOW.store(0, Ordering::Relaxed);
    if let Some(set) = symbol(c"XSetErrorHandler") {
        // SAFETY: this is the type of XSetErrorHandler since X11R1; `on_error` is valid for as long as the process.
        unsafe {
            let set: unsafe extern "C" fn(ErrorHandler) -> Option<ErrorHandler> = std::mem::transmute(set.as_ptr());
            set(on_error);
        }
    }
}

/// Installs the handlers for the loss of the connection of an open window. Returns whether the process survives it: libX11
/// before 1.7 (2020) has no such handler.
pub(super) fn keep_process_without_server(display: NonNull<c_void>, window: u32) -> bool {
    WINDOW.store(window, Ordering::Relaxed);
    keep_messages(display);
    let handlers = (symbol(c"XSetIOErrorExitHandler"), symbol(c"XSetIOErrorHandler"));
    let (Some(set_exit), Some(set)) = handlers else { return false };
    // SAFETY: these are the types in Xlib.h; `display` is minifb's open display, and no other thread uses it; the handlers
    // are valid for as long as the process.
    unsafe {
        let set_exit: unsafe extern "C" fn(*mut c_void, ExitHandler, *mut c_void) =
            std::mem::transmute(set_exit.as_ptr());
        let set: unsafe extern "C" fn(IoErrorHandler) -> Option<IoErrorHandler> = std::mem::transmute(set.as_ptr());
        set_exit(display.as_ptr(), on_exit, std::ptr::null_mut());
        set(on_io_error);
    }
    true
}

/// Returns why the window can no longer be used.
pub(super) fn lost() -> Option<String> {
    if BROKEN.load(Ordering::Relaxed) {
        return Some("the X server closed the connection".to_owned());
    }
    match ERROR.load(Ordering::Relaxed) {
        0 => None,
        // BadWindow and BadDrawable.
        3 | 9 => Some("another program destroyed the window".to_owned()),
        error => Some(format!("the X server refused to draw: X error {error}")),
    }
}
