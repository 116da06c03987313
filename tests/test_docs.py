"""The pages and docstrings are true: their code runs, shows what they say, and their links lead somewhere.

How a page is written:

- The ```python blocks of a page are one program, run in order in an empty folder; warnings are errors.
- A block that begins with `>>>` is a session: each answer in it must be the one given.
- A ```text block right below a ```python block is what that block prints, stderr included. Clock times and
  durations may differ; a line `…` stands for any lines.
- In a block below `<!-- numbers differ from machine to machine -->` all numbers may differ: what a model proposes
  hangs on the last bits of sums, which are not the same everywhere.
- Any other ```text block stands right below ```sh: the transcript of a command, not compared here.

When what Tuneful prints has changed, `UPDATE_DOCS=1 make test ARGS=tests/test_docs.py` writes it into the
pages.
"""

import contextlib
import doctest
import importlib
import io
import os
import pkgutil
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

import tuneful

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
MODULES = ["tuneful", *sorted(module.name for module in pkgutil.walk_packages(tuneful.__path__, "tuneful."))]

FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
CLOCK = re.compile(r"\b\d\d:\d\d:\d\d\b")
DURATION = re.compile(r"\b(\d+ h \d+ min|\d+ min \d+ s|\d+(\.\d+)? (ms|s))\b")
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(\.\d+)?(e[-+]?\d+)?")
ROUGH = "<!-- numbers differ from machine to machine -->"
ANY_LINES = "…\n"


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    start: int  # where its text begins in the page
    line: int
    above: str  # the language of the block right above it, if nothing is between them
    rough: bool  # whether its numbers may differ


def blocks(page):
    whole = page.read_text(encoding="utf-8")
    found, end, above = [], 0, ""
    for match in FENCED.finditer(whole):
        between = whole[end : match.start()].strip()
        touches = between in ("", ROUGH)
        line = whole.count("\n", 0, match.start()) + 2
        language = match["language"]
        found.append(
            Block(language, match["text"], match.start("text"), line, above if touches else "", between == ROUGH)
        )
        end, above = match.end(), language
    return found


def named(paths):
    return pytest.mark.parametrize("page", paths, ids=[str(path.relative_to(ROOT)) for path in paths])


@pytest.fixture
def program(monkeypatch, tmp_path):
    """The names of a new program, as if Python had been started in an empty folder."""
    module = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    monkeypatch.chdir(tmp_path)
    yield vars(module)
    vars(module).clear()


@named(PAGES)
def test_the_code_of_a_page_runs_and_prints_what_the_page_shows(page, program):
    printed, wrong = "", []
    for block in blocks(page):
        if block.language == "python":
            printed = run(block, page, program)
        elif block.language == "text" and block.above == "python" and not same(block, printed):
            wrong.append((block, printed))
    if wrong and os.environ.get("UPDATE_DOCS"):
        update(page, wrong)
    elif wrong:
        shown = (f"{page.name}, line {block.line}, is to be\n\n{now}" for block, now in wrong)
        pytest.fail("\n".join(shown), pytrace=False)


@named(PAGES)
def test_every_block_of_a_page_is_of_a_known_kind(page):
    for block in blocks(page):
        assert block.language in ("python", "text", "sh", "json"), f"{page.name}, line {block.line}"
        assert block.language != "text" or block.above in ("python", "sh"), f"{page.name}, line {block.line}"


@named(LINKED)
def test_the_links_of_a_page_lead_somewhere(page):
    prose = FENCED.sub("", page.read_text(encoding="utf-8"))
    for match in LINK.finditer(prose):
        if "://" not in match["target"]:
            path, _, anchor = match["target"].partition("#")
            target = page.parent / path if path else page
            assert target.exists(), match[0]
            assert not anchor or anchor in anchors(target), match[0]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name, tmp_path, monkeypatch):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("tuneful"):
            raise
        pytest.skip(f"{error.name} is not installed")
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(module).failed == 0


def run(block, page, names):
    """What a block prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        if block.text.startswith(">>>"):
            parser = doctest.DocTestParser()
            session = parser.get_doctest(block.text, {}, page.name, str(page), block.line - 1)
            session.globs = names
            runner = doctest.DocTestRunner()
            failed = runner.run(session, out=printed.write, clear_globs=False).failed
            assert not failed, printed.getvalue()
        else:
            # Empty lines above, so that a traceback names the line of the page.
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
    return printed.getvalue()


def same(block, printed):
    """Whether a page may show a block for `printed`."""
    shown, printed = (DURATION.sub("0 s", CLOCK.sub("00:00:00", text)) for text in (block.text, printed))
    if block.rough:
        shown, printed = (NUMBER.sub("0", text) for text in (shown, printed))
    parts = [re.escape(part) for part in re.split(f"^{ANY_LINES}", shown, flags=re.MULTILINE)]
    return re.fullmatch("(?:.*\n)*?".join(parts), printed) is not None


def update(page, wrong):
    """Write what blocks print into the page, below its last line first."""
    whole = page.read_text(encoding="utf-8")
    for block, printed in reversed(wrong):
        assert ANY_LINES not in block.text, f"{page.name}, line {block.line}: update it by hand"
        whole = whole[: block.start] + printed + whole[block.start + len(block.text) :]
    page.write_text(whole, encoding="utf-8")


def anchors(page):
    """The anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
