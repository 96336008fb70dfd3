"""The pictures: drawn from the results that are kept, readable on light and dark, and shown somewhere."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from benchmarks import plots
from benchmarks.report import RESULTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.peers.rows import Row

ROOT = plots.IMAGES.parents[1]
PAGES = {
    page: page.read_text(encoding="utf-8") for page in (ROOT / "README.md", ROOT / "benchmarks/README.md")
}
PRESENT = [name for name, plot in plots.PLOTS.items() if (RESULTS / plot.source).exists()]
NUMBERS = ("delay_p50", "delay_p99", "delay_max", "cpu_us_per_job_seen", "died", "left")
PAPER = ("#ffffff", "#0d1117")
"""The backgrounds of GitHub's light and dark pages."""

on_each_picture = pytest.mark.parametrize("name", PRESENT)


def text_of(name: str) -> str:
    """A picture as it is kept."""
    return (plots.IMAGES / f"{name}.svg").read_text(encoding="utf-8")


def luminance(colour: str) -> float:
    """The relative luminance of a colour, as WCAG 2.2 defines it."""
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels)
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, from 1 to 21, as WCAG 2.2 defines it."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@on_each_picture
def test_a_picture_is_drawn_from_the_results_that_are_kept(name: str) -> None:
    """If this fails, `make plots` was forgotten: results or the drawing have changed."""
    assert plots.PLOTS[name].signature in text_of(name)


def test_no_picture_is_left_without_results() -> None:
    """A picture that cannot be drawn again must not be shown."""
    assert {name for name in plots.PLOTS if (plots.IMAGES / f"{name}.svg").exists()} == set(PRESENT)


@on_each_picture
def test_a_picture_can_be_read_on_light_and_dark(name: str) -> None:
    """No background, and every colour stands out from white and from black paper."""
    colours = set(re.findall(r"#[0-9a-f]{6}\b", text_of(name)))
    assert {plots.GREY, plots.GREEN} <= colours
    for colour in colours:
        assert min(contrast(colour, paper) for paper in PAPER) > 3.9, colour


@on_each_picture
def test_the_text_of_a_picture_is_text(name: str) -> None:
    """It can be searched and read aloud; and units are on it."""
    root = ET.fromstring(text_of(name))  # noqa: S314
    words = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert root.get("aria-label") == plots.PLOTS[name].about
    assert len(words) > 5
    assert any(re.search(r"\b(s|ms|µs|min|calls/s)$", word) for word in words)


@on_each_picture
def test_a_picture_has_no_date(name: str) -> None:
    """Drawing it again gives the same bytes."""
    assert "<dc:date>" not in text_of(name)
    assert "Matplotlib" not in text_of(name)


@on_each_picture
def test_a_picture_is_shown(name: str) -> None:
    """A page links it."""
    assert any(f"docs/images/{name}.svg)" in text for text in PAGES.values())


def test_links_to_pictures_lead_somewhere() -> None:
    """No page shows a hole."""
    links = [(page, link) for page, text in PAGES.items() for link in re.findall(r"\(([^()]+\.svg)\)", text)]
    assert links
    assert [link for page, link in links if not (page.parent / link).exists()] == []


def test_results_that_changed_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture's digest is one of what it shows."""
    plot = plots.PLOTS["throttle"]
    monkeypatch.setattr(plots, "RESULTS", tmp_path)
    signatures = []
    for calls, date in ((1, "today"), (2, "today"), (2, "tomorrow")):
        kept = {"date": date, "details": {"timeline": {"answered": [calls]}}}
        (tmp_path / plot.source).write_text(json.dumps(kept))
        signatures.append(plot.signature)
    assert signatures[0] != signatures[1] == signatures[2]


def test_without_results_there_is_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and the others are drawn."""
    monkeypatch.setattr(plots, "RESULTS", tmp_path)
    monkeypatch.setattr(plots, "IMAGES", tmp_path)
    drawn: Callable[[plots.Plot], str] = lambda plot: plot.source  # noqa: E731
    monkeypatch.setattr(plots, "drawn", drawn)
    (tmp_path / "peers.json").write_text("{}")
    assert plots.main() == 0
    assert {path.name for path in tmp_path.iterdir()} == {"peers.json", "peers.svg"}
    assert "scale: results/scale.json is not there\n" in capsys.readouterr().err


def test_who_raced() -> None:
    """Rows at the pace of five seconds that have a delay, without the harness itself."""

    def row(contestant: str, scenario: str = "1000", pace: str = "5s", **numbers: float | None) -> Row:
        about = {"contestant": contestant, "scenario": scenario, "pace": pace, "date": "today"}
        return about | dict.fromkeys(NUMBERS, 1.0) | numbers

    rows = [
        row("redun"),
        row("redun", "1000-limited", died=7),
        row("awaitbatch"),
        row("plain-1", delay_p50=None),
        row("plain-100", pace="defaults"),
        row("aio-aws", "5000"),
        row("idle"),
        {"contestant": "miniwdl-aws", "scenario": "1000", "pace": "5s", "error": "it cannot be had"},
    ]
    ones = dict.fromkeys(NUMBERS, 1.0)
    assert plots.contestants({"rows": rows}) == [
        ("awaitbatch", {"1000": ones}),
        ("redun", {"1000": ones, "1000-limited": ones | {"died": 7}}),
    ]


def test_the_cost_by_size_is_in_order() -> None:
    """However the results list it."""
    rows = [{"jobs": 5, "cpu_us_per_job_seen": 3.0, "calls": 1}, {"jobs": 2, "cpu_us_per_job_seen": 9.0}]
    assert plots.sizes({"details": {"sizes": rows}}) == [(2, 9.0), (5, 3.0)]
