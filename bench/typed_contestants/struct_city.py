"""The type that is asked for, as msgspec has it."""

from __future__ import annotations

from msgspec import Struct

Told = tuple[str, str, int, tuple[tuple[str, int], ...]]


class Landmark(Struct):
    name: str
    built: int


class City(Struct):
    name: str
    country: str
    population: int
    landmarks: list[Landmark]


def told(city: City) -> Told:
    return city.name, city.country, city.population, tuple((each.name, each.built) for each in city.landmarks)
