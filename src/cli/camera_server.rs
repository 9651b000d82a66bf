//! The server of `oaktap serve`, and the same server beside a window or a recorder.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use oaktap::live::{self, Camera, Sink as _};
use oaktap::net::interfaces::interfaces;
use oaktap::overlay::Style;
use oaktap::serve::{
    CameraViewers, KeptCamera, Serve, ServeAddress, ServeOptions, Tls, TlsFileError, Token, ViewerCounts, is_host_name,
    rtsp_url,
};
use oaktap::sink::record::{RecordError, RecorderOutcome, RecordersMonitor, RecordingSwitch};
use oaktap::source::{Advise, Session};
use oaktap::units::count;
use serde::Serialize;

use super::Ctx;
use super::commands::listener;
use super::present::{self, Usage, advised};

/// Options of the server.
pub(crate) const SERVER: &str = "Server";

/// Creates a certificate and its key. A test runs it.
pub(crate) const CERTIFICATE_RECIPE: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
                                             -days 365 -subj /CN=cameras.lan -addext subjectAltName=DNS:cameras.lan \
                                             -keyout key.pem -out cert.pem";

/// Options that say who may connect, and how.
#[derive(Args, Clone, Debug, Default)]
struct AccessArgs {
    /// File with the token that clients must send, 16 to 256 characters; required beyond 127.0.0.1
    #[arg(long, value_name = "FILE", help_heading = SERVER)]
    token: Option<PathBuf>,

    /// Also accept requests for this name of the computer, such as cameras.lan; repeatable
    #[arg(long, value_name = "NAME", value_parser = host_name, help_heading = SERVER)]
    host_name: Vec<String>,

    /// Encrypt (HTTPS) with the certificate in this PEM file, followed by those of its issuers
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = SERVER)]
    tls_cert: Option<PathBuf>,

    /// Private key of --tls-cert, a PEM file without a password
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = SERVER)]
    tls_key: Option<PathBuf>,
}

fn host_name(text: &str) -> Result<String, String> {
    if is_host_name(text) {
        Ok(text.to_owned())
    } else {
        Err("expected a name without port, such as cameras.lan".to_owned())
    }
}

/// Options of `oaktap serve`, and of the service that runs it.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServerArgs {
    /// Listen here. PORT alone: on this computer only
    #[arg(long, value_name = "[ADDRESS:]PORT", default_value = "127.0.0.1:8080", help_heading = SERVER)]
    pub(crate) http: ServeAddress,

    /// Also serve each camera to players and recorders at rtsp://ADDRESS:PORT/NAME. PORT alone: on this computer only. The usual
    /// port is 8554
    #[arg(long, value_name = "[ADDRESS:]PORT", help_heading = SERVER)]
    pub(crate) rtsp: Option<ServeAddress>,

    /// Also serve each camera's own protocol, to any number of clients: the first camera here, the second one port higher, and so
    /// on. PORT alone: on this computer only. This protocol has no token
    #[arg(long, value_name = "[ADDRESS:]PORT", help_heading = SERVER)]
    pub(crate) camera_port: Option<ServeAddress>,

    #[command(flatten)]
    access: AccessArgs,

    /// Let clients record cameras into this folder, and list and download its recordings
    #[arg(long, value_name = "DIR", help_heading = SERVER)]
    pub(crate) recordings: Option<PathBuf>,
}

impl ServerArgs {
    /// Returns the addresses to listen at, with their options.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&'static str, ServeAddress)> {
        let addresses = [("--http", Some(self.http)), ("--rtsp", self.rtsp), ("--camera-port", self.camera_port)];
        addresses.into_iter().filter_map(|(option, address)| Some((option, address?)))
    }

    /// Returns the names of this computer.
    pub(crate) fn host_names(&self) -> &[String] {
        &self.access.host_name
    }

    /// Returns the options that name secret files, with their files.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let AccessArgs { token, tls_cert, tls_key, .. } = &self.access;
        let files = [("--token", token), ("--tls-cert", tls_cert), ("--tls-key", tls_key)];
        files.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?)))
    }

    /// Reads the secret files. Refuses addresses that other computers reach without a token.
    pub(crate) fn read(&self) -> anyhow::Result<Access> {
        let access = self.access.read(self.http)?;
        self.rtsp.map_or(Ok(()), |address| check_token(address, access.token.is_some()))?;
        Ok(access)
    }
}

/// Options of a command that can serve beside its own work.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeBesideArgs {
    /// Also serve the cameras to browsers and programs, as `oaktap serve` does; without a value at 127.0.0.1:8080, and then
    /// written after the cameras
    #[arg(long, value_name = "[ADDRESS:]PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:8080")]
    #[arg(help_heading = SERVER)]
    serve: Option<ServeAddress>,

    #[command(flatten)]
    access: AccessArgs,
}

impl ServeBesideArgs {
    /// Returns whether the command serves.
    pub(crate) const fn is_given(&self) -> bool {
        self.serve.is_some()
    }

    /// Opens the socket, if the command serves.
    pub(crate) fn open(&self, style: Style) -> anyhow::Result<Option<CameraServer>> {
        let AccessArgs { token, host_name, tls_cert, .. } = &self.access;
        let needless =
            [("--token", token.is_some()), ("--host-name", !host_name.is_empty()), ("--tls-cert", tls_cert.is_some())];
        match (self.serve, needless.into_iter().find(|(_, is_given)| *is_given)) {
            (None, Some((option, _))) => Err(Usage(format!("`{option}` requires `--serve`")).into()),
            (None, None) => Ok(None),
            (Some(address), _) => {
                let options = ServeOptions { style, ..ServeOptions::default() };
                self.access.read(address)?.open("--serve", options).map(Some)
            }
        }
    }
}

impl AccessArgs {
    /// Reads the files. Refuses an address that other computers reach without a token.
    fn read(&self, address: ServeAddress) -> anyhow::Result<Access> {
        let token = self.token.as_deref().map(Token::read).transpose();
        let token = token.map_err(|error| advised(error.into(), TOKEN_RECIPE))?;
        check_token(address, token.is_some())?;
        let files = self.tls_cert.as_deref().zip(self.tls_key.as_deref());
        let tls = files.map(|(certificate, key)| Tls::read(certificate, key)).transpose().map_err(tls_error)?;
        Ok(Access { token, tls, host_names: self.host_name.clone(), address })
    }
}

/// The rules of [`AccessArgs`], with the content of their files.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    token: Option<Token>,
    tls: Option<Tls>,
    host_names: Vec<String>,
    address: ServeAddress,
}

impl Access {
    /// Returns whether both let the same clients connect.
    pub(crate) fn has_same_token(&self, other: &Self) -> bool {
        self.token == other.token
    }

    /// Reads the certificate again, if there is one.
    pub(crate) fn reload_certificate(&self) -> anyhow::Result<()> {
        self.tls.as_ref().map(Tls::reload).transpose().map_err(tls_error)?;
        Ok(())
    }

    /// Opens the socket. `option`: the one that gave the address. `options`: those that are not about access.
    pub(crate) fn open(&self, option: &str, options: ServeOptions) -> anyhow::Result<CameraServer> {
        let Self { token, tls, host_names, address } = self.clone();
        let http = listener(address.0, 0, option)?;
        let is_encrypted = tls.is_some();
        let advise = Some(present::advice_for as Advise);
        let serve = Serve::new(ServeOptions { token, host_names, tls, advise, ..options });
        let is_exposed = address.is_exposed();
        Ok(CameraServer {
            serve,
            http: Some(http),
            rtsp: None,
            names: Vec::new(),
            is_encrypted,
            is_exposed,
            is_rtsp_exposed: false,
        })
    }
}

const TOKEN_RECIPE: &str = "create a token: (umask 077; head -c 24 /dev/urandom | base64 | tr '+/' '-_' > token.txt)";

/// Checks that an address that other computers can reach has a token.
fn check_token(address: ServeAddress, has_token: bool) -> anyhow::Result<()> {
    if address.is_exposed() && !has_token {
        let error = Usage(format!("other computers can reach {address}: expected --token FILE"));
        return Err(advised(error.into(), TOKEN_RECIPE));
    }
    Ok(())
}

fn tls_error(error: TlsFileError) -> anyhow::Error {
    advised(error.into(), format!("create a certificate and its key: {CERTIFICATE_RECIPE}"))
}

/// A server of cameras.
#[derive(Debug)]
pub(crate) struct CameraServer {
    serve: Serve,
    /// Taken by [`Self::start`].
    http: Option<TcpListener>,
    /// Address of the socket for RTSP.
    rtsp: Option<SocketAddr>,
    /// Names of the cameras in URLs.
    names: Vec<String>,
    is_encrypted: bool,
    is_exposed: bool,
    is_rtsp_exposed: bool,
}

impl CameraServer {
    /// Opens a socket for RTSP. `option`: the one that gave the address, which [`ServerArgs::read`] has checked.
    pub(crate) fn open_rtsp(&mut self, address: ServeAddress, option: &str) -> anyhow::Result<()> {
        let listener = listener(address.0, 0, option)?;
        self.rtsp = Some(listener.local_addr()?);
        self.serve.serve_rtsp(listener);
        self.is_rtsp_exposed = address.is_exposed();
        Ok(())
    }

    /// Subscribes to the cameras, before their sessions start. Also shows `recorders`, which the program makes of them.
    pub(crate) fn connect(&mut self, cameras: &[Camera], recorders: Option<RecordersMonitor>) -> anyhow::Result<()> {
        if let Some(recorders) = recorders {
            self.serve.show_recordings(recorders);
        }
        self.names.extend(cameras.iter().map(|camera| camera.name.clone()));
        Ok(live::connect(cameras, &mut self.serve)?)
    }

    /// Serves a camera that another server has served, after those that were connected before.
    pub(crate) fn keep(&mut self, name: String, camera: KeptCamera) {
        self.names.push(name);
        self.serve.keep(camera);
    }

    /// Starts to record a camera as a client does.
    pub(crate) fn record(&self, name: &str) -> Result<(), RecordError> {
        self.serve.record(name)
    }

    /// Ends all connections. Returns the cameras for another server.
    pub(crate) fn into_cameras(self) -> Vec<KeptCamera> {
        self.serve.into_cameras()
    }

    /// Returns what starts and stops the recording of a camera as clients do.
    pub(crate) fn recording_switch(&self, name: &str) -> Option<Arc<dyn RecordingSwitch>> {
        self.serve.recording_switch(name)
    }

    /// Returns an observer of the recordings that clients start of these cameras.
    pub(crate) fn recordings(&self, cameras: &[Camera]) -> RecordersMonitor {
        self.serve.recordings(cameras)
    }

    /// Finishes the recordings that clients have started. Call it after the sessions were stopped.
    pub(crate) fn end_recordings(&mut self) -> Vec<RecorderOutcome> {
        self.serve.end_recordings()
    }

    /// Begins to accept clients, and says where.
    pub(crate) fn start(&mut self, sessions: &[Session], camera_ports: Vec<TcpListener>) -> anyhow::Result<()> {
        let Some(http) = self.http.take() else { return Ok(()) };
        let address = http.local_addr()?;
        self.serve.start(sessions, http, camera_ports).context("cannot start the server")?;
        let own: Vec<_> = interfaces().unwrap_or_default().into_iter().map(|interface| interface.ip).collect();
        for (session, name) in sessions.iter().zip(&self.names) {
            if let Some(address) = self.rtsp {
                let address = reachable(address, &own)[0];
                present::say(&format!("serving {} at {}", session.name(), rtsp_url(address, name)));
            }
        }
        let cameras = count(sessions.len() as u64, "camera", "cameras");
        let scheme = if self.is_encrypted { "https" } else { "http" };
        let addresses = reachable(address, &own);
        let urls: Vec<_> = addresses.iter().map(|address| format!("{scheme}://{address}/")).collect();
        present::say(&format!("serving {cameras} at {}", urls.join(" and ")));
        let address = addresses[0];
        if let Some(webrtc) = self.serve.webrtc() {
            let port = webrtc.port();
            present::say(&format!("serving WebRTC (WHEP) at {scheme}://{address}/whep/NAME, UDP port {port}"));
        }
        if self.is_exposed && !self.is_encrypted {
            present::say("clients need the token; pictures are not encrypted on the network");
        } else if self.is_rtsp_exposed {
            present::say("RTSP is not encrypted: the network can read its pictures and the token");
        }
        Ok(())
    }

    /// Returns the runtime that answers clients, once it has started.
    pub(crate) fn runtime(&self) -> Option<&tokio::runtime::Handle> {
        self.serve.runtime()
    }

    /// Ends all connections, and prints the counts of their viewers. Call it after the sessions were stopped: frames that
    /// arrive while connections end would count as superseded.
    pub(crate) fn finish(self) -> ServedViewers {
        self.finish_after(Vec::new())
    }

    /// Like [`Self::finish`], with the counts of cameras that were removed before.
    pub(crate) fn finish_after(self, removed: Vec<CameraViewers>) -> ServedViewers {
        let viewers = ServedViewers(removed.into_iter().chain(self.serve.finish()).collect());
        viewers.lines().iter().for_each(|line| present::say(line));
        viewers
    }
}

/// Counts of the viewers of each camera.
#[derive(Debug)]
pub(crate) struct ServedViewers(Vec<CameraViewers>);

/// Counts of viewers for `--json`.
#[derive(Serialize)]
struct ViewersLine<'a> {
    viewers: &'a [CameraViewers],
}

impl ServedViewers {
    /// Prints the counts as a line of JSON with `--json`.
    pub(crate) fn print(&self, ctx: &Ctx) -> anyhow::Result<()> {
        if ctx.json {
            present::result(present::json(&ViewersLine { viewers: &self.0 })?.as_bytes())?;
        }
        Ok(())
    }

    /// Returns a line for each kind of viewer of each camera.
    fn lines(&self) -> Vec<String> {
        let line = |camera: &str, counts: &ViewerCounts| {
            format!(
                "{camera}: {} by {}: {} offered = {} sent + {} superseded + {} pending",
                counts.kind.name(),
                count(counts.viewers_total, "viewer", "viewers"),
                counts.offered,
                counts.sent,
                counts.superseded,
                counts.pending
            )
        };
        let viewers = self.0.iter();
        viewers.flat_map(|camera| camera.viewers.iter().map(move |counts| line(&camera.camera, counts))).collect()
    }
}

/// Most addresses of this host that are printed for one server.
const PRINTED_ADDRESSES_MAX: usize = 4;

/// Returns the addresses at which other computers reach a listener: those of this host instead of `0.0.0.0` and `::`, which no
/// browser opens. `own`: the addresses of the interfaces. Never empty.
fn reachable(address: SocketAddr, own: &[Ipv4Addr]) -> Vec<SocketAddr> {
    if !address.ip().is_unspecified() {
        return vec![address];
    }
    let at = |ip: &Ipv4Addr| SocketAddr::new(IpAddr::V4(*ip), address.port());
    let others = own.iter().filter(|ip| !ip.is_loopback()).take(PRINTED_ADDRESSES_MAX);
    let found: Vec<_> = others.map(at).collect();
    if found.is_empty() { vec![at(&Ipv4Addr::LOCALHOST)] } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_this_host_are_printed_instead_of_any_address() {
        let texts = |address: &str, own: &[Ipv4Addr]| {
            let found = reachable(address.parse().expect("an address"), own);
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let own = [Ipv4Addr::LOCALHOST, [192, 168, 1, 10].into(), [10, 0, 0, 2].into()];
        assert_eq!(texts("0.0.0.0:80", &own), ["192.168.1.10:80", "10.0.0.2:80"]);
        assert_eq!(texts("[::]:80", &own[..2]), ["192.168.1.10:80"]);
        assert_eq!(texts("0.0.0.0:80", &own[..1]), ["127.0.0.1:80"]);
        assert_eq!(texts("10.0.0.2:80", &own), ["10.0.0.2:80"]);
        let many: Vec<Ipv4Addr> = (1..10).map(|n| [10, 0, 0, n].into()).collect();
        assert_eq!(texts("0.0.0.0:80", &many).len(), PRINTED_ADDRESSES_MAX);
    }
}
