//! Chromium, driven through chromedriver.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Instant;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::external_tools;
use crate::server::{AGES, Response};

/// A browser with one page. Both processes are ended on drop.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts it with a window of this size. `None` without Chromium; panics in CI.
    pub(crate) fn start(width: u32, height: u32) -> Option<Self> {
        Self::start_with(width, height, &[])
    }

    /// Starts it with further arguments.
    pub(crate) fn start_with(width: u32, height: u32, more: &[&str]) -> Option<Self> {
        let mut driver = external_tools::system("chromedriver")?;
        let mut driver =
            driver.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        let port = lines.find_map(|line| {
            let line = line.expect("text");
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let profile = tempfile::tempdir().expect("a folder");
        let mut browser = Self { driver, port: port.expect("a port"), session: String::new(), _profile: profile };
        let folder = format!("--user-data-dir={}", browser._profile.path().display());
        let size = format!("--window-size={width},{height}");
        let arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", &size, &folder];
        let arguments = [&arguments[..], more].concat();
        let options = json!({ "goog:chromeOptions": { "args": arguments } });
        let opened = browser.request("POST", "/session", &json!({ "capabilities": { "alwaysMatch": options } }));
        browser.session = opened["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {opened}")).to_owned();
        Some(browser)
    }

    fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver listens");
        stream.set_read_timeout(Some(AGES)).expect("a time");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).expect("it reads");
        let response = Response::read(&mut BufReader::new(stream));
        let value: Value = serde_json::from_slice(&response.body).expect("JSON");
        assert_eq!(response.status, 200, "{method} {path}: {value}");
        value["value"].clone()
    }

    pub(crate) fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.request(method, &format!("/session/{}{path}", self.session), body)
    }

    pub(crate) fn open(&self, address: &str) {
        self.command("POST", "/url", &json!({ "url": address }));
    }

    /// Runs the body of a function in the page and returns its result.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.command("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Repeats a script until its result is not null or false.
    pub(crate) fn wait_for(&self, script: &str) -> Value {
        let started = Instant::now();
        loop {
            let value = self.run(script);
            if !value.is_null() && value != false {
                return value;
            }
            assert!(started.elapsed() < AGES, "{script}: {}", self.run("return document.body.innerText"));
        }
    }

    fn devtools(&self, cmd: &str, params: &Value) {
        self.command("POST", "/goog/cdp/execute", &json!({ "cmd": cmd, "params": params }));
    }

    /// Runs a script before those of each page that is opened from now on.
    pub(crate) fn before_each_page(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script }));
    }

    /// Presses a key: a character, or one of WebDriver's codes.
    pub(crate) fn press(&self, key: &str) {
        let action = |kind: &str| json!({ "type": kind, "value": key });
        let keys = json!([{ "type": "key", "id": "keys", "actions": [action("keyDown"), action("keyUp")] }]);
        self.command("POST", "/actions", &json!({ "actions": keys }));
    }

    /// Sets the size of the page in its own pixels.
    pub(crate) fn resize(&self, width: u32, height: u32, scale: f64) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Saves files that the page offers in this folder.
    pub(crate) fn download_into(&self, folder: &Path) {
        let folder = folder.to_str().expect("UTF-8");
        self.devtools("Browser.setDownloadBehavior", &json!({ "behavior": "allow", "downloadPath": folder }));
    }

    /// Fails if axe-core finds a serious or critical fault of accessibility in what is shown.
    pub(crate) fn assert_accessible(&self, what: &str) {
        let Some(axe) = external_tools::python_file("axe_playwright_python", "axe.min.js") else { return };
        self.run(&std::fs::read_to_string(axe).expect("text"));
        self.run(
            "window.axeResult = null;
             axe.run(document, { resultTypes: ['violations'] }).then(result => { window.axeResult = result; },
                 error => { window.axeResult = { error: String(error) }; });",
        );
        let found = self.wait_for(
            "return axeResult && { error: axeResult.error ?? null, passes: axeResult.passes?.length ?? 0,
                faults: (axeResult.violations ?? []).filter(one => ['serious', 'critical'].includes(one.impact))
                    .map(one => [one.id, one.help, one.nodes.map(node => [node.html, node.failureSummary])]) }",
        );
        assert!(found["passes"].as_u64().is_some_and(|passes| passes > 10), "{what}: {found}");
        assert_eq!(found["faults"], json!([]), "{what}");
    }

    /// Emulates the preference of the system.
    pub(crate) fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Keeps a picture of the page where `OAKTAP_SCREENSHOTS` says, for people.
    pub(crate) fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("OAKTAP_SCREENSHOTS") else { return };
        let picture = self.command("GET", "/screenshot", &Value::Null);
        let picture = base64::engine::general_purpose::STANDARD.decode(picture.as_str().expect("text"));
        let path = Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(path, picture.expect("base64")).expect("a file");
    }

    /// Fails if the page reported an error.
    pub(crate) fn assert_no_errors(&self) {
        let log = self.command("POST", "/se/log", &json!({ "type": "browser" }));
        let errors: Vec<_> = log.as_array().expect("a list").iter().filter(|line| line["level"] == "SEVERE").collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.command("DELETE", "", &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
