"""Parses standard input as a program for Python 3.9, the version of the camera, without running it.

Exits with 0 if it is valid, with 1 and the error on standard output if it is not, and with 2 if this Python cannot tell.
"""

import ast
import io
import re
import sys
import tokenize

VERSION = (3, 9)


def fail(line, text):
    print("line %s: %s" % (line, text))
    sys.exit(1)


def later_syntax(tree, lines):
    """Rejects what later versions accept and `feature_version` does not."""

    def first(node):
        """Returns the first character of a node."""
        return lines[node.lineno - 1].encode()[node.col_offset :].decode()[:1]

    def before(node):
        """Returns the character before a node, after white space."""
        row, column = node.lineno - 1, node.col_offset
        text = lines[row].encode()[:column].decode()
        while not text.strip() and row > 0:
            row -= 1
            text = lines[row]
        return text.rstrip()[-1:]

    for node in ast.walk(tree):
        name = type(node).__name__
        if name == "Subscript":
            index = node.slice
            parts = index.elts if isinstance(index, ast.Tuple) else [index]
            if any(isinstance(part, ast.Starred) for part in parts) and first(index) != "(":
                fail(node.lineno, "an index with * requires Python 3.11")
            for part in parts:
                if isinstance(part, ast.NamedExpr) and before(part) != "(":
                    fail(part.lineno, "an assignment expression as an index needs parentheses before Python 3.10")
        elif name == "arg" and isinstance(node.annotation, ast.Starred):
            fail(node.lineno, "an annotation with * requires Python 3.11")
        elif name == "ExceptHandler" and isinstance(node.type, ast.Tuple) and first(node.type) != "(":
            fail(node.lineno, "several exceptions without parentheses require Python 3.14")
        elif name == "TemplateStr":
            fail(node.lineno, "a template string requires Python 3.14")


# Before Python 3.12, an f-string ended at its first quote, like any other string.
LITERAL = re.compile(
    r"#[^\n]*"
    r"|(?P<prefix>\b[A-Za-z]{1,2})?"
    r"(?:(?P<triple>\"\"\"|''')(?P<long>(?:\\.|[^\\])*?)(?P=triple)"
    r"|(?P<quote>[\"'])(?P<short>(?:\\.|(?!(?P=quote))[^\\\n])*)(?P=quote)"
    r"|(?P<unfinished>[\"']))",
    re.DOTALL,
)


def early_f_strings(text):
    """Rejects f-strings that need Python 3.12."""
    for literal in LITERAL.finditer(text):
        if literal.group("unfinished"):
            fail(text.count("\n", 0, literal.start()) + 1, "an f-string with a line break inside requires Python 3.12")
        if "f" not in (literal.group("prefix") or "").lower():
            continue
        body = literal.group("long") if literal.group("triple") else literal.group("short")
        line = text.count("\n", 0, literal.start()) + 1
        at = 0
        while at < len(body):
            if body[at : at + 2] in ("{{", "}}"):
                at += 2
            elif body[at] == "{":
                at = expression(body, at + 1, line)
            else:
                at += 1


def expression(body, at, line):
    """Returns the end of the expression of an f-string that begins at `at`, with its format."""
    depth, quote = 0, None
    while at < len(body):
        c = body[at]
        if c == "\\":
            fail(line, "a backslash in the expression of an f-string requires Python 3.12")
        if quote:
            if body.startswith(quote, at):
                at += len(quote) - 1
                quote = None
        elif c in "\"'":
            quote = c * 3 if body.startswith(c * 3, at) else c
            at += len(quote) - 1
        elif c == "#":
            fail(line, "a comment or # in the expression of an f-string requires Python 3.12")
        elif c in "([{":
            depth += 1
        elif c == "}" and depth == 0:
            return at + 1
        elif c in ")]}":
            depth -= 1
        elif c == ":" and depth == 0:
            return format_of(body, at + 1, line)
        at += 1
    fail(line, "an f-string with the same quotes inside requires Python 3.12")


def format_of(body, at, line):
    """Returns the end of an expression, after its format."""
    while at < len(body):
        if body[at] == "{":
            at = expression(body, at + 1, line)
        elif body[at] == "}":
            return at + 1
        else:
            at += 1
    fail(line, "an f-string with the same quotes inside requires Python 3.12")


def without_comments(source):
    """Removes comments that are not UTF-8: later versions reject them."""
    try:
        source.decode()
    except UnicodeDecodeError:
        if not any(re.match(br"[ \t\f]*#.*?coding[:=]", line) for line in source.split(b"\n")[:2]):
            text = source.decode(errors="surrogateescape")
            text = LITERAL.sub(lambda part: "" if part.group().startswith("#") else part.group(), text)
            return text.encode(errors="surrogateescape")
    return source


def check(source):
    source = without_comments(source)
    tree = ast.parse(source, feature_version=VERSION)
    compile(source, "script", "exec", dont_inherit=True)
    if sys.version_info >= (3, 10):
        encoding = tokenize.detect_encoding(io.BytesIO(source).readline)[0]
        text = io.TextIOWrapper(io.BytesIO(source), encoding).read()
        later_syntax(tree, text.split("\n"))
        early_f_strings(text)


try:
    check(sys.stdin.buffer.read())
except (SyntaxError, ValueError) as error:
    # Older versions do not know all that the camera's does.
    if sys.version_info < VERSION:
        sys.exit(2)
    line = getattr(error, "lineno", None)
    print("line %s: %s" % (line, error.msg) if line else error)
    sys.exit(1)
except Exception:
    sys.exit(2)
