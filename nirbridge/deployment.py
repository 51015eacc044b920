"""A converted network: the integers, the graphs around them, and the account of both."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge import deployment_record
from nirbridge.check import TOLERANCE, Drift, check
from nirbridge.check.robustness import ALL, Robustness, robustness
from nirbridge.configfiles import write_beside
from nirbridge.diagnostics import refuse
from nirbridge.dynamics import Dynamics
from nirbridge.energy import Energy, estimate
from nirbridge.files import replacing_folder, steady
from nirbridge.graph import read, write
from nirbridge.journal import Note
from nirbridge.mapping.config import XyloConfig
from nirbridge.mapping.constant import with_constant
from nirbridge.mapping.lift import Applied, lift
from nirbridge.mapping.place import Grid, Placement
from nirbridge.origin import UNKNOWN, Origin
from nirbridge.places import CONFIG, GRAPHS, OWN, RECORD, SCHEMA, check_place
from nirbridge.progress import Track
from nirbridge.rasters import check_raster
from nirbridge.simulate import Recording, simulate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nirbridge.targets import ChipSpec

SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class Deployment:
    """What :func:`nirbridge.convert` gives back.

    Attributes
    ----------
    config
        The integers of the chip.
    lowered
        NIR: the network rewritten into the form that the chip can hold, still in floats.
    shifted
        NIR: the same with the decays that the chip has, weights and thresholds still in floats.
    deployed
        NIR: what the integers compute, in seconds and volts (one threshold is one volt).
    journal
        What each pass and the quantiser did, with sizes.
    source
        NIR: the network that was given.
    dynamics
        How the source steps time.
    placement
        Which node's neurons sit where, and how many steps each population lags.
    units
        Integer units per volt of the populations that are read by their membranes.
    method
        How the network was quantised.
    constant
        Whether one more input channel than the source has stands for its biases.
    origin
        The commands and files it came from, as far as they are known, and what tuned it.

    """

    config: XyloConfig
    lowered: nir.NIRGraph
    shifted: nir.NIRGraph
    deployed: nir.NIRGraph
    journal: tuple[Note, ...]
    source: nir.NIRGraph
    dynamics: Dynamics
    placement: Placement
    units: dict[str, list[int]]
    method: str
    constant: bool = False
    origin: Origin = UNKNOWN

    @property
    def n_in(self) -> int:
        """Channels of a raster: those of the configuration, but for one that holds the biases."""
        return self.config.n_in - int(self.constant)

    def chip_input(self, raster: Any) -> NDArray[Any]:
        """A raster as the chip gets it, with the constant channel if there is one.

        Raises
        ------
        Refused
            NB801, NB802 for a raster that does not fit.

        """
        counts = check_raster(raster, self.n_in)
        return with_constant(counts) if self.constant else counts

    def decode(self, recording: Recording) -> dict[str, NDArray[Any]]:
        """What each Output says, by its name: spike counts, or the membrane in volts.

        Raises
        ------
        ValueError
            If an Output is read by its membrane and the recording has none
            (``simulate(raster, record=True)``).

        """
        found: dict[str, NDArray[Any]] = {}
        for p in self.placement.outputs:
            if not p.readout:
                found[p.end] = recording.output[..., p.ids]
            elif recording.v_mem_out is None:
                raise ValueError(f"{p.end} is read by its membrane: simulate with record=True")
            else:
                volts = np.array(self.units[p.name], np.float64)
                found[p.end] = recording.v_mem_out[..., p.ids] / volts
        return found

    def with_config(
        self, config: XyloConfig, method: str, notes: Sequence[Note] = ()
    ) -> Deployment:
        """The same network with other integers: ``deployed`` follows them.

        Parameters
        ----------
        config
            For the same placement; weights, thresholds, biases and decays may differ.
        method
            How it came about.
        notes
            Added to the journal.

        """
        old = Grid.of(self.deployed, self.placement)
        assert old is not None  # whatever was deployed has its scales
        read = self.placement.readouts
        grid = Grid(
            config.threshold.astype(np.int64),
            np.where(read, old.outputs, config.threshold_out),
            (config.weight_shift_in, config.weight_shift_rec, config.weight_shift_out),
        )
        applied = Applied.of(config, grid)
        if self.constant:
            applied = applied.constant_as_bias()
        graph = lift(applied, self.placement, self.lowered, config.dt, config.aliases)
        journal = (*self.journal, *notes)
        return replace(self, config=config, deployed=graph, method=method, journal=journal)

    def simulate(self, raster: Any, record: bool = False) -> Recording:
        """Run the chip on a raster; see :func:`nirbridge.simulate`."""
        return simulate(self.config, self.chip_input(raster), record)

    def check(
        self, raster: Any, labels: Any = None, ideal: int = 0, track: Track | None = None
    ) -> Drift:
        """Compare the chip with the trained network; see :func:`nirbridge.check.check`."""
        return check(self, raster, labels, ideal, track)

    def robustness(
        self,
        raster: Any,
        labels: Any,
        levels: Sequence[float] = (0.1, 0.2, 0.3, 0.5, 0.7),
        draws: int = 50,
        seed: int = 0,
        attack: Iterable[float] = (),
        perturbs: Sequence[str] = ALL,
        dask: Any = None,
    ) -> Robustness:
        """Accuracy of perturbed chips; see :func:`nirbridge.check.robustness.robustness`."""
        return robustness(self, raster, labels, levels, draws, seed, attack, perturbs, dask)

    def energy(
        self,
        raster: Any,
        rate: float | None = None,
        steps_per_inference: float | None = None,
        chip: str | ChipSpec | None = None,
    ) -> Energy:
        """Cycles, clock, operations and power; see :func:`nirbridge.energy.estimate`."""
        given = self.chip_input(raster)
        return estimate(
            self.config, given, rate=rate, steps_per_inference=steps_per_inference, chip=chip
        )

    def report(
        self,
        path: str | os.PathLike[str],
        raster: Any = None,
        labels: Any = None,
        *,
        title: str = "",
        source: str = "",
        tolerance: float = TOLERANCE,
        ideal: int = 1,
        force: bool = False,
    ) -> None:
        """Write a page with all that there is to know, and its facts as ``.json`` beside it.

        Without a raster, random spikes stand for it, and the page says so. ``title`` is what to
        call the network, ``source`` what to call the input, ``tolerance`` the share of samples that
        the chip may decide otherwise, ``ideal`` how many samples run in continuous time as well.

        Raises
        ------
        Refused
            NB801, NB802 for the raster, NB804 for the labels, NB805 to NB807 for the place, NB806
            for a tolerance that is no share.

        """
        from nirbridge.report.page import check_page, write
        from nirbridge.report.story import gather

        check_page(Path(path), force)
        story = gather(
            self, raster, labels, title=title, source=source, tolerance=tolerance, ideal=ideal
        )
        write(story, Path(path), force)

    def plot(self) -> Figure:
        """All weights on the chip as a picture of Matplotlib's: who sends to whom."""
        from nirbridge.report.figures.chip import matrix

        return matrix(self.config, self.placement)

    def _repr_html_(self) -> str:
        """What it is, and the network as the chip has it, for a notebook."""
        from nirbridge.report.notebook import deployment_html

        return deployment_html(self)

    def save(
        self,
        directory: str | os.PathLike[str],
        *,
        force: bool = False,
        formats: Sequence[str] = (),
    ) -> None:
        """Write everything into a new directory, which appears whole or not at all.

        Parameters
        ----------
        directory
            A new place.
        force
            Whether an old deployment there is replaced.
        formats
            What to write beside ``config.json``: ``rockpool``, ``samna``; see
            :mod:`nirbridge.configfiles`.

        Raises
        ------
        Refused
            NB805 if the place is taken and ``force`` is not set, or if what is there is not a
            deployment; NB806 and NB706 for formats that are unknown or have no room for the chip.
        OSError
            If the place cannot be written to.

        """
        place = Path(directory)
        check_place(place, force)
        with replacing_folder(place, force) as folder:
            for name in GRAPHS:
                write(getattr(self, name), folder / f"{name}.nir")
            (folder / CONFIG).write_text(self.config.to_json() + "\n", encoding="utf-8")
            text = json.dumps(self._record(), indent=1)
            (folder / RECORD).write_text(text + "\n", encoding="utf-8")
            write_beside(self.config, folder, formats)

    def _record(self) -> dict[str, Any]:
        from nirbridge import __version__

        return {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "nirbridge": __version__,
            "method": self.method,
            "dynamics": self.dynamics.to_dict(),
            "placement": asdict(self.placement),
            "units": self.units,
            "constant": self.constant,
            "journal": [note.to_dict() for note in self.journal],
            "origin": self.origin.to_dict(),
        }


def load(directory: str | os.PathLike[str]) -> Deployment:
    """Read what :meth:`Deployment.save` wrote.

    Raises
    ------
    Refused
        NB101 if there is no deployment, NB704 if its record cannot be understood or its files do
        not belong together, NB304 for its dynamics, NB1xx, NB2xx and NB70x for the files in it.

    """
    folder = Path(directory)
    return steady(folder, lambda: _load(folder))


def _load(folder: Path) -> Deployment:
    for name in OWN:
        if not (folder / name).is_file():
            limit = "a directory that `nirbridge convert` wrote"
            raise refuse("NB101", node=name, limit=limit, found=f"no {name} in {folder}")
    record = deployment_record.parse(_parse(folder / RECORD))
    config = XyloConfig.from_json(_text(folder / CONFIG))
    graphs = {name: read(folder / f"{name}.nir") for name in GRAPHS}
    deployment_record.check(record, config, graphs)
    return Deployment(
        config=config,
        journal=record.journal,
        dynamics=record.dynamics,
        placement=record.placement,
        units=record.units,
        constant=record.constant,
        method=record.method,
        origin=record.origin,
        **graphs,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        found = f"{path}: {error.strerror}"
        raise refuse("NB101", node=path.name, limit="a readable file", found=found) from None
    except UnicodeDecodeError as error:
        raise refuse("NB704", node=path.name, limit="UTF-8 text", found=str(error)[:80]) from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        found = str(error)[:80]
        raise refuse("NB704", node=path.name, limit="a JSON text", found=found) from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise refuse("NB704", node=path.name, limit=SCHEMA, found="another record")
    if record.get("version") != SCHEMA_VERSION:
        found = repr(record.get("version"))
        raise refuse("NB704", node=path.name, limit=f"version {SCHEMA_VERSION}", found=found)
    return record
