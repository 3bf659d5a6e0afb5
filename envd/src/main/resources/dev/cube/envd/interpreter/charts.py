"""Describes matplotlib figures as data, in the shape of the chart types of E2B's clients.

What a figure shows is read off its artists: matplotlib keeps no record of the call that made them.
"""

import datetime
import math
import re

import matplotlib.dates
from matplotlib.collections import PathCollection
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle, Wedge
from matplotlib.text import Text

UNIT = re.compile(r"\s\((.*?)\)|\[(.*?)\]")
DIGITS = 8  # kept behind the point: matplotlib computes box corners and angles, which leaves noise


def describe(figure):
    """A figure as a chart, several axes as a chart of charts; {} for a figure that shows nothing."""
    axes = figure.get_axes()
    if not any(ax.has_data() for ax in axes):
        return {}
    if len(axes) == 1:
        return describe_axes(axes[0])
    title = figure._suptitle.get_text() if figure._suptitle is not None else ""
    return {"type": "superchart", "title": title, "elements": [describe_axes(ax) for ax in axes]}


def describe_axes(ax):
    kind = kind_of(ax)
    chart = {"type": kind, "title": ax.get_title() or None}
    if kind in DESCRIBERS:
        DESCRIBERS[kind](ax, chart)
    else:
        chart["elements"] = []
    return chart


def kind_of(ax):
    artists = [artist for artist in ax._children if not isinstance(artist, Text)]
    if all(isinstance(artist, Line2D) for artist in artists):
        return "line"
    if all(isinstance(artist, (PathPatch, Line2D)) for artist in artists):
        return "box_and_whisker"
    shapes = [artist for artist in artists if not (isinstance(artist, Line2D) and is_straight(artist))]
    for kind, shape in (("scatter", PathCollection), ("pie", Wedge), ("bar", Rectangle)):
        if all(isinstance(artist, shape) for artist in shapes):
            return kind
    return "unknown"


def is_straight(line):
    """Whether a line of two points is level or upright, as drawn to guide the eye."""
    x, y = line.get_xdata(), line.get_ydata()
    return len(x) == 2 and len(y) == 2 and (x[0] == x[1] or y[0] == y[1])


def add_labels(ax, chart, swapped=False):
    labels = {"x": ax.get_xlabel() or None, "y": ax.get_ylabel() or None}
    if swapped:
        labels = {"x": labels["y"], "y": labels["x"]}
    for name, label in labels.items():
        unit = UNIT.search(label) if label else None
        chart[name + "_label"] = label
        chart[name + "_unit"] = (unit.group(1) or unit.group(2)) if unit else None


def add_scales(ax, chart):
    for name, axis, scale in (("x", ax.xaxis, ax.get_xscale()), ("y", ax.yaxis, ax.get_yscale())):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        dated = is_dated(axis)
        ticks = [matplotlib.dates.num2date(tick).isoformat() if dated else float(tick) for tick in axis.get_ticklocs()]
        if dated:
            scale = "datetime"
        elif scale == "linear" and is_categorical(ticks, labels):
            scale = "categorical"
        chart[name + "_ticks"] = ticks
        chart[name + "_tick_labels"] = labels
        chart[name + "_scale"] = scale


def is_dated(axis):
    converter = axis.get_converter() if hasattr(axis, "get_converter") else axis.converter
    return isinstance(converter, (matplotlib.dates.DateConverter, matplotlib.dates._SwitchableDateConverter))


def is_categorical(ticks, labels):
    """Whether the ticks count from 0 and say something else than their number."""
    return all(tick == index and label != str(index) for index, (tick, label) in enumerate(zip(ticks, labels)))


def describe_lines(ax, chart):
    add_labels(ax, chart)
    add_scales(ax, chart)
    chart["elements"] = [
        {"label": numbered(line.get_label(), "_child", "Line"), "points": points(line.get_xdata(), line.get_ydata())}
        for line in ax.get_lines() if not is_straight(line)]


def describe_points(ax, chart):
    add_labels(ax, chart)
    add_scales(ax, chart)
    elements = []
    for collection in ax.collections:
        offsets = collection.get_offsets()
        elements.append({"label": collection.get_label(), "points": points(offsets[:, 0], offsets[:, 1])})
    chart["elements"] = elements


def describe_bars(ax, chart):
    elements = []
    lying = False
    for container in ax.containers:
        group = numbered(container.get_label(), "_container", "Group")
        bars = list(container)
        lying = is_lying(container, bars)
        axis = ax.yaxis if lying else ax.xaxis
        labels = [label.get_text() for label in axis.get_ticklabels()]
        values = [bar.get_width() if lying else bar.get_height() for bar in bars]
        elements += [{"label": label, "group": group, "value": float(value)} for label, value in zip(labels, values)]
    add_labels(ax, chart, swapped=lying)
    chart["elements"] = elements


def is_lying(container, bars):
    orientation = getattr(container, "orientation", None)
    if orientation is not None:
        return orientation == "horizontal"
    return all(bar.get_height() == bars[0].get_height() for bar in bars)


def describe_pie(ax, chart):
    chart["elements"] = [
        {"label": wedge.get_label(), "angle": rounded(abs(wedge.theta2 - wedge.theta1)), "radius": float(wedge.r)}
        for wedge in ax.patches]


def describe_boxes(ax, chart):
    """Boxes are filled ones (patch_artist): of others matplotlib leaves only lines."""
    frames = [box.get_path().get_extents() for box in ax.patches]
    # To each box belong two whiskers along it, and two caps and a median across it.
    guides = [line for line in ax.lines if is_straight(line)]
    lying = sum(line.get_xdata()[0] == line.get_xdata()[1] for line in guides) * 2 > len(guides)
    along, across = (("x", "y") if lying else ("y", "x"))
    axis = ax.yaxis if lying else ax.xaxis
    boxes = []
    for label, frame in zip((label.get_text() for label in axis.get_ticklabels()), frames):
        boxes.append({
            "label": label,
            "first_quartile": rounded(getattr(frame, along + "0")),
            "third_quartile": rounded(getattr(frame, along + "1")),
            "outliers": [],
            "reach": 0.0,
            "start": rounded(getattr(frame, across + "0")),
            "end": rounded(getattr(frame, across + "1")),
        })
    for line in ax.lines:
        values = [rounded(value) for value in (line.get_xdata() if lying else line.get_ydata())]
        places = [rounded(place) for place in (line.get_ydata() if lying else line.get_xdata())]
        for box in boxes:
            if values and box["start"] <= min(places) and max(places) <= box["end"]:
                add_to_box(box, line, values, places)
                break
    add_labels(ax, chart, swapped=lying)
    chart["elements"] = [
        {"label": box["label"], "min": box.get("min", box["first_quartile"]), "first_quartile": box["first_quartile"],
         "median": box.get("median"), "third_quartile": box["third_quartile"],
         "max": box.get("max", box["third_quartile"]), "outliers": box["outliers"]} for box in boxes]


def add_to_box(box, line, values, places):
    """Takes a line for what it is to its box: outliers, median, a whisker; caps say nothing new."""
    if line.get_linestyle() in ("None", "none", "", " "):
        box["outliers"] += values
    elif len(values) != 2:
        return
    elif values[0] == values[1]:
        # The median reaches over the whole box; a cap, which may lie on the box's edge, does not.
        reach = abs(places[1] - places[0])
        if reach > box["reach"] and box["first_quartile"] <= values[0] <= box["third_quartile"]:
            box["median"], box["reach"] = values[0], reach
    elif max(values) == box["first_quartile"]:
        box["min"] = min(values)
    elif min(values) == box["third_quartile"]:
        box["max"] = max(values)


DESCRIBERS = {"line": describe_lines, "scatter": describe_points, "bar": describe_bars, "pie": describe_pie,
              "box_and_whisker": describe_boxes}


def numbered(label, prefix, name):
    """Artists without a label of their own are numbered by matplotlib."""
    number = label[len(prefix):]
    return "%s %s" % (name, number) if label.startswith(prefix) and number.isdigit() else label


def points(xs, ys):
    return [[coordinate(x), coordinate(y)] for x, y in zip(xs, ys)]


def coordinate(value):
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if type(value).__name__ == "datetime64":
        return str(value.astype("datetime64[s]"))
    if isinstance(value, str):
        return value
    return float(value)


def rounded(value):
    value = float(value)
    return round(value, DIGITS) if math.isfinite(value) else value
