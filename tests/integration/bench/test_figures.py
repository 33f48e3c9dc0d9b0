"""What the benchmark prints: medians, ratios round by round, and by how much a target was missed."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bench.figures import Figure, at_least, at_most, table
from bench.plot import Line, grid, plot
from bench.rounds import rotated


def test_a_ratio_is_taken_round_by_round() -> None:
    figure = Figure(name="a", unit="s", samples=[2, 6, 3], against=[1, 3, 2], target=at_most(1.6))
    assert figure.ratios == [2, 2, 1.5]
    assert figure.verdict == "missed by 25 %"


@pytest.mark.parametrize(
    ("target", "verdict"), [(at_most(2), "met"), (at_most(1), "missed by 100 %"), (at_least(4), "missed by 50 %")]
)
def test_without_a_peer_the_median_is_judged(target: object, verdict: str) -> None:
    assert Figure(name="a", unit="s", samples=[1, 2, 9], target=target).verdict == verdict


def test_the_table_has_a_row_for_each_figure_and_no_empty_column() -> None:
    figures = [
        Figure(name="one", unit="s", samples=[1.0, 2.0, 3.0]),
        Figure(name="two", unit="s", samples=[0.5], target=at_most(1, "so")),
    ]
    lines = table("title", figures).splitlines()
    assert lines[0].split("  ")[0] == "title: figure"
    assert "against" not in lines[0]
    assert lines[2].split() == ["one", "2.00", "s", "(1.00..3.00)"]
    assert lines[3].split() == ["two", "0.50", "s", "≤", "1.00", "s,", "so", "met"]


def test_everybody_is_first_in_turn() -> None:
    assert list(rotated(["a", "b"], 3)) == [["a", "b"], ["b", "a"], ["a", "b"]]


def test_the_plot_has_a_line_for_each_series() -> None:
    drawing = plot(title="T & t", x_name="x", y_name="y", lines=[Line("l", {10: [1.0, 2.0], 100: [3.0]})])
    assert drawing.startswith("<svg")
    assert "T &amp; t" in drawing
    assert drawing.count("<polyline") == 1


def test_several_plots_stand_side_by_side() -> None:
    one = plot(title="t", x_name="x", y_name="y", lines=[Line("l", {10: [1.0], 100: [3.0]})])
    root = ElementTree.fromstring(grid([one, one, one]))
    assert root.attrib["viewBox"] == "0 0 1280 720"
    assert [(inner.attrib["x"], inner.attrib["y"]) for inner in root] == [("0", "0"), ("640", "0"), ("0", "360")]
