"""The commands in the documentation run, in order, and print what stands there.

Blocks fenced as ``console`` are run: a line ``$ COMMAND`` by bash, in an empty folder, against a
throw-away state; the lines under it must appear in what it prints, in that order. In such a line
``…`` stands for anything, numbers and dates for any others. A line ``label  value`` gives the
value's name: where the documentation uses that value in a later command or line, the real one is
meant (an ID Scope, a verification code). A command under which ``failed`` or ``error`` stands must
end with 1, unless it lists attempts; any other with 0. ``make`` targets are looked up, not run.
Blocks fenced as ``python`` are run after them; those with a file name behind it are put into that
file before; blocks of another language are not run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.commandline import CommandLine

from mooring.runtime.loopback import lend_loopback_address

REPOSITORY = Path(__file__).parents[2]
PAGES = ("docs/guide.md", "README.md")

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^```python (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LABELLED = re.compile(r"^ *(\S.*?)  +(\S+)$")


@dataclass
class Step:
    """A command of the page and the lines that stand under it."""

    command: str
    shown: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """Return what the shown lines say of the end."""
        refused = any(line.startswith(("failed", "error")) for line in self.shown)
        return int(refused and " attempts" not in self.command)


def _steps(page: str) -> Iterator[Step]:
    for block in _BLOCK.findall((REPOSITORY / page).read_text(encoding="utf-8")):
        step = None
        for line in block.splitlines():
            if line.startswith("$ "):
                if step:
                    yield step
                step = Step(line[2:])
            else:
                assert step, f"{page}: output before a command: {line}"
                step.shown.append(line)
        if step:
            yield step


class Page:
    """Runs the steps of one page and remembers which real value stands for which shown one."""

    def __init__(self, here: CommandLine) -> None:
        """Run in the folder and state of `here`."""
        self._here = here
        self._folder = here.folder
        self._files: dict[str, str] = {}
        self.values: dict[str, str] = {}

    def run(self, step: Step) -> None:
        """Run one step and hold its output against the page."""
        if step.command.startswith("make "):
            target = step.command.split()[1]
            assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
            return
        command = self._real(step.command.partition("  #")[0])
        for name, content in self._files.items():
            (self._folder / name).write_text(content)
        # One shell a step; only the folder goes on to the next.
        result = subprocess.run(
            ["bash", "-c", f"{command}\ncode=$?; pwd > {self._here.state}.folder; exit $code"],
            cwd=self._folder,
            env=self._here.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self._folder = Path(Path(f"{self._here.state}.folder").read_text().strip())
        said = result.stdout + result.stderr
        assert result.returncode == step.exit_code, f"$ {command}\n{said}"
        lines = iter(said.splitlines())
        for shown in step.shown:
            if shown in ("…", ""):
                continue
            assert any(self._matches(shown, line) for line in lines), (
                f"$ {command}\nnever printed, or not in this order: {shown}\nprinted:\n{said}"
            )

    def write(self, name: str, content: str) -> None:
        """Have a file of the page lie in every folder that its commands run in."""
        self._files[name] = content

    def run_python(self, program: str) -> None:
        """Run a Python block in the same folder, with the server CA where it is read from."""
        shutil.copy(self._here.state / "cloud" / "server-ca.pem", self._folder)
        result = subprocess.run(
            [sys.executable, "-c", self._real(program)],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout == f"{self._here.address}\n"

    def _matches(self, shown: str, line: str) -> bool:
        labelled, printed = _LABELLED.match(shown), _LABELLED.match(line)
        if labelled and printed and labelled[1] == printed[1] and "…" not in shown:
            known = self.values.setdefault(labelled[2], printed[2])
            return known == printed[2] or labelled[2] == printed[2]
        return re.fullmatch(self._pattern(shown), line.rstrip()) is not None

    def _pattern(self, shown: str) -> str:
        """Return what a printed line must look like."""
        pattern = re.escape(self._real(shown.rstrip())).replace("…", ".*")
        # Times and counts differ; so do the columns that their width moves.
        pattern = re.sub(r"\d+(?=\\ ms)", r"\\d+", pattern)
        return re.sub(r"(\\ )+", r" +", pattern)

    def _real(self, text: str) -> str:
        for shown, real in self.values.items():
            text = re.sub(rf"(?<![\w.]){re.escape(shown)}(?![\w.])", lambda _, r=real: r, text)
        return text


@pytest.fixture
def here(tmp_path: Path) -> Iterator[CommandLine]:
    """Return an empty folder and state; `mooring up` takes an address of its own."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with lend_loopback_address() as address:
        variables = {"MOORING_CLOUD_BIND": address, "MOORING_GATEWAY_HOST": address}
        line = CommandLine(tmp_path / "mooring", folder, address, variables)
        yield line
        line.run("down")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_console_blocks_of_the_page_run_and_print_what_stands_there(
    page: str, here: CommandLine
) -> None:
    steps = list(_steps(page))
    assert len(steps) >= 5
    told = Page(here)
    for name, program in _FILE.findall((REPOSITORY / page).read_text(encoding="utf-8")):
        told.write(name, program)
    for step in steps:
        told.run(step)
    for program in _PYTHON.findall((REPOSITORY / page).read_text(encoding="utf-8")):
        told.run_python(program)


def test_codes_in_the_table_of_the_guide_exist() -> None:
    guide = (REPOSITORY / PAGES[0]).read_text()
    rows = re.findall(r"^\| [\w.]+ \| `([a-z-]+)` \|", guide, re.MULTILINE)
    assert len(rows) > 10
    source = "\n".join(path.read_text() for path in (REPOSITORY / "src").rglob("*.py"))
    for code in rows:
        # A few codes are made of a prefix and the enum's own name.
        stem = code.removeprefix("connack-")
        assert f'"{stem}"' in source or stem.replace("-", "_").upper() in source, code


@pytest.mark.parametrize(
    "page", [*PAGES, *(f"docs/{p.name}" for p in Path(REPOSITORY, "docs").glob("*.md"))]
)
def test_links_of_the_page_lead_somewhere(page: str) -> None:
    path = REPOSITORY / page
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{page}: {target}"
    anchors = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in anchors, f"{page}: #{anchor}"
