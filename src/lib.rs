//! Host side of Luxonis OAK PoE cameras in standalone mode: finds cameras, flashes them, receives, shows, records and
//! exports their streams.
//!
//! # Folders
//!
//! Imports go down this list, never up; `tests/layering.rs` holds the same list. Folders marked `io` use sockets, files,
//! threads or clocks. The others are pure: bytes in, values out, time as an argument. They are what remains with
//! `--no-default-features`.
//!
//! ```text
//! python      io  the Python library, which has the program, too; with the feature `python` only
//! cli         io  the program: arguments, output, exit codes; cli/commands: one file each
//! sink        io  takes frames or pictures: record, detections, snapshot, window, publish
//! view        io  frames -> pictures with boxes, published through a Hub; pause and step
//! doctor          judges the network around a camera; doctor/observe (io) measures it
//! live        io  starts sessions, connects them to sinks, ends them
//! export      io  recordings -> pictures, video, tables, datasets
//! source      io  frames of one camera: tcp, listen, http, mqtt, file; supervision and reconnect
//! sim         io  simulated cameras
//! recording   io  MCAP files: write, read, play, verify, recover
//! net         io  sockets, interfaces and clocks of this host
//! file        io  new files: temporary name, sync, rename
//! flash           a checked list of steps, carried out over a bootloader session
//! device          the application on the camera: parameters, pipeline, firmware, script
//! package         the .dap container of an application
//! bootloader      requests and responses over XLink
//! stats           the ledger: counts of every frame and byte
//! access_unit     H.264 and H.265 -> samples of MP4
//! decode  encode  H.264 and H.265 -> frames of pixels; pictures -> H.264
//! convert         frame -> picture
//! overlay         boxes and labels on a picture
//! hub             lanes: bounded queues that count their drops
//! wire            bytes <-> frames: headers, records, detections, resynchronization
//! discovery  xlink    UDP discovery messages; XLink streams
//! frame           Frame, Picture, PixelFormat, Detection, times, pools
//! error  sync  units  errors as text; locks and wakers; amounts of bytes and time
//! ```
//!
//! # Live path
//!
//! ```text
//! camera ---------bytes--> source (wire::Decoder) --------events--> Delivery
//! recording file -bytes--> source::replay (wire::Decoder) -events-> Delivery
//!
//! Delivery --+--> Outlets::provisional --> view --> Hub<Arc<Picture>> --> window
//!            +--> Outlets::confirmed ----> record, detections, snapshot, publish
//!            +--> Outlets::incidents ----> record
//!            +--> Ledger
//! ```
//!
//! * **Delivery** (`source/delivery.rs`) is called by every source with each event, and hands it to the three hubs of
//!   [`source::Outlets`] and to the ledger. Sources with our headers get their events from a [`wire::Decoder`]; a source
//!   without them gives the decoder whole pictures ([`wire::Decoder::picture`]).
//! * A frame is **provisional** when its last byte has arrived, and **confirmed** when the bytes after it prove that nothing
//!   is missing: usually the next header, otherwise a checksum, a pause or the end of the stream. After junk or missing bytes
//!   the decoder searches for the next header and **withdraws** the damaged frame. Views show provisional frames, because a
//!   person wants low latency; sinks that keep frames take confirmed ones.
//! * A frame is **stale** when the times of the frames after it show that it waited in the camera's queue before we connected
//!   ([`frame::Backlog`]): it does not show the present. Views show frames before that is decided; `Delivery` holds confirmed
//!   frames back until it is, for at most nine frames.
//! * A **lane** ([`hub::Lane`]) is a bounded queue between a session and one subscriber. A live session never waits: a full
//!   lane drops its oldest or its newest item and counts the drop. Playing a recording waits until every lane that keeps all
//!   items has room. A subscriber that needs an item only now and then mutes its lane: ignored items do not count.
//! * The **ledger** ([`stats::Ledger`]) balances at every moment: bytes received = headers + detections + payload + skipped +
//!   pending; frames received = confirmed + withdrawn + pending (a frame of which bytes are missing is never received; it
//!   counts as lost); items offered to a lane = taken + dropped + queued.
//!
//! # Plugging in
//!
//! Beside one line each in the `mod.rs` of their folder:
//!
//! | New | Files |
//! |---|---|
//! | source (RTSP) | its file in `source/`, which implements `attempt::Source`; a variant of [`source::SourceSpec`]; its line in `source/supervise.rs`; a [`wire::Protocol`] if it delimits pictures itself; README, its test, its simulator |
//! | sink (web, publisher) | its file in `sink/`, which implements [`live::Sink`] (pictures come from [`view::Views`]), its command in `cli/commands/`, README, its test |
//! | target of `publish` | its file in `sink/publish/`, a variant of `PublishTarget`, its line in `Target::start`; docs/publish.md, its test |
//! | dialect with headers | `wire/header.rs`, `wire/encode.rs`, its capture test |
//! | pixel format | `frame/pixel.rs`, a routine in `convert/`, `convert/reference.rs`, `sim/pixels.rs` |
//! | check of `doctor` | a function in `doctor/`, a line in its caller, its test |
//!
//! Recordings rebuild each frame with the decoder. Image messages of other programs in MCAP files are played and exported
//! without it.

// The program is a part of the Python library, and names this crate.
#[cfg(feature = "python")]
extern crate self as oaktap;

#[cfg(any(feature = "export", feature = "serve"))]
mod access_unit;
pub mod bootloader;
#[cfg(feature = "python")]
mod cli;
pub mod convert;
pub mod decode;
pub mod device;
pub mod discovery;
pub mod doctor;
#[cfg(feature = "video")]
pub mod encode;
pub mod error;
#[cfg(feature = "export")]
pub mod export;
#[cfg(feature = "net")]
pub mod file;
pub mod flash;
pub mod frame;
pub mod hub;
#[cfg(feature = "net")]
pub mod live;
#[cfg(feature = "net")]
pub mod net;
pub mod overlay;
pub mod package;
#[cfg(feature = "python")]
mod python;
#[cfg(feature = "net")]
pub mod recording;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "net")]
pub mod sim;
#[cfg(feature = "net")]
pub mod sink;
#[cfg(feature = "net")]
pub mod source;
pub mod stats;
pub mod sync;
pub mod units;
#[cfg(feature = "net")]
pub mod view;
pub mod wire;
pub mod xlink;
