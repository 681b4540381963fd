"""tools/md2man: each form of its Markdown, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

TITLE = "# sidewinder run - Analyse a stream live\n"


def body(tool: Any, text: str) -> str:
    page: str = tool.Converter(TITLE + text).convert("1.2.3")
    return page.split("\n", 3)[3].rstrip("\n")


def test_title(tool: Any) -> None:
    page = tool.Converter(TITLE).convert("1.2.3")
    assert page == (
        '.TH "SIDEWINDER-RUN" 1 "" "Sidewinder 1.2.3" "User Commands"\n.SH NAME\n'
        "sidewinder\\-run \\- Analyse a stream live\n"
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("## Options", ".SH OPTIONS"),
        ("### Time", ".SS Time"),
        ("one\ntwo\n\nthree", ".PP\none two\n.PP\nthree"),
        ("`--for` and **now** and *then*", ".PP\n\\fB\\-\\-for\\fR and \\fBnow\\fR and \\fIthen\\fR"),
        ("[a page](run.md), [site](https://x.y)", ".PP\na page, site (https://x.y)"),
        ("- one\n  more\n- two", ".IP \\(bu 3\none more\n.IP \\(bu 3\ntwo"),
        ("1. one\n2. two", ".IP 1. 3\none\n.IP 2. 3\ntwo"),
        ("```sh\na -b\n.c\n```", ".PP\n.RS 4\n.nf\na \\-b\n\\&.c\n.fi\n.RE"),
        ("    code\n\n    more\n\ntext", ".PP\n.RS 4\n.nf\ncode\n\nmore\n.fi\n.RE\n.PP\ntext"),
        ("| a | b |\n|---|---|\n| `x` | y \\| z |", ".TP\n\\fBx\\fR\ny | z"),
        (".dot and \\back", ".PP\n\\&.dot and \\eback"),
        ("'quote", ".PP\n\\&'quote"),
    ],
)
def test_form(tool: Any, text: str, wanted: str) -> None:
    assert body(tool, text) == wanted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("# other\n", "line 1"),
        (TITLE + "\n#### deep", "line 3"),
        (TITLE + "<b>html</b>", "line 2"),
        (TITLE + "```\nopen", "not closed"),
    ],
)
def test_refused(tool: Any, text: str, reason: str) -> None:
    with pytest.raises(tool.PageError, match=reason):
        tool.Converter(text).convert("0")
