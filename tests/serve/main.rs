//! `oaktap serve`: HTTP, the page in a browser, RTSP, and the camera's own protocol.

#[cfg(unix)]
mod beside;
#[cfg(unix)]
mod browser;
#[cfg(unix)]
mod camera_port;
#[cfg(unix)]
mod chromium;
#[cfg(unix)]
mod controls;
#[cfg(unix)]
mod hostile;
#[cfg(unix)]
mod http;
#[cfg(unix)]
mod limits;
#[cfg(unix)]
mod page_video;
#[cfg(unix)]
mod peers;
#[cfg(unix)]
mod recordings;
#[cfg(target_os = "linux")]
mod reload;
#[cfg(unix)]
mod replay;
#[cfg(unix)]
mod rtsp;
#[cfg(unix)]
mod rtsp_limits;
#[cfg(unix)]
mod server;
#[cfg(target_os = "linux")]
mod service;
#[cfg(unix)]
mod signing;
#[cfg(unix)]
mod streams;
#[cfg(unix)]
mod tls;
#[cfg(unix)]
mod viewers;
#[cfg(unix)]
mod whep;

#[path = "../support/controlled_camera.rs"]
#[cfg(unix)]
mod controlled_camera;
#[path = "../support/external_tools.rs"]
#[cfg(unix)]
mod external_tools;
#[path = "../support/luxonis_page.rs"]
#[cfg(unix)]
mod luxonis_page;
#[path = "../support/program.rs"]
#[cfg(unix)]
mod program;
#[path = "../support/recordings.rs"]
#[cfg(unix)]
mod recorded;
#[path = "../support/video.rs"]
#[cfg(unix)]
mod video;
