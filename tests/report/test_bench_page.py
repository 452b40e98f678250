"""The page of a bench: whole, self-contained, readable at a desk and on a phone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from headless_browser import Browser, browser, find_browser

from max78k.report import svg
from max78k.report.bench_page import BenchView, Table, _mj, bench_page

PHASES = ("load", "inference", "unload", "post")


def statistics(values):
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return {"min": min(values), "p50": p50, "mean": float(np.mean(values)), "p95": p95,
            "p99": p99, "max": max(values), "std": float(np.std(values))}  # fmt: skip


def view(name="COM5", *, count=3000, labels=True, meter=False, faults=True, warning=""):
    rng = np.random.default_rng(1)
    times = {
        "load": (190 + rng.random(count)).tolist(),
        "inference": (3670 + 9 * rng.random(count)).tolist(),
        "unload": [5.0] * count,
        "post": [2.0] * count,
        "link": (12_000 + 500 * rng.standard_normal(count)).tolist(),
    }
    board = [sum(times[phase][n] for phase in PHASES) for n in range(count)]
    energy = {"kind": "estimate", "frame_mj": 0.1795, "inference_mj": 0.1759,
              "frame_low_mj": 0.13, "frame_high_mj": 0.24}  # fmt: skip
    if meter:
        phase = {"total": {"mean": 0.05, "std": None, "interval": None}, "above_idle": None}
        energy = {
            "kind": "measured", "frame_mj": 0.2, "inference_mj": 0.05,
            "meter": {
                "phases": dict.fromkeys((*PHASES, "frame"), phase),
                "instrument": {"name": "PPK2 <on> usb", "kind": "measured", "resolution_ma": 0.2},
                "sync": "marks", "sync_s": 1e-5, "frames": count, "measured_s": 12.0,
                "idle_mw": 8.0, "remarks": ["wires & pins"],
            },
        }  # fmt: skip
    names = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    return BenchView(
        name=name,
        facts={"network": "fer7 (30b7171d)", "port": name, "inputs": "<b>faces & co</b>"},
        figures={phase: statistics(values) for phase, values in {**times, "board": board}.items()},
        times_us=times,
        board_phases=PHASES,
        board_us=board,
        at_s=[n * 0.0161 for n in range(count)],
        starts={"loading the weights, once": 36482.0, "steady state (median)": 3870.0},
        energy=energy,
        class_names=names,
        confusion=rng.integers(0, 90, (7, 7)).tolist() if labels else None,
        faults={"frames damaged towards the host: CRC": 12, "restarts: power on": 1}
        if faults else {},
        rates={"reached, link included": 60.0, "what the line carries": 84.6},
        warning=warning,
    )  # fmt: skip


class Structure(HTMLParser):
    """Every tag is closed in the right order; what is loaded, what is said."""

    VOID = ("meta", "line", "rect", "polyline", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.count: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.count[tag] += 1
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.count[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_is_whole_and_loads_nothing():
    text = bench_page("Bench of <fer7>", [view()])
    page = Structure(text)
    assert not page.open
    assert not page.count["script"] and not page.count["link"] and not page.count["img"]
    assert not {name for name, _ in page.attributes} & {"src", "href", "srcset", "onclick"}
    assert "url(" not in text and "@import" not in text and "http" not in text
    assert "Bench of <fer7>" in page.texts and "<b>faces & co</b>" in page.texts


def test_every_plot_has_words_for_those_who_do_not_see_it():
    page = Structure(bench_page("Bench", [view()]))
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert page.count["svg"] == len(labels) == 9 and all(labels)
    headings = [text for text in page.texts if text in SECTIONS]
    assert headings == SECTIONS


SECTIONS = [
    "What was measured", "Latency by phase", "Once, and in the steady state",
    "Latency on the board", "Over time", "Energy per inference", "Confusion matrix", "Link",
]  # fmt: skip


def test_boards_stand_side_by_side_on_one_scale():
    slow = view("COM6")
    for phase in PHASES:
        slow.figures[phase]["mean"] *= 2
    page = Structure(bench_page("Bench", [view("COM5"), slow]))
    assert page.texts.count("COM5") > 5 and page.texts.count("COM5") == page.texts.count("COM6")
    text = bench_page("Bench", [view("COM5"), slow])
    bars = re.findall(r'aria-label="mean time by phase of \w+">(.*?)</svg>', text)
    ends = [sum(float(width) for width in re.findall(r'width="([\d.]+)" height="22', bar))
            for bar in bars]  # fmt: skip
    assert ends[1] == pytest.approx(svg.WIDTH, abs=0.5)
    assert ends[0] == pytest.approx(ends[1] / 2, abs=0.5)


def test_what_is_not_there_is_left_out_or_said():
    text = bench_page("Bench", [view(labels=False, faults=False, warning="it ended early")])
    assert "Confusion matrix" not in text and "No faults on the link." in text
    assert '<p class="warning"><b>COM5</b>: it ended early</p>' in text
    nothing = BenchView("sim", {}, {}, {}, PHASES, [], [], {}, None, (), None, {}, {"a": 0.0}, "x")
    assert "Latency" not in bench_page("Bench", [nothing])


def test_a_meter_shows_phases_idle_and_what_limits_it():
    page = Structure(bench_page("Bench", [view(meter=True)]))
    said = "\n".join(page.texts)
    assert "PPK2 <on> usb: measured; phases by marks, within 10 µs; 3,000 inferences" in said
    assert "the idle board takes 8 mW" in said and "wires & pins" in said
    assert "the meter's resolution is 0.2 mA" in said


def test_a_comparison_stands_first():
    table = Table("Comparison", "One is pipelined.", ("mean", "a", "b"), [("x", "1", "2")])
    page = Structure(bench_page("Bench", [view("a"), view("b")], table))
    assert page.texts.index("Comparison") < page.texts.index("What was measured")
    assert "One is pipelined." in page.texts


@pytest.mark.parametrize(
    ("value", "shown"),
    [(12.3456, "12.35 mJ"), (1.0, "1 mJ"), (0.1795, "179.5 µJ"), (0.00005, "50 nJ"),
     (5e-15, "0"), (0.0, "0")],
)  # fmt: skip
def test_energies_have_a_unit_that_suits_them(value, shown):
    assert _mj(value) == shown


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [(0, 10, 5, [0, 2, 4, 6, 8, 10]), (0, 3.1, 3, [0, 2]), (3.8, 4.0, 2, [3.8, 3.9, 4.0]),
     (7, 7, 3, [7])],
)  # fmt: skip
def test_ticks_are_round(low, high, most, expected):
    assert svg.ticks(low, high, most) == pytest.approx(expected)


def test_long_time_lines_keep_their_extremes():
    values = [1.0] * 100_000
    values[77_777] = 9.0
    drawn = svg.time_line([n / 100 for n in range(100_000)], values, str, "x", 0)
    points = re.search(r'points="([^"]*)"', drawn)
    assert points is not None
    heights = [float(point.split(",")[1]) for point in points[1].split()]
    assert len(heights) < 2 * 400 and min(heights) < 30 and max(heights) > 90


def test_equal_values_make_a_histogram_with_one_bar():
    drawn = svg.histogram([5.0] * 9, {"p50": 5.0}, str, (1.0, "µs"), "x")
    assert drawn.count("<rect") == 1 and "5.0000 µs" in drawn


# In a real browser


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if find_browser() is None:
        pytest.skip("no Chromium or Chrome is installed")
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    table = Table(
        "Comparison",
        "note",
        ("mean", "before", "after", "after / before", "95 %"),
        [("inference (accelerator) [us]", "3,674.1", "3,673.9", "0.9999", "0.9 to 1.1")],
    )
    views = [view("/dev/serial/by-id/usb-ARM_DAPLink_CMSIS-DAP_0423000"), view("b", meter=True)]
    path.write_text(bench_page("Bench of fer7", views, table), encoding="utf-8")
    return path


# Texts of a drawing that leave it or run into each other, and the smallest letters on the page.
_TEXTS = """
[...document.querySelectorAll('svg')].flatMap(drawing => {
  const frame = drawing.getBoundingClientRect();
  const texts = [...drawing.querySelectorAll('text')].map(t => [t, t.getBoundingClientRect()]);
  const bad = texts.filter(([t, b]) => b.left < frame.left - 2 || b.right > frame.right + 2
    || b.top < frame.top - 4 || b.bottom > frame.bottom + 4).map(([t]) => 'outside: ' + t.textContent);
  texts.forEach(([t, a], i) => texts.slice(i + 1).forEach(([u, b]) => {
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const tall = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 2 && tall > 4) bad.push('over: ' + t.textContent + ' / ' + u.textContent);
  }));
  return bad;
})
"""  # noqa: E501
_SMALLEST = """
Math.min(...[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height))
"""
_CONTRAST = """
(() => {
  const light = text => { const [r, g, b] = text.match(/[0-9.]+/g).map(Number);
    return 0.299 * r + 0.587 * g + 0.114 * b; };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  return [paper, light(getComputedStyle(document.body).color),
          light(getComputedStyle(document.querySelector('svg text')).fill)];
})()
"""


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_the_screen(tab: Browser, page: Path, width: int):
    tab.open(page, width)
    assert tab.evaluate("innerWidth") == width
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(_TEXTS) == []
    assert tab.evaluate(_SMALLEST) >= 10  # pixels, with ascenders
    columns = tab.evaluate(
        "getComputedStyle(document.querySelectorAll('.columns')[1]).gridTemplateColumns"
    )
    used = [column for column in columns.split() if column != "0px"]
    assert len(used) == (1 if width == 390 else 2)


def test_the_browser_finds_no_fault_and_fetches_nothing(tab: Browser, page: Path):
    tab.events.clear()
    tab.open(page, 390)
    urls = [event["request"]["url"] for event in tab.noted("Network.requestWillBeSent")]
    assert urls == [page.resolve().as_uri()]
    assert tab.noted("Runtime.exceptionThrown") == tab.noted("Log.entryAdded") == []
    assert tab.evaluate("document.compatMode") == "CSS1Compat"


def test_it_follows_the_reader_s_choice_of_light_or_dark(tab: Browser, page: Path):
    tab.open(page, 390)
    paper, ink, drawn = tab.evaluate(_CONTRAST)
    assert paper > 200 and ink < 80 and drawn < 80
    tab.open(page, 390, dark=True)
    paper, ink, drawn = tab.evaluate(_CONTRAST)
    assert paper < 60 and ink > 180 and drawn > 180
