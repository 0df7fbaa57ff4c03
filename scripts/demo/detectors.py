"""The detectors of the demo: positions of their slices, cards of their headers."""

from dataclasses import dataclass


@dataclass
class Detector:
    """Positions of a detector's slices, along and across the dispersion."""

    seed: int
    shape: tuple[int, int]  # [ny, nx]
    dispersion_axis: int  # as DISPAXIS
    halves: tuple[tuple[int, int, int], ...]  # first and last pixel across, number of slices
    bend: float  # pixels that a slice's middle bends over the detector's length
    thermal: tuple[float, float]  # background at the blue and the red end, DN/s
    meta: dict  # header values


DETECTORS = {
    "MIRIFUSHORT": Detector(
        1, (1024, 1032), 2, ((20, 500, 21), (519, 1010, 17)), 14.0, (0.15, 0.4),
        {"instrument.name": "MIRI", "instrument.channel": "12", "instrument.band": "SHORT",
         "exposure.type": "MIR_MRS"},
    ),
    "MIRIFULONG": Detector(
        2, (1024, 1032), 2, ((20, 471, 16), (510, 1010, 12)), 18.0, (0.6, 6.0),
        {"instrument.name": "MIRI", "instrument.channel": "34", "instrument.band": "SHORT",
         "exposure.type": "MIR_MRS"},
    ),
    "NRS1": Detector(
        3, (2048, 2048), 1, ((60, 1990, 30),), 30.0, (0.02, 0.1),
        {"instrument.name": "NIRSPEC", "instrument.filter": "F290LP",
         "instrument.grating": "G395H", "exposure.type": "NRS_IFU"},
    ),
}  # fmt: skip
