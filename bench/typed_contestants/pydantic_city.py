"""The type that is asked for, as pydantic has it."""

from __future__ import annotations

from pydantic import BaseModel

Told = tuple[str, str, int, tuple[tuple[str, int], ...]]


class Landmark(BaseModel):
    name: str
    built: int


class City(BaseModel):
    name: str
    country: str
    population: int
    landmarks: list[Landmark]


def told(city: City) -> Told:
    return city.name, city.country, city.population, tuple((each.name, each.built) for each in city.landmarks)
