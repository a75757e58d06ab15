#!/usr/bin/python3
"""Draws panels of a dashboard as a picture, from the data of a running Prometheus: the same as Grafana would show,
without Grafana. Needs python3-matplotlib.

usage: deploy/grafana/draw.py DASHBOARD.json OUT.png --prometheus URL --rows TITLE,TITLE… [--job ID] [--minutes M] [--end TIME]
"""
import argparse
import json
import math
import pathlib
import time
import urllib.parse
import urllib.request

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from PIL import Image  # noqa: E402

GROUND, PANEL, INK, FAINT = "#181b1f", "#22252b", "#d8d9da", "#8e9097"
COLORS = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#b877d9", "#f2495c", "#8ab8ff", "#ffa6b0", "#96d98d", "#ffee52"]
COLUMN, LINE = 50, 30  # pixels of Grafana's grid
HEAD = 34


def query_range(url, expression, start, end, step):
    words = urllib.parse.urlencode({"query": expression, "start": start, "end": end, "step": step})
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{words}", timeout=30) as reply:
        return json.loads(reply.read())["data"]["result"]


def legend_of(text, labels):
    if text in ("", "__auto"):
        return ""
    for name, value in labels.items():
        text = text.replace("{{%s}}" % name, value)
    return text


def series_of(panel, options):
    """[(legend, times in seconds from the start, values)] of all the panel's queries."""
    found = []
    for target in panel["targets"]:
        expression = target["expr"].replace("$__rate_interval", f"{max(20, 4 * options.step)}s").replace("$job", options.job)
        for one in query_range(options.prometheus, expression, options.start, options.end, options.step):
            points = [(float(at) - options.start, float(value)) for at, value in one["values"]]
            points = [(at, value) for at, value in points if math.isfinite(value)]
            if points:
                found.append((legend_of(target["legendFormat"], one["metric"]), *zip(*points)))
    return found


def human(value, unit):
    if unit == "percentunit":
        return f"{100 * value:.0f}%"
    if unit == "s":
        for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
            if abs(value) >= 2 * size:
                return f"{value / size:.3g} {name}"
        return f"{value:.3g} s" if abs(value) >= 1 or value == 0 else f"{1000 * value:.3g} ms"
    if unit in ("bytes", "Bps"):
        for size, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value:.0f} B"
    if unit == "sci":
        return f"{value:.1e}"
    if abs(value) >= 10000:
        return f"{value / 1000:.0f}k"
    return f"{value:.4g}"


def draw_number(axes, panel, series):
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    value = series[0][2][-1] if series else None
    axes.text(0.5, 0.42, "no data" if value is None else human(value, unit), ha="center", va="center", fontsize=17,
              color=FAINT if value is None else color_of(panel, value), transform=axes.transAxes)
    axes.set_axis_off()


def color_of(panel, value):
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    names = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return {"red": "#f2495c"}.get(names[-1] if names else "", "#73bf69")


def draw_lines(axes, panel, series, options):
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    colors = (COLORS * (1 + len(series) // len(COLORS)))[:len(series)]
    if custom.get("stacking", {}).get("mode") == "normal" and series:
        times = sorted({at for _, ats, _ in series for at in ats})
        layers = [[dict(zip(ats, values)).get(at, 0) for at in times] for _, ats, values in series]
        axes.stackplot(times, layers, colors=colors, labels=[legend for legend, _, _ in series], alpha=0.75, linewidth=0)
    else:
        for (legend, ats, values), color in zip(series, colors):
            axes.plot(ats, values, color=color, linewidth=1.4, label=legend)
        if custom.get("scaleDistribution", {}).get("type") == "log":
            axes.set_yscale("log")
    axes.set_xlim(0, options.end - options.start)
    minutes = (options.end - options.start) / 60
    every = next(step for step in (0.5, 1, 2, 5, 10, 30, 60, 180, 720) if minutes / step <= 6)
    ticks = [60 * every * n for n in range(int(minutes / every) + 1)]
    axes.set_xticks(ticks, [f"{tick / 60:g} min" if tick else "0" for tick in ticks])
    axes.yaxis.set_major_locator(plt.MaxNLocator(4) if axes.get_yscale() == "linear" else axes.yaxis.get_major_locator())
    axes.yaxis.set_major_formatter(lambda value, _: human(value, unit))
    axes.yaxis.set_minor_formatter(lambda value, _: "")
    axes.tick_params(colors=FAINT, labelsize=7, length=0, which="both")
    axes.grid(color="#33363d", linewidth=0.5)
    for spine in axes.spines.values():
        spine.set_visible(False)
    legends = [legend for legend, _, _ in series if legend]
    if legends:
        across = max(1, int(axes.bbox.width / (24 + 6 * max(map(len, legends)))))  # pixels of a handle and of letters
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncol=min(across, len(legends)), fontsize=6.5, frameon=False,
                    labelcolor=INK, handlelength=1, columnspacing=1, handletextpad=0.5, labelspacing=0.25)


def chosen_panels(board, rows):
    """The number and line panels in the rows with these titles, moved up to close gaps; and the height in grid lines."""
    chosen, row, top, shift = [], None, 0, 0
    for panel in board["panels"]:
        place = panel["gridPos"]
        if panel["type"] == "row":
            row = panel["title"]
            if row in rows:
                shift = place["y"] + place["h"] - top
        elif row in rows and panel["type"] not in ("stat", "timeseries"):
            shift += place["h"]  # a table over the whole width
        elif row in rows:
            chosen.append((panel, {**place, "y": place["y"] - shift}))
            top = max(top, place["y"] - shift + place["h"])
    return chosen, top


def draw(board, options):
    panels, lines = chosen_panels(board, options.rows.split(","))
    width, height = 24 * COLUMN, lines * LINE + HEAD
    figure = plt.figure(figsize=(width / 100, height / 100), dpi=100, facecolor=GROUND)
    figure.text(12 / width, 1 - 22 / height, board["title"], color=INK, fontsize=12, weight="bold")
    for panel, place in panels:
        left, top = place["x"] * COLUMN + 4, place["y"] * LINE + HEAD
        wide, high = place["w"] * COLUMN - 8, place["h"] * LINE - 8
        figure.patches.append(plt.Rectangle((left / width, 1 - (top + high) / height), wide / width, high / height, facecolor=PANEL,
                                            transform=figure.transFigure, zorder=-1))
        figure.text((left + 8) / width, 1 - (top + 16) / height, panel["title"], color=INK, fontsize=8.5)
        inner = (44, 22, 14, 44) if panel["type"] == "timeseries" else (0, 18, 0, 0)  # left, top, right, bottom
        axes = figure.add_axes([(left + inner[0]) / width, 1 - (top + high - inner[3]) / height,
                                (wide - inner[0] - inner[2]) / width, (high - inner[1] - inner[3]) / height], facecolor=PANEL)
        series = series_of(panel, options)
        if panel["type"] == "stat":
            draw_number(axes, panel, series)
        else:
            draw_lines(axes, panel, series, options)
    figure.savefig(options.out, facecolor=GROUND)
    Image.open(options.out).convert("RGB").quantize(96).save(options.out, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dashboard", type=pathlib.Path)
    parser.add_argument("out")
    parser.add_argument("--prometheus", required=True, metavar="URL")
    parser.add_argument("--rows", required=True, help="titles of the dashboard's rows, with commas between")
    parser.add_argument("--job", default="")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--end", type=float, default=time.time(), help="seconds since 1970; now")
    options = parser.parse_args()
    options.start = options.end - 60 * options.minutes
    options.step = max(1, round(60 * options.minutes / 240))
    draw(json.loads(options.dashboard.read_text(encoding="utf-8")), options)


if __name__ == "__main__":
    main()
