"""Holds commands.def, `sidewinder --help`, each command's --help, docs/cli/NAME.md and the manual pages together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
PAGES = ROOT / "docs" / "cli"


def command_table() -> dict[str, str]:
    """Name and one-sentence summary of each command, from commands.def."""
    text = (ROOT / "src" / "cli" / "commands.def").read_text()
    return dict(re.findall(r'^COMMAND\((\w+), "([^"]+)"\)', text, flags=re.MULTILINE))


def help_text(sidewinder: Path, *arguments: str) -> str:
    done = subprocess.run([sidewinder, *arguments, "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def help_options(text: str) -> set[str]:
    """The options that a help text explains: those that begin a line, perhaps behind a short form."""
    found = set()
    for line in text.splitlines():
        match = re.match(r"\s+(?:-\w,? +)?(--[a-z][a-z0-9-]*)", line)
        if match:
            found.add(match.group(1))
    return found


def page_options(text: str) -> set[str]:
    """The options that a page explains: those that begin a list item, table row or heading, each in `code`."""
    found = set()
    for line in text.splitlines():
        match = re.match(r"(?:[-*] |\| *|#+ )((?:`[^`]+`[, /]*)+)", line)
        if match:
            found.update(OPTION.findall(match.group(1)))
    return found


def command_names() -> list[str]:
    table = ROOT / "src" / "cli" / "commands.def"
    return sorted(command_table()) if table.is_file() else []


def test_table_has_commands() -> None:
    assert command_table(), "src/cli/commands.def names no command"


def test_help_lists_the_table(sidewinder: Path) -> None:
    text = help_text(sidewinder)
    for name, summary in command_table().items():
        assert re.search(rf"^\s+{name}\s+{re.escape(summary)}\s*$", text, flags=re.MULTILINE), f"--help lacks: {name}"


def test_every_page_has_its_command() -> None:
    assert sorted(path.stem for path in PAGES.glob("*.md")) == sorted(command_table())


@pytest.mark.parametrize("name", command_names())
def test_source_file_exists(name: str) -> None:
    assert (ROOT / "src" / "cli" / f"cmd_{name}.c").is_file()


@pytest.mark.parametrize("name", command_names())
def test_page_title_is_the_table_row(name: str) -> None:
    first = (PAGES / f"{name}.md").read_text().splitlines()[0]
    assert first == f"# sidewinder {name} - {command_table()[name]}"


@pytest.mark.parametrize("name", command_names())
def test_page_explains_the_options_of_help(name: str, sidewinder: Path) -> None:
    explained = help_options(help_text(sidewinder, name)) - {"--help"}
    assert explained, "the help explains no option"
    assert page_options((PAGES / f"{name}.md").read_text()) - {"--help"} == explained


@pytest.mark.parametrize("name", command_names())
def test_manual_page(name: str, tmp_path: Path) -> None:
    output = tmp_path / f"sidewinder-{name}.1"
    subprocess.run([sys.executable, ROOT / "tools" / "md2man", PAGES / f"{name}.md", output, "0"], check=True)
    text = output.read_text().replace("\\-", "-")
    assert f'.TH "SIDEWINDER-{name.upper()}" 1' in text
    assert command_table()[name] in text
    for option in page_options((PAGES / f"{name}.md").read_text()):
        assert option in text
