//! The systemd unit of `oaktap serve`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

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
    /// Address of `--http`.
    pub(crate) http: std::net::SocketAddr,
    pub(crate) host_names: Vec<String>,
    /// Secret files by option. systemd reads them as root and lends them to the service.
    pub(crate) secrets: Vec<(&'static str, PathBuf)>,
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
        option("--http", &self.http.to_string());
        self.host_names.iter().for_each(|name| option("--host-name", name));
        let mut command: Vec<_> = command.iter().map(|word| quoted(word)).collect();
        let mut credentials = String::new();
        for (option, path) in &self.secrets {
            let name = option.trim_start_matches('-');
            // %d: the folder of the credentials.
            command.push(format!("{option} %d/{name}"));
            // Writing to a `String` cannot fail.
            let _ = writeln!(credentials, "LoadCredential={name}:{}", path_text(path)?.replace('%', "%%"));
        }
        // Homes and /tmp are hidden from the service, and `cargo install` writes the program to a home.
        let bound = |path: &Path| Ok::<_, String>(quoted(&path_text(path)?.replace('\\', "\\\\").replace(':', "\\:")));
        let (folder, program) = (bound(self.config.parent().unwrap_or(Path::new("/")))?, bound(&self.program)?);
        let privilege = if self.http.port() < UNPRIVILEGED_PORT_MIN { "CAP_NET_BIND_SERVICE" } else { "" };
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
             {credentials}\
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
            http: ([127, 0, 0, 1], port).into(),
            host_names: vec!["wall.lan".into()],
            secrets: vec![("--token", "/etc/oak tap/100%".into())],
        }
    }

    #[test]
    fn words_of_the_command_are_quoted() {
        let text = unit(8080).text().expect("plain paths");
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).expect(start).to_owned();
        assert_eq!(
            line("ExecStart="),
            "ExecStart=/usr/bin/oaktap serve --config \"/etc/oak tap/oaktap.toml\" --http 127.0.0.1:8080 \
             --host-name wall.lan --token %d/token"
        );
        assert_eq!(line("LoadCredential="), "LoadCredential=token:/etc/oak tap/100%%");
        assert_eq!(line("BindReadOnlyPaths="), "BindReadOnlyPaths=\"/etc/oak tap\" /usr/bin/oaktap");
        assert_eq!(quoted("a$b%c\"d\\e"), "\"a$$b%%c\\\"d\\\\e\"");
        let broken = Unit { config: "/etc/a\nExecStart=evil".into(), ..unit(8080) };
        assert!(broken.text().is_err(), "a line feed would begin another setting");
    }

    #[test]
    fn only_low_ports_get_a_privilege() {
        let low = unit(443).text().expect("plain paths");
        assert!(low.contains("\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n") && !low.contains("PrivateUsers"), "{low}");
        let high = unit(8080).text().expect("plain paths");
        assert!(high.contains("\nCapabilityBoundingSet=\n") && high.contains("\nPrivateUsers=yes\n"), "{high}");
    }
}
