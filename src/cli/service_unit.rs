//! The systemd unit of `oaktap serve`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

/// First line of each unit that oaktap writes. A file without it belongs to somebody else.
pub(crate) const MARK: &str = "# Written by `oaktap service install`; `oaktap service remove` removes it.";

/// Ports below this one need a privilege.
const UNPRIVILEGED_PORT_MIN: u16 = 1024;

/// A unit: the program with its arguments, and the files that it reads.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) program: PathBuf,
    /// `oaktap.toml`. The service sees the folder that it is in.
    pub(crate) config: PathBuf,
    /// Addresses to listen at, by option.
    pub(crate) addresses: Vec<(&'static str, SocketAddr)>,
    pub(crate) host_names: Vec<String>,
    /// Secret files by option. systemd reads them as root and lends them to the service.
    pub(crate) secrets: Vec<(&'static str, PathBuf)>,
    /// Folder of `--recordings`.
    pub(crate) recordings: Option<StateFolder>,
}

/// Parent of the folders that systemd creates for a service.
const STATE: &str = "/var/lib";

/// A folder below [`STATE`], which systemd creates for the user of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateFolder {
    /// The path below [`STATE`].
    name: PathBuf,
}

impl StateFolder {
    /// Returns `None` for a folder elsewhere. systemd keeps `private` for itself.
    pub(crate) fn new(path: &Path) -> Option<Self> {
        let name = path.strip_prefix(STATE).ok()?;
        let is_plain = name.components().all(|component| matches!(component, Component::Normal(_)));
        let is_usable = is_plain && !name.as_os_str().is_empty() && !name.starts_with("private");
        is_usable.then(|| Self { name: name.components().collect() })
    }
}

/// Keeps the service away from everything that it does not need. `systemd-analyze security` explains each line.
const HARDENING: &str = "\
DynamicUser=yes
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=tmpfs
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
PrivateDevices=yes
PrivateTmp=yes
RemoveIPC=yes
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
";

impl Unit {
    /// Returns the text of the file, or the reason why a path cannot be written there.
    pub(crate) fn text(&self) -> Result<String, String> {
        let words = [path_text(&self.program)?, "serve", "--config", path_text(&self.config)?];
        let mut command: Vec<_> = words.into_iter().map(str::to_owned).collect();
        let mut option = |name: &str, value: &str| command.extend([name.to_owned(), value.to_owned()]);
        self.addresses.iter().for_each(|(name, address)| option(name, &address.to_string()));
        self.host_names.iter().for_each(|name| option("--host-name", name));
        let mut state = String::new();
        // Homes and /tmp are hidden from the service, and `cargo install` writes the program to a home.
        let bound = |path: &Path| Ok::<_, String>(quoted(&path_text(path)?.replace('\\', "\\\\").replace(':', "\\:")));
        if let Some(StateFolder { name }) = &self.recordings {
            option("--recordings", path_text(&Path::new(STATE).join(name))?);
            state = format!("StateDirectory={}\n", bound(name)?);
        }
        let mut command: Vec<_> = command.iter().map(|word| quoted(word)).collect();
        let mut credentials = String::new();
        for (option, path) in &self.secrets {
            let name = option.trim_start_matches('-');
            // %d: the folder of the credentials.
            command.push(format!("{option} %d/{name}"));
            // Writing to a `String` cannot fail.
            let _ = writeln!(credentials, "LoadCredential={name}:{}", path_text(path)?.replace('%', "%%"));
        }
        let (folder, program) = (bound(self.config.parent().unwrap_or(Path::new("/")))?, bound(&self.program)?);
        let has_low_port = self.addresses.iter().any(|(_, address)| address.port() < UNPRIVILEGED_PORT_MIN);
        let privilege = if has_low_port { "CAP_NET_BIND_SERVICE" } else { "" };
        // A user namespace would take the privilege away.
        let users = if privilege.is_empty() { "PrivateUsers=yes\n" } else { "" };
        let command = command.join(" ");
        Ok(format!(
            "{MARK}\n\
             [Unit]\n\
             Description=oaktap, which serves OAK cameras\n\
             Wants=network-online.target\n\
             After=network-online.target\n\
             # Tries for as long as it takes.\n\
             StartLimitIntervalSec=0\n\n\
             [Service]\n\
             Type=notify\n\
             ExecStart={command}\n\
             ExecReload=/bin/kill -HUP $MAINPID\n\
             # Frames were lost.\n\
             SuccessExitStatus=3\n\
             Restart=always\n\
             RestartSec=5\n\
             WatchdogSec=30\n\
             TimeoutStopSec=20\n\
             {credentials}{state}\
             BindReadOnlyPaths={folder} {program}\n\
             CapabilityBoundingSet={privilege}\n\
             AmbientCapabilities={privilege}\n\
             {users}{HARDENING}\n\
             [Install]\n\
             WantedBy=multi-user.target\n"
        ))
    }
}

fn path_text(path: &Path) -> Result<&str, String> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    text.ok_or_else(|| format!("{}: expected a path in UTF-8 without control characters", path.display()))
}

/// Quotes a word of a command: specifiers, variables, quotes and spaces lose their meaning.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@+[]".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(port: u16) -> Unit {
        Unit {
            program: "/usr/bin/oaktap".into(),
            config: "/etc/oak tap/oaktap.toml".into(),
            addresses: vec![("--http", ([127, 0, 0, 1], 8080).into()), ("--rtsp", ([127, 0, 0, 1], port).into())],
            host_names: vec!["wall.lan".into()],
            secrets: vec![("--token", "/etc/oak tap/100%".into())],
            recordings: StateFolder::new(Path::new("/var/lib/oak tap/recordings")),
        }
    }

    #[test]
    fn words_of_the_command_are_quoted() {
        let text = unit(8554).text().expect("plain paths");
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).expect(start).to_owned();
        assert_eq!(
            line("ExecStart="),
            "ExecStart=/usr/bin/oaktap serve --config \"/etc/oak tap/oaktap.toml\" --http 127.0.0.1:8080 \
             --rtsp 127.0.0.1:8554 --host-name wall.lan --recordings \"/var/lib/oak tap/recordings\" --token %d/token"
        );
        assert_eq!(line("LoadCredential="), "LoadCredential=token:/etc/oak tap/100%%");
        assert_eq!(line("StateDirectory="), "StateDirectory=\"oak tap/recordings\"");
        assert_eq!(line("BindReadOnlyPaths="), "BindReadOnlyPaths=\"/etc/oak tap\" /usr/bin/oaktap");
        assert_eq!(quoted("a$b%c\"d\\e"), "\"a$$b%%c\\\"d\\\\e\"");
        let broken = Unit { config: "/etc/a\nExecStart=evil".into(), ..unit(8554) };
        assert!(broken.text().is_err(), "a line feed would begin another setting");
    }

    #[test]
    fn only_low_ports_get_a_privilege() {
        let low = unit(554).text().expect("plain paths");
        assert!(low.contains("\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n") && !low.contains("PrivateUsers"), "{low}");
        let high = unit(8554).text().expect("plain paths");
        assert!(high.contains("\nCapabilityBoundingSet=\n") && high.contains("\nPrivateUsers=yes\n"), "{high}");
    }

    #[test]
    fn the_service_writes_below_var_lib_only() {
        for path in ["/var/lib/oaktap", "/var/lib/oaktap/recordings/"] {
            assert!(StateFolder::new(Path::new(path)).is_some(), "{path}");
        }
        for path in
            ["/var/lib", "/var/lib/", "/var/lib/../log", "/var/lib/a/..", "/var/lib/private/a", "/data", "a", ""]
        {
            assert_eq!(StateFolder::new(Path::new(path)), None, "{path}");
        }
    }
}
