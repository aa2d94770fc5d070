"""Each part of `make bench` runs with tiny counts and gives finite numbers. What they are is judged by nobody here."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import embeddings, gateway, imports, library, routes, sdk, typed
from bench.__main__ import write_page
from bench.dialects import DIALECTS, tokens_told
from bench.embeddings import EmbeddingsPlan
from bench.figures import Ratio, Series, likely_median, rounds
from bench.gateway import GatewayPlan
from bench.library import LibraryPlan
from bench.plots import Bar, Group, Plot
from bench.report import Table, at_least, machine, page
from bench.routes import RoutesPlan
from bench.sdk_child import SdkPlan
from bench.typed import TypedPlan

pytestmark = pytest.mark.timeout(300)


def assert_finite_and_positive(series: Series) -> None:
    assert series
    for name, numbers in series.items():
        assert numbers, name
        assert all(math.isfinite(number) and number > 0 for number in numbers), (name, numbers)


def test_the_sdk_part_measures_every_contestant_in_both_modes() -> None:
    plan = SdkPlan(calls=2, answers=1, tokens=3, wide=4, wide_tokens=2, wide_pace_us=2000, flood_tokens=2)
    series = sdk.measure(plan, count=1, limit_s=0)
    assert_finite_and_positive(series)
    measured = {f"{mode}/{name}/call" for mode in sdk.MODES for name in sdk.CONTESTANTS}
    assert measured <= series.keys()
    (table,) = sdk.tables(series, plan)
    assert len(table.rows) == 10


@pytest.fixture(scope="module")
def typed_tables() -> list[Table]:
    plan = TypedPlan(calls=2, warm_calls=1)
    series = typed.measure(plan, count=1)
    assert_finite_and_positive(series)
    return typed.tables(series, plan)


def test_the_typed_part_measures_who_is_there_and_says_who_is_not(typed_tables: list[Table]) -> None:
    objects, tools = typed_tables
    labels = [(mode, each.label) for mode in typed.MODES for each in typed.CONTESTANTS]
    assert [row[:2] for row in objects.rows] == labels
    assert [row[:2] for row in tools.rows] == [
        label for label in labels if label[1] not in ("roci, Struct", "instructor")
    ]
    away = {each.label for each in typed.CONTESTANTS if each.interpreter() is None}
    for row in (*objects.rows, *tools.rows):
        assert ("not there" in row[2]) == (row[1] in away), row


def test_a_client_that_was_not_fetched_is_told_in_its_row_and_its_plot() -> None:
    there = [each for each in typed.CONTESTANTS if each.name != "pydantic_ai"]
    series = {
        f"{mode}/{each.name}/{operation}": [1000.0]
        for mode in typed.MODES
        for each in there
        for operation in each.operations
    }
    for table in typed.tables(series, TypedPlan()):
        told = [row for row in table.rows if row[1] == "pydantic-ai"]
        assert [row[2:] for row in told] == [("not there: `make clients` fetches it", "", "")] * 2
        assert table.plot is not None
        assert table.plot.svg().count(">not there<") == 2


def test_a_page_has_its_plots_beside_it(typed_tables: list[Table], tmp_path: Path) -> None:
    write_page(tmp_path / "benchmarks.md", typed_tables, load=None)
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    for name in ("benchmarks-object.svg", "benchmarks-tools.svg"):
        assert f"]({name})" in text
        picture = ET.fromstring((tmp_path / name).read_text(encoding="utf-8"))
        words = "".join(picture.itertext())
        assert "pydantic-ai" in words
        assert "1.0 times the floor" in words


def test_a_plot_keeps_its_bars_in_proportion_and_its_words_as_they_are() -> None:
    bars = (
        Bar(label="a < b", value=50.0, note="50", kind="ours"),
        Bar(label="c", value=100.0, note="100", kind="peer"),
    )
    plot = Plot(file_name="x.svg", title="Bars & words", groups=(Group(heading="sync", bars=bars),))
    picture = ET.fromstring(plot.svg())
    small, large = (float(each.get("width", "")) for each in picture.iter("{http://www.w3.org/2000/svg}rect"))
    assert large == 2 * small
    assert {"a < b", "Bars & words"} <= {text.strip() for text in picture.itertext()}


@pytest.fixture(scope="module")
def import_series() -> Series:
    return imports.measure(count=1, limit_s=0)


def test_the_import_part_measures_processes_and_their_memory(import_series: Series) -> None:
    assert_finite_and_positive(import_series)
    assert [table.title for table in imports.tables(import_series)] == [
        "Importing",
        "A small script that makes one call",
        "`roci --version`",
    ]


@pytest.mark.usefixtures("starter_model")
def test_the_gateway_part_asks_every_route_of_a_real_gateway_and_its_own_worker() -> None:
    plan = GatewayPlan(streams=((1, 2), (2, 2)), first_tokens=1)
    series = gateway.measure(plan, count=1, limit_s=0)
    assert_finite_and_positive(series)
    speeds, memory = gateway.tables(series, plan)
    assert len(speeds.rows) == 3 * len(DIALECTS) + 1  # the floor's first token
    assert len(memory.rows) == 3


def test_the_routes_part_measures_every_route_beside_the_floor() -> None:
    plan = RoutesPlan(requests=20, answers=1, tokens=200, pace_us=0)
    series = routes.measure(plan, count=1, limit_s=0)
    assert all(numbers and all(math.isfinite(number) for number in numbers) for numbers in series.values())
    (table,) = routes.tables(series, plan)
    assert [row[0] for row in table.rows] == ["floor", "chat", "responses", "messages", "native chat", "completions"]


@pytest.mark.skipif(not embeddings.MODEL.is_file(), reason="the embedding model is not beside this checkout")
def test_the_embeddings_part_measures_every_size_of_batch() -> None:
    plan = EmbeddingsPlan(texts=3, batches=(1, 2))
    series = embeddings.measure(plan, count=1, limit_s=0)
    assert_finite_and_positive(series)
    (table,) = embeddings.tables(series, plan)
    assert [row[0] for row in table.rows] == ["1", "2"]


def test_the_embeddings_part_says_so_where_the_model_is_not_there() -> None:
    (table,) = embeddings.tables({}, EmbeddingsPlan())
    assert "is not there" in str(table)


def test_the_library_part_measures_a_first_scan_a_known_one_and_one_without_change() -> None:
    plan = LibraryPlan(models=3, vocabulary=10)
    series = library.measure(plan, count=1, limit_s=0)
    assert_finite_and_positive(series)
    (table,) = library.tables(series, plan)
    assert len(table.rows) == 4


def test_the_tokens_of_a_stream_are_those_of_its_last_count() -> None:
    assert tokens_told(b'{"usage":{"output_tokens":1}} {"usage":{"output_tokens": 12,"total_tokens":20}}') == 12
    with pytest.raises(AssertionError, match="no count"):
        tokens_told(b"data: [DONE]")


def test_a_ratio_compares_what_was_measured_in_the_same_round() -> None:
    assert Ratio([1.0, 20.0, 3.0], [1.0, 10.0, 1.0]).median == 2.0


def test_the_likely_median_is_as_wide_as_the_rounds_are_few() -> None:
    assert likely_median([3.0, 1.0, 2.0]) == (1.0, 3.0)
    # The sign test's table: of 12 sorted values the 3rd and the 10th, of 30 the 10th and the 21st.
    assert likely_median(list(range(12, 0, -1))) == (3, 10)
    assert likely_median(range(1, 31)) == (10, 21)


def test_a_budget_that_is_missed_by_chance_is_not_called_missed() -> None:
    assert at_least(0.97, [0.9, 0.96, 1.0]) == "too near to tell"
    assert at_least(0.97, [0.9] * 8 + [1.0]) == "**not met**"
    assert at_least(0.97, [0.9, 0.98, 1.0]) == "met"


def test_no_round_begins_after_the_time_limit_except_for_the_least() -> None:
    assert list(rounds(10, limit_s=-1, least=2)) == [0, 1]
    assert list(rounds(2, limit_s=60)) == [0, 1]


def test_the_page_names_versions_and_no_place_on_this_machine(import_series: Series) -> None:
    text = page(imports.tables(import_series), load=0.5)
    assert machine() in text
    assert str(Path.home()) not in text
    assert str(Path(__file__).parents[2]) not in text
