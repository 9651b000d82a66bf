//! Checks the programs of a package that was built by another tool, before it is flashed: their syntax, by the rules of the
//! camera's Python, and the port on which they listen.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use oaktap::device::script_port::ScriptPort;
use oaktap::flash::inspect::{PackageReport, ScriptReport};
use oaktap::wire;

use super::present;

/// Parses standard input as a program for Python 3.9, the camera's version, without running it. Prints the error and exits
/// with 1, or exits with 2 if this Python cannot check it.
const PARSE: &str = include_str!("parse_script.py");
/// Larger programs are not parsed. The Script of oaktap has 20 KB.
const PROGRAM_MAX_BYTES: usize = 1 << 20;

/// The result of parsing a program.
#[derive(Debug, PartialEq, Eq)]
enum Syntax {
    Valid,
    /// The error and its line.
    Invalid(String),
    /// The reason for not knowing.
    Unchecked(String),
}

/// Checks the syntax of every program of the package. Returns the first error.
pub(super) fn syntax_error(report: &PackageReport) -> Option<String> {
    scripts(report).find_map(|ScriptReport { script, program, .. }| match syntax(program.as_deref()?) {
        Syntax::Valid => None,
        Syntax::Invalid(error) => {
            Some(format!("the program of Script {} is not valid Python 3.9: {error}", script.node))
        }
        Syntax::Unchecked(why) => {
            present::say(&format!("the program of Script {} was not checked for syntax errors: {why}", script.node));
            None
        }
    })
}

/// Returns the port on which the only program of the package that listens does so. Says so if it cannot be determined.
pub(super) fn port(report: &PackageReport) -> Option<u16> {
    let programs = scripts(report).filter_map(|ScriptReport { text, .. }| text.as_deref());
    let found: Vec<_> = programs.map(ScriptPort::find).filter(|port| *port != ScriptPort::None).collect();
    match found.as_slice() {
        [] if scripts(report).any(|script| script.text.is_some()) => {
            present::say(&format!(
                "no Script of the package listens on a TCP port; waiting on port {} (--stream-port changes it, --no-wait does not \
                 wait)",
                wire::PORT
            ));
            None
        }
        [] => None,
        [ScriptPort::Known(port)] => Some(*port),
        _ => {
            present::say(&format!(
                "the port on which the Script listens is not a single number; waiting on port {} (--stream-port changes it)",
                wire::PORT
            ));
            None
        }
    }
}

fn scripts(report: &PackageReport) -> impl Iterator<Item = &ScriptReport> {
    report.application.iter().flat_map(|application| &application.scripts)
}

fn syntax(program: &[u8]) -> Syntax {
    if program.len() > PROGRAM_MAX_BYTES {
        return Syntax::Unchecked(format!("it has {} bytes, more than {PROGRAM_MAX_BYTES}", program.len()));
    }
    let python = if cfg!(windows) { "python" } else { "python3" };
    match parse(python, program) {
        Ok((Some(0), _)) => Syntax::Valid,
        Ok((Some(1), error)) if !error.trim().is_empty() => Syntax::Invalid(error.trim().to_owned()),
        Ok((code, _)) => Syntax::Unchecked(format!("`{python}` ended with {code:?}; Python 3.9 or later can check it")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Syntax::Unchecked(format!("`{python}` is not installed"))
        }
        Err(error) => Syntax::Unchecked(format!("`{python}` cannot be started: {error}")),
    }
}

/// Returns the exit code and the output of Python.
fn parse(python: &str, program: &[u8]) -> io::Result<(Option<i32>, String)> {
    let mut child = Command::new(python)
        // Isolated from the user's site packages and PYTHON* variables.
        .args(["-I", "-W", "ignore", "-c", PARSE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // Python that ended early reports that with its exit code. Dropping the pipe ends the input.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(program));
    let output = child.wait_with_output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_parsed_by_the_rules_of_python_3_9() {
        if Command::new("python3").arg("--version").output().is_err() {
            eprintln!("skipped: python3 not found");
            return;
        }
        for program in [
            "",
            "x = 1\n",
            "if (n := 5) > 3:\n    print(f'{n=}')\n",
            "x: dict[str, int] = {}\n",
            // New in Python 3.9.
            "@buttons[0].clicked\ndef f(): pass\n",
            "with (open('a') as f, open('b') as g):\n    pass\n",
            "x[(y := 1)]\nz = {y := 2}\nf(y := 3)\n",
            "f'{a[\"b\"]} {{}} {x!r:>{width}} \\n'\n",
            "f\"\"\"{a[\"b\"]:{\"c\"}}\"\"\"\n",
            "rf'\\d{x}'\n'{\\n}'\n# f'{\\n}'\n",
            "\u{feff}x = 1\n",
            "# -*- coding: utf-8 -*-\nx = 'caf\u{e9}'\n",
        ] {
            assert_eq!(syntax(program.as_bytes()), Syntax::Valid, "{program}");
        }
        assert_eq!(syntax(b"# -*- coding: latin-1 -*-\nx = 'caf\xe9'\n"), Syntax::Valid);
        for (program, error) in [
            ("x = (\n", "line 1: "),
            ("a = 1\nmatch a:\n    case 1:\n        pass\n", "line "),
            ("try:\n    pass\nexcept* ValueError:\n    pass\n", "line "),
            ("return 1\n", "line 1: "),
            ("print 'a'\n", "line 1: "),
            ("if x:\npass\n", "line 2: "),
            ("if x:\n\tpass\n        pass\n", "line 3: "),
            ("type Number = int\n", "line 1: "),
            ("def f[T](x: T): pass\n", "line 1: "),
            ("class A[T]: pass\n", "line 1: "),
            ("x = 1\nx[y := 1]\n", "line 2: "),
            ("x[*a]\n", "line 1: "),
            ("def f(*a: *T): pass\n", "line 1: "),
            ("x = 1\nf'{'a'}'\n", "line 2: "),
            ("f'{a['b']}'\n", "line 1: "),
            ("f\"{'\\n'.join(a)}\"\n", "line 1: "),
            ("f'{\n1}'\n", "line 1: "),
            ("f\"\"\"{1 # one\n}\"\"\"\n", "line "),
            ("x = 'a\n", "line 1: "),
            ("# coding: klingon\nx = 1\n", ""),
            ("x = 1\0\n", ""),
        ] {
            match syntax(program.as_bytes()) {
                Syntax::Invalid(found) => assert!(found.starts_with(error), "{program}: {found}"),
                other => panic!("{program}: {other:?}"),
            }
        }
        // Latin-1 without a declaration.
        assert_eq!(syntax(b"x = 1 # caf\xe9\n"), Syntax::Valid);
        assert!(matches!(syntax(b"x = 'caf\xe9'\n"), Syntax::Invalid(_)));
        assert!(matches!(syntax(&vec![b'#'; PROGRAM_MAX_BYTES + 1]), Syntax::Unchecked(_)));
        assert!(parse("no-such-python", b"").is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
    }
}
