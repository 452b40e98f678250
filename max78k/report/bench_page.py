"""A bench as one page: no script, nothing from elsewhere, for a desk and for a phone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from max78k.report import svg
from max78k.report.tables import seconds, time_unit

PHASE_NAMES = {
    "window": "CSI window on the board",
    "load": "input load",
    "inference": "inference (accelerator)",
    "unload": "unload",
    "post": "post-processing",
    "other": "other work of the board",
    "link": "link",
    "board": "board, together",
}
_SHOWN = ("p50", "p95", "p99", "mean", "max", "std")


@dataclass(frozen=True, eq=False)
class BenchView:
    """What the page shows of one board or run.

    Attributes:
        name: above its column.
        facts: name and text.
        figures: phase -> statistic -> microseconds.
        times_us: microseconds of each inference by phase; empty without inferences.
        board_phases: names of the phases that add up on the board.
        board_us: their sum for each inference.
        at_s: when each was there, in seconds.
        starts: microseconds of what happens once, and of the steady state.
        energy: ``kind``, ``frame_mj``, ``inference_mj``, bounds, and with a meter ``meter``, an
            EnergyReport's fields; None without inferences.
        class_names, confusion: counts [true class][answer]; None without labels.
        faults: of the link, by name.
        rates: frames per second, by name.
        warning: what is wrong with the run as a whole, or nothing.
    """

    name: str
    facts: Mapping[str, str]
    figures: Mapping[str, Mapping[str, float]]
    times_us: Mapping[str, Sequence[float]]
    board_phases: Sequence[str]
    board_us: Sequence[float]
    at_s: Sequence[float]
    starts: Mapping[str, float]
    energy: Mapping[str, Any] | None
    class_names: Sequence[str]
    confusion: Sequence[Sequence[int]] | None
    faults: Mapping[str, int]
    rates: Mapping[str, float]
    warning: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a heading; the first column of the rows is text, the others are numbers."""

    title: str
    note: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


def bench_page(title: str, views: Sequence[BenchView], table: Table | None = None) -> str:
    """The page's text: a column for each view, the same scale in all of them."""
    measured = [view for view in views if view.board_us]
    parts = [f"<h1>{escape(title)}</h1>"]
    parts += [f'<p class="warning"><b>{escape(view.name)}</b>: {escape(view.warning)}</p>'
              for view in views if view.warning]  # fmt: skip
    if table is not None:
        parts.append(_section(table.title, [_table(table.headers, table.rows)], table.note))
    parts.append(_section("What was measured", [_facts(view) for view in views]))
    if measured:
        parts += _latency(measured)
        parts.append(_energy(measured))
    judged = [view for view in views if view.confusion is not None]
    if judged:
        parts.append(_section("Confusion matrix", [
            _figure(view, svg.matrix(view.confusion or (), view.class_names,
                                     f"confusion matrix of {view.name}"))
            for view in judged
        ], "A row for each true class; counts of answers."))  # fmt: skip
    parts.append(_section("Link", [_link(view, views) for view in views]))
    return _PAGE.format(title=escape(title), style=_STYLE, body="\n".join(parts))


def _latency(views: Sequence[BenchView]) -> list[str]:
    longest = max(sum(_means(view).values()) for view in views)
    starts = max((value for view in views for value in view.starts.values()), default=0.0)
    return [
        _section("Latency by phase", [
            _figure(view, svg.stacked(_means(view), _us, f"mean time by phase of {view.name}",
                                      longest), _phase_table(view))
            for view in views
        ], "Means on the board, by its own timer; the link is the host's wall time."),
        _section("Once, and in the steady state", [
            _figure(view, svg.bars(view.starts, _us, f"start and steady state of {view.name}",
                                   starts))
            for view in views if view.starts
        ], "Time on the board."),
        _section("Latency on the board", [
            _figure(view, svg.histogram(
                view.board_us,
                {name: view.figures["board"][name] for name in ("p50", "p95", "p99")},
                _us, _scale(max(view.board_us)), f"histogram of the latency of {view.name}"))
            for view in views
        ]),
        _section("Over time", [
            _figure(view, svg.time_line(view.at_s, view.board_us, _us, "on the board", 0),
                    svg.time_line(view.at_s, view.times_us["link"], _us, "link", 1))
            for view in views
        ]),
    ]  # fmt: skip


def _means(view: BenchView) -> dict[str, float]:
    return {PHASE_NAMES[phase]: view.figures[phase]["mean"]
            for phase in view.board_phases if phase in view.figures}  # fmt: skip


def _phase_table(view: BenchView) -> str:
    rows = [[PHASE_NAMES[phase], *(_us(values[name]) for name in _SHOWN)]
            for phase, values in view.figures.items()]  # fmt: skip
    return _table(("phase", *_SHOWN), rows)


def _energy(views: Sequence[BenchView]) -> str:
    figures = []
    shown = [view for view in views if view.energy is not None]
    longest = max((_most_mj(view.energy or {}) for view in shown), default=0.0)
    for view in shown:
        energy = dict(view.energy or {})
        meter = energy.get("meter")
        if meter is None:
            said = "<p>No meter: an estimate from published figures, between two bounds.</p>"
            if energy["kind"] != "estimate":
                said = f"<p>{escape(str(energy['kind']))}</p>"
            drawn = svg.bars(_estimate(energy), _mj, f"energy of {view.name}", longest)
            figures.append(_figure(view, drawn, said))
        else:
            figures.append(_figure(view, *_metered(view.name, meter, longest)))
    return _section("Energy per inference", figures)


def _most_mj(energy: Mapping[str, Any]) -> float:
    """The longest bar that belongs to it."""
    if "meter" in energy:
        return float(energy["frame_mj"])
    return float(energy.get("frame_high_mj", energy["frame_mj"]))


def _estimate(energy: Mapping[str, Any]) -> dict[str, float]:
    names = {
        "frame_mj": "all phases on the board",
        "inference_mj": "of it the accelerator's run",
        "frame_low_mj": "lower bound, all phases",
        "frame_high_mj": "upper bound, all phases",
    }
    return {text: float(energy[name]) for name, text in names.items() if name in energy}


def _metered(name: str, meter: Mapping[str, Any], longest: float) -> list[str]:
    """Phases in one bar where they could be told apart, figures, what limits them."""
    phases = meter["phases"]
    means = {PHASE_NAMES[phase]: float(phases[phase]["total"]["mean"])
             for phase in PHASE_NAMES if phase in phases}  # fmt: skip
    whole = means or {"from one answer to the next": float(phases["frame"]["total"]["mean"])}
    rows = []
    for phase, energy in phases.items():
        total, above = energy["total"], energy["above_idle"]
        cells = (total["mean"], total["std"], total["interval"], above and above["mean"])
        rows.append([PHASE_NAMES.get(phase, "together"), *map(_figure_mj, cells)])
    instrument = meter["instrument"]
    said = [
        f"{instrument['name']}: {instrument['kind']}; phases by {meter['sync']}, within "
        f"{seconds(meter['sync_s'])}; {meter['frames']:,} inferences in {meter['measured_s']:.3g} s"
    ]
    if meter["idle_mw"] is not None:
        said.append(f"the idle board takes {meter['idle_mw']:.4g} mW")
    if instrument["resolution_ma"] is not None:
        said.append(f"the meter's resolution is {instrument['resolution_ma']:g} mA")
    notes = "".join(f"<p>{escape(text)}</p>" for text in (*said, *meter["remarks"]))
    headers = ("energy", "mean", "std", "± 95 %", "above idle")
    return [svg.stacked(whole, _mj, f"energy by phase of {name}", longest),
            _table(headers, rows), notes]  # fmt: skip


def _figure_mj(value: float | None) -> str:
    return "" if value is None else _mj(value)


def _link(view: BenchView, views: Sequence[BenchView]) -> str:
    longest = max((rate for one in views for rate in one.rates.values()), default=0.0)
    drawn = svg.bars(view.rates, _per_s, f"inferences per second of {view.name}", longest)
    if not view.faults:
        return _figure(view, drawn, "<p>No faults on the link.</p>")
    rows = [[name, f"{count:,}"] for name, count in view.faults.items()]
    faults = svg.bars(view.faults, lambda count: f"{count:,.0f}", f"link faults of {view.name}")
    return _figure(view, drawn, faults, _table(("fault", "count"), rows))


def _facts(view: BenchView) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>"
                   for name, text in view.facts.items())  # fmt: skip
    return _figure(view, f'<table class="facts">{rows}</table>')


def _figure(view: BenchView, *contents: str) -> str:
    return f"<figure><figcaption>{escape(view.name)}</figcaption>{''.join(contents)}</figure>"


def _section(title: str, contents: Sequence[str], note: str = "") -> str:
    said = f"<p>{escape(note)}</p>" if note else ""
    inside = "".join(contents)
    return f'<section><h2>{escape(title)}</h2>{said}<div class="columns">{inside}</div></section>'


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in headers)
    body = ""
    for name, *cells in rows:
        body += f"<tr><th>{escape(name)}</th>"
        body += "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _us(value: float) -> str:
    return seconds(value / 1e6)


def _scale(value_us: float) -> tuple[float, str]:
    """Unit of an axis up to ``value_us``: its microseconds, and its name."""
    unit, name = time_unit(value_us / 1e6)
    return 1e6 * unit, name


def _mj(value: float) -> str:
    """In mJ, µJ or nJ; less than a hundredth of the last is nothing that was measured."""
    for unit, name in ((1.0, "mJ"), (1e-3, "µJ"), (1e-6, "nJ")):
        if abs(value) >= 0.99995 * unit:
            return f"{value / unit:.4g} {name}"
    return f"{value / 1e-6:.2g} nJ" if abs(value) >= 1e-8 else "0"


def _per_s(value: float) -> str:
    return f"{value:,.1f} per s"


_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #22303c; --faint: #dde3e8;
  --soft: #5b6770; --warn: #fff1dc;
  --c0: #1f6fb4; --c1: #f0a03c; --c2: #2f9e63; --c3: #c8403a; --c4: #8e6bbf; --c5: #7cc4e8; }
@media (prefers-color-scheme: dark) { :root { --paper: #14191e; --ink: #dfe6ec; --faint: #35404a;
  --soft: #9fb0bd; --warn: #40331c;
  --c0: #58a6e8; --c1: #f3b465; --c2: #5cc48d; --c3: #ec7770; --c4: #b79be0; --c5: #a5dcf5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 16px; max-width: 1200px; background: var(--paper);
  color: var(--ink); font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; border-top: 1px solid var(--faint);
  padding-top: .8rem; }
p { margin: .3rem 0 .6rem; color: var(--soft); }
.warning { background: var(--warn); color: var(--ink); padding: .6rem .8rem; }
.columns { display: grid; gap: 24px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { font-weight: 600; margin-bottom: .5rem; overflow-wrap: anywhere; }
svg { display: block; width: 100%; max-width: 560px; height: auto; margin-bottom: .8rem;
  overflow: visible; }
svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink); }
svg text.small { font-size: 10px; }
svg text.strong { font-weight: 600; }
svg .axis { stroke: var(--soft); } svg .grid { stroke: var(--faint); }
svg .mark { stroke: var(--ink); } svg .dashes { stroke: var(--ink); stroke-dasharray: 4 3; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 10px 3px 0; text-align: right; border-bottom: 1px solid var(--faint); }
td { white-space: nowrap; }
th:first-child { text-align: left; font-weight: 500; }
.facts td { text-align: left; overflow-wrap: anywhere; white-space: normal; }
.facts th { color: var(--soft); vertical-align: top; white-space: nowrap; }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
