"""Each part of `make bench` runs with tiny counts and gives finite numbers. What they are is judged by nobody here."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench import embeddings, gateway, imports, library, routes, sdk
from bench.dialects import DIALECTS, tokens_told
from bench.embeddings import EmbeddingsPlan
from bench.figures import Ratio, Series, rounds
from bench.gateway import GatewayPlan
from bench.library import LibraryPlan
from bench.report import machine, page
from bench.routes import RoutesPlan
from bench.sdk_child import SdkPlan

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
    assert len(speeds.rows) == 3 * len(DIALECTS)
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


def test_no_round_begins_after_the_time_limit_except_for_the_least() -> None:
    assert list(rounds(10, limit_s=-1, least=2)) == [0, 1]
    assert list(rounds(2, limit_s=60)) == [0, 1]


def test_the_page_names_versions_and_no_place_on_this_machine(import_series: Series) -> None:
    text = page(imports.tables(import_series), load=0.5)
    assert machine() in text
    assert str(Path.home()) not in text
    assert str(Path(__file__).parents[2]) not in text
