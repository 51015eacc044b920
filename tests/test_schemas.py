"""The published JSON Schemas describe what is written, and nothing else is taken for it."""

from __future__ import annotations

import copy
import json
import random
import shutil
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import nirbridge
from nirbridge import Dynamics, Refused, XyloConfig, convert, imported, read
from nirbridge.deployment import SCHEMA_VERSION as DEPLOYMENT_VERSION
from nirbridge.dynamics import WORDS
from nirbridge.journal import Note
from nirbridge.mapping.config import SCHEMA_VERSION as CONFIG_VERSION
from nirbridge.mapping.place import Population
from nirbridge.origin import File, Origin
from nirbridge.targets import TARGETS
from tests.chip_configs import any_chip_config
from tests.conftest import GRAPHS
from tests.deployments import coarse

FOLDER = files(nirbridge) / "schemas"
NAMES = {
    "config.json": f"xylo-config-{CONFIG_VERSION}.json",
    "deployment.json": f"deployment-{DEPLOYMENT_VERSION}.json",
}


def schema(name: str) -> Any:
    return json.loads((FOLDER / NAMES[name]).read_text(encoding="utf-8"))


def validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(schema(name))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of deployments of several kinds."""
    place = tmp_path_factory.mktemp("schemas")
    made = [
        convert(read(GRAPHS / "refused" / "good.nir")),
        coarse(readout=True),
        *(
            imported(any_chip_config(np.random.default_rng(i), chip))
            for i, chip in enumerate(TARGETS.values())
        ),
    ]
    for i, deployment in enumerate(made):
        deployment.save(place / str(i))
    return sorted(place.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_valid(name: str, written: list[Path]) -> None:
    for folder in written:
        validator(name).validate(json.loads((folder / name).read_text(encoding="utf-8")))


def test_the_schemas_hold_the_fields_of_the_code() -> None:
    config = schema("config.json")["properties"]
    assert set(config) == {f.name for f in fields(XyloConfig)} | {"schema", "version"}
    deployment = schema("deployment.json")
    dynamics = deployment["properties"]["dynamics"]["properties"]
    assert set(dynamics) == {f.name for f in fields(Dynamics)}
    for word, values in WORDS.items():
        assert tuple(dynamics[word]["enum"]) == values
    population = deployment["$defs"]["population"]["properties"]
    assert set(population) == {f.name for f in fields(Population)}
    note = deployment["properties"]["journal"]["items"]["properties"]
    assert set(note) == {f.name for f in fields(Note)}
    origin = deployment["properties"]["origin"]["properties"]
    assert set(origin) == {f.name for f in fields(Origin)}
    assert set(origin["files"]["items"]["properties"]) == {f.name for f in fields(File)}


def changed(content: Any, rng: random.Random) -> Any:
    """The same with one value somewhere replaced, removed or added."""
    content = copy.deepcopy(content)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        keys = value if isinstance(value, dict) else range(len(value))
        for key in list(keys):
            places.append((value, key))
            if isinstance(value[key], (dict, list)):
                walk(value[key])

    walk(content)
    parent, key = rng.choice(places)
    what = rng.randrange(3)
    if what == 0:
        parent[key] = rng.choice([None, -1, 0, 1.5, 10**9, "x", [], {}, True, [[1]], -(10**30)])
    elif what == 1:
        del parent[key]
    elif isinstance(parent, dict):
        parent[f"{key}_"] = parent[key]
    return content


@pytest.mark.parametrize("name", NAMES)
def test_what_the_schema_refuses_is_refused(name: str, written: list[Path], tmp_path: Path) -> None:
    """The reader is the stricter one: it also compares sizes, and files with each other."""
    folder = tmp_path / "deployment"
    shutil.copytree(written[0], folder)
    original = json.loads((folder / name).read_text(encoding="utf-8"))
    against, invalid = validator(name), 0
    for seed in range(250):
        content = changed(original, random.Random(seed))
        release = isinstance(content.get("nirbridge"), str) or name == "config.json"
        if release and not against.is_valid(content):  # the release is not read
            invalid += 1
            (folder / name).write_text(json.dumps(content), encoding="utf-8")
            with pytest.raises(Refused):
                nirbridge.load(folder)
    assert invalid > 80
