"""The detectors of the demo: positions of their slices, cards of their headers."""

from collections import namedtuple

# shape: [ny, nx]; dispersion_axis: as DISPAXIS; halves: of the slices of each half, first and last
# pixel across the dispersion, and number; bend: of a slice's middle over the detector's length, in
# pixels; thermal: background at the blue and the red end, in DN/s; meta: values of the header.
Detector = namedtuple("Detector", "seed shape dispersion_axis halves bend thermal meta")

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
