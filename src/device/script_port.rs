//! Finds the TCP port on which the program of a Script listens, in its text.

use std::collections::BTreeSet;

/// Calls that listen on an address, a tuple of host and port: their first argument, `address` or `server_address`.
const ON_ADDRESS: [&str; 10] = [
    "bind",
    "create_server",
    "TCPServer",
    "ThreadingTCPServer",
    "ForkingTCPServer",
    "HTTPServer",
    "ThreadingHTTPServer",
    "WSGIServer",
    "SimpleXMLRPCServer",
    "BaseServer",
];
/// Calls that take the port as an argument, or as `port`, and the position of the argument.
const ON_PORT: [(&str, usize); 3] = [("start_server", 2), ("create_server", 2), ("make_server", 1)];

/// A program with more calls that listen is not searched: each takes a search of the whole text.
const CALLS_MAX: usize = 64;

/// The port on which a program listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptPort {
    /// The program has no call that listens on a TCP port.
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
        let servers = servers(&code);
        let (mut ports, mut calls) = (BTreeSet::new(), 0);
        for (at, _) in code.match_indices('(') {
            let (before, name) = last_name(&code[..at]);
            let is_definition = before.ends_with("def") || before.ends_with("class");
            let listens = ON_ADDRESS.contains(&name) || servers.contains(name);
            let takes_port = ON_PORT.iter().find(|(call, _)| *call == name);
            if is_definition || !(listens || takes_port.is_some()) {
                continue;
            }
            calls += 1;
            if calls > CALLS_MAX {
                return Self::Unknown;
            }
            if name == "bind" && is_udp(&code, before) {
                continue;
            }
            let call = elements(&code[at + 1..]).map(|arguments| Call { code: &code, arguments });
            ports.insert(call.and_then(|call| call.port(listens, takes_port.map(|(_, index)| *index))));
        }
        match (ports.len(), ports.pop_first()) {
            (_, None) => Self::None,
            (1, Some(Some(port))) => Self::Known(port),
            _ => Self::Unknown,
        }
    }
}

/// A call that listens.
struct Call<'a> {
    code: &'a str,
    arguments: Vec<&'a str>,
}

impl<'a> Call<'a> {
    /// Returns the port: that of its address, or else of its argument at `index`.
    fn port(&self, listens: bool, index: Option<usize>) -> Option<u16> {
        let address = self.keyword("address").or_else(|| self.keyword("server_address"));
        let address = address.or_else(|| self.positional(0)).filter(|_| listens);
        let address = address.and_then(|address| tuple(self.code, address));
        if let Some(address) = address {
            return number(self.code, address.get(1)?);
        }
        number(self.code, self.keyword("port").or_else(|| self.positional(index?))?)
    }

    fn keyword(&self, name: &str) -> Option<&'a str> {
        self.arguments
            .iter()
            .find_map(|argument| keyword(argument).filter(|(key, _)| *key == name))
            .map(|(_, value)| value)
    }

    fn positional(&self, index: usize) -> Option<&'a str> {
        self.arguments.iter().filter(|argument| keyword(argument).is_none()).nth(index).copied()
    }
}

/// Splits `name=value`.
fn keyword(argument: &str) -> Option<(&str, &str)> {
    let (key, value) = argument.split_once('=')?;
    let key = key.trim();
    (!key.is_empty() && key.chars().all(is_name) && !value.starts_with('=')).then(|| (key, value.trim()))
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the name at the end of the code, and what stands before it.
fn last_name(code: &str) -> (&str, &str) {
    let code = code.trim_end();
    let name = code.rsplit(|c| !is_name(c)).next().unwrap_or_default();
    (code[..code.len() - name.len()].trim_end(), name)
}

/// Returns the names of the program's classes that are derived from a server.
fn servers(code: &str) -> BTreeSet<&str> {
    let derived = |line: &&str| line.split(|c| !is_name(c)).skip(1).any(|base| ON_ADDRESS[1..].contains(&base));
    let classes = code.split("class ").skip(1).filter_map(|rest| rest.split(':').next());
    classes.filter(derived).filter_map(|line| line.split(|c| !is_name(c)).next()).collect()
}

/// Returns whether the object before a call of `bind` is a UDP socket.
fn is_udp(code: &str, before: &str) -> bool {
    let name =
        before.strip_suffix('.').map_or("", |object| object.rsplit(|c| !is_name(c) && c != '.').next().unwrap_or(""));
    let made = |line: &&str| {
        let target = line.split('=').next().unwrap_or_default().split(':').next().unwrap_or_default().trim();
        target == name || line.trim_end().trim_end_matches(':').trim_end().ends_with(&format!(" as {name}"))
    };
    let mut made = code.lines().filter(|line| line.contains("socket(")).filter(made).peekable();
    !name.is_empty() && made.peek().is_some() && made.all(|line| line.contains("SOCK_DGRAM"))
}

/// Returns the elements of a tuple, or of the tuple that is assigned to a name.
fn tuple<'a>(code: &'a str, value: &'a str) -> Option<Vec<&'a str>> {
    let literal = |text: &'a str| text.strip_prefix('(').and_then(elements).filter(|elements| elements.len() > 1);
    if value.starts_with('(') {
        return literal(value);
    }
    let mut assigned = assigned(code, value)?.into_iter();
    literal(assigned.next()?).filter(|_| assigned.next().is_none())
}

/// Returns the elements between parentheses, of which the first one was removed.
fn elements(code: &str) -> Option<Vec<&str>> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, c) in code.char_indices() {
        match c {
            ')' if depth == 0 => {
                let last = code[from..at].trim();
                found.extend((!last.is_empty()).then_some(last));
                return Some(found);
            }
            ',' if depth == 0 => {
                found.push(code[from..at].trim());
                from = at + 1;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth > 0 => depth -= 1,
            ']' | '}' => return None,
            _ => {}
        }
    }
    None
}

/// Returns the value of a number, or of a name to which the program assigns one number.
fn number(code: &str, value: &str) -> Option<u16> {
    let literal = |text: &str| {
        let digits = text.trim().replace('_', "");
        let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
        let number = hexadecimal.map_or_else(|| digits.parse(), |digits| u16::from_str_radix(digits, 16));
        number.ok().filter(|port| *port > 0)
    };
    if value.starts_with(|c: char| c.is_ascii_digit()) {
        return literal(value);
    }
    let mut found: BTreeSet<_> = assigned(code, value)?.into_iter().map(literal).collect();
    if found.len() == 1 { found.pop_first()? } else { None }
}

/// Returns what the program assigns to a name. `None` if its value may come from elsewhere, too.
fn assigned<'a>(code: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let bare = name.strip_prefix("self.").unwrap_or(name);
    if bare.is_empty() || !bare.chars().all(is_name) {
        return None;
    }
    let has_name = |text: &str| text.split(|c| !is_name(c)).any(|word| word == bare);
    let mut found = Vec::new();
    for (at, statement) in statements(code) {
        let statement = statement.trim();
        let of_loop = statement.strip_prefix("for ").and_then(|rest| rest.split(" in ").next());
        let parameters = statement.strip_prefix("def ").or_else(|| statement.strip_prefix("async def "));
        if bare == name && of_loop.or(parameters).is_some_and(has_name) {
            return None;
        }
        let Some((target, value)) = statement.split_once('=') else { continue };
        if value.starts_with('=') {
            continue;
        }
        let target = target.trim_end();
        let operator = target.trim_end_matches(['+', '-', '*', '/', '%', '|', '&', '^', '<', '>', '@']);
        if operator.len() < target.len() && operator.trim_end() == name {
            return None;
        }
        let targets: Vec<_> =
            target.split(',').map(|target| target.split(':').next().unwrap_or_default().trim()).collect();
        let Some(index) = targets.iter().position(|target| *target == name) else { continue };
        // A tuple continues on the next lines.
        let value = &code[at..][code[at..].find('=')? + 1..];
        let value = value.trim_start_matches([' ', '\t']);
        let line = value.split(['\n', ';']).next().unwrap_or_default();
        match targets.len() {
            1 if value.starts_with('(') => found.push(value),
            1 => found.push(line.trim()),
            several => {
                let values: Vec<_> = line.split(',').collect();
                found.push(values.get(index).filter(|_| values.len() == several)?.trim());
            }
        }
    }
    Some(found)
}

/// Returns the statements with their offsets. A statement of several lines is returned in parts.
fn statements(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    code.split(['\n', ';']).map(move |statement| {
        let start = at;
        at += statement.len() + 1;
        (start, statement)
    })
}

/// Replaces comments by spaces, and string literals by empty ones.
fn without_text(program: &str) -> String {
    let mut code = String::with_capacity(program.len());
    let mut rest = program;
    while let Some(c) = rest.chars().next() {
        let (skipped, with) = match c {
            '#' => (rest.find('\n').unwrap_or(rest.len()), " "),
            '"' | '\'' => {
                let quote = &rest[..1];
                let triple = quote.repeat(3);
                let mark = if rest.starts_with(&triple) { triple.as_str() } else { quote };
                (mark.len() + literal_len(&rest[mark.len()..], mark), "''")
            }
            _ => (0, ""),
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.push_str(with);
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
            ("ADDRESS = ('', 5005)\ns.bind(ADDRESS)", Known(5005)),
            ("ADDRESS = (\n  '',\n  5005,\n)\ns.bind(ADDRESS)", Known(5005)),
            ("ADDRESS = ('', 5005)\nADDRESS = ('', 5006)\ns.bind(ADDRESS)", Unknown),
            ("server_address = ('', 8000)\nhttpd = HTTPServer(server_address, Handler)", Known(8000)),
            ("HOST, PORT = '0.0.0.0', 5001\ns.bind((HOST, PORT))", Known(5001)),
            ("HOST, PORT = settings()\ns.bind((HOST, PORT))", Unknown),
            ("PORT = 5001\nPORT += 1\ns.bind(('', PORT))", Unknown),
            ("PORT = 5001\nfor PORT in range(9):\n  s.bind(('', PORT))", Unknown),
            ("port = 5001\ndef serve(port):\n  s.bind(('', port))", Unknown),
            ("def serve(port=5001):\n  s.bind(('', port))", Unknown),
            ("PORT = 5000 if fast else 6000\ns.bind(('', PORT))", Unknown),
            ("PORT = 0x1389\ns.bind(('', PORT))", Known(5001)),
            ("s = socket.create_server(address=('', 6000), backlog=1)", Known(6000)),
            ("TCPServer(RequestHandlerClass=H, server_address=('', 9000))", Known(9000)),
            ("s.bind(('::', 5005, 0, 0))", Known(5005)),
            ("await asyncio.start_server(handle, '0.0.0.0', 5005)", Known(5005)),
            ("asyncio.start_server(handle, port=5005)", Known(5005)),
            ("asyncio.start_server(handle, sock=s)", Unknown),
            ("await loop.create_server(Protocol, '', 5005)", Known(5005)),
            ("with make_server('', 8000, app) as httpd: pass", Known(8000)),
            ("class S(socketserver.ThreadingMixIn, socketserver.TCPServer):\n  pass\nS(('', 5005), H)", Known(5005)),
            ("u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nu.bind(('', 5005))", None),
            ("with socket.socket(AF_INET, SOCK_DGRAM) as u:\n  u.bind(('', 5005))", None),
            ("u = socket.socket(type=SOCK_DGRAM)\nu.bind(('', 7))\ns = socket.socket()\ns.bind(('', 8))", Known(8)),
            ("s = socket.socket(type=SOCK_DGRAM)\ns = socket.socket()\ns.bind(('', 8))", Known(8)),
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
