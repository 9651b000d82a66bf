//! Finds the TCP port on which the program of a Script listens, in its text.

use std::collections::BTreeSet;

/// Calls that listen on the address in their first argument, a tuple of host and port.
const LISTENING_CALLS: [&str; 7] =
    ["bind", "create_server", "TCPServer", "ThreadingTCPServer", "HTTPServer", "ThreadingHTTPServer", "WSGIServer"];

/// The port on which a program listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptPort {
    /// The program has no call that listens.
    None,
    /// All of its calls have this port, as a number or as the name of one.
    Known(u16),
    /// The port is computed, or there are several.
    Unknown,
}

impl ScriptPort {
    /// Searches the text of a program.
    #[must_use]
    pub fn find(program: &str) -> Self {
        let code = without_text(program);
        let mut ports = BTreeSet::new();
        for (at, _) in code.match_indices('(') {
            let callee = code[..at].trim_end();
            let name = callee.rsplit(|c: char| !is_name(c)).next().unwrap_or_default();
            let before = callee[..callee.len() - name.len()].trim_end();
            if !LISTENING_CALLS.contains(&name) || before.ends_with("def") || before.ends_with("class") {
                continue;
            }
            let address = code[at + 1..].trim_start().strip_prefix('(');
            ports.insert(address.and_then(second).and_then(|port| number(&code, port)));
        }
        match (ports.len(), ports.pop_first()) {
            (_, None) => Self::None,
            (1, Some(Some(port))) => Self::Known(port),
            _ => Self::Unknown,
        }
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the second element of a tuple whose opening parenthesis was removed.
fn second(tuple: &str) -> Option<&str> {
    let (mut depth, mut from) = (0, None);
    for (at, c) in tuple.char_indices() {
        match (c, from) {
            ('(' | '[' | '{', _) => depth += 1,
            (')', Some(from)) if depth == 0 => return Some(tuple[from..at].trim().trim_end_matches(',').trim()),
            (')' | ']' | '}', _) => depth -= 1,
            (',', None) if depth == 0 => from = Some(at + 1),
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    None
}

/// Returns the value of a number, or of a name to which the program assigns one number.
fn number(code: &str, value: &str) -> Option<u16> {
    let literal = |text: &str| text.replace('_', "").parse::<u16>().ok().filter(|port| *port > 0);
    if value.starts_with(|c: char| c.is_ascii_digit()) {
        return literal(value);
    }
    let name = value.strip_prefix("self.").unwrap_or(value);
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let mut found = BTreeSet::new();
    for statement in code.split(['\n', ';']) {
        let Some((target, assigned)) = statement.split_once('=') else { continue };
        let target = target.split(':').next().unwrap_or_default().trim();
        if target == value && !assigned.starts_with('=') {
            found.insert(literal(assigned.trim()));
        }
    }
    if found.len() == 1 { found.pop_first()? } else { None }
}

/// Replaces comments and the content of string literals by spaces.
fn without_text(program: &str) -> String {
    let mut code = String::with_capacity(program.len());
    let mut rest = program;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' => {
                let quote = &rest[..1];
                let triple = quote.repeat(3);
                let mark = if rest.starts_with(&triple) { triple.as_str() } else { quote };
                mark.len() + literal_len(&rest[mark.len()..], mark)
            }
            _ => 0,
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// Returns the length of a string literal after its opening mark, with the closing one.
fn literal_len(text: &str, mark: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' if mark.len() == 1 => return at,
            _ if text[at..].starts_with(mark) => return at + mark.len(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_in_the_usual_ways_to_listen() {
        use ScriptPort::{Known, None, Unknown};
        for (program, expected) in [
            ("server.bind(('0.0.0.0', 5000))", Known(5000)),
            ("server.bind((\"\", 5_005))", Known(5005)),
            ("s.bind ( ( socket.gethostbyname(h), 80, ) )", Known(80)),
            ("PORT = 5001\ns.bind(('', PORT))", Known(5001)),
            ("PORT: int = 5001  # of the host\ns.bind(('', PORT))", Known(5001)),
            ("self.port = 8080\nself.s.bind((self.host, self.port))", Known(8080)),
            ("with socketserver.TCPServer((HOST, 9000), H) as s: pass", Known(9000)),
            ("s = socket.create_server(('', 6000))", Known(6000)),
            ("# s.bind(('', 1))\n'''s.bind(('', 2))'''\nx = \"s.bind(('', 3))\"\ns.bind(('', 4))", Known(4)),
            ("a.bind(('', 7))\nb.bind(('', 7))", Known(7)),
            ("a.bind(('', 7))\nb.bind(('', 8))", Unknown),
            ("s.bind(('', 5000 + n))", Unknown),
            ("s.bind(('', PORT))", Unknown),
            ("PORT = 1\nif x:\n  PORT = 2\ns.bind(('', PORT))", Unknown),
            ("s.bind(('', 0))", Unknown),
            ("s.bind(('', 70000))", Unknown),
            ("s.bind((", Unknown),
            ("s.connect(('10.0.0.1', 5000))", None),
            ("s.bind(address)", Unknown),
            ("class HTTPServer(Base): pass", None),
            ("def bind(a, b): pass", None),
            ("", None),
            ("x = 'unterminated\ns.bind(('', 5))", Known(5)),
        ] {
            assert_eq!(ScriptPort::find(program), expected, "{program}");
        }
    }

    #[test]
    fn the_port_of_our_own_program_is_in_its_contract() {
        assert_eq!(ScriptPort::find(crate::device::script::PROGRAM), ScriptPort::Unknown);
    }
}
