"""The detectors of the demo: positions of their slices, cards of their headers."""

from collections import namedtuple

# Shapes of defects, [ny, nx], and how many of a detector's defects have each. Of an H2RG as in a
# bad-pixel mask of NIRISS, of 1.1 % of the pixels: pairs along a row, which share a readout, and
# crosses, by coupling to the neighbours. Larger ones, 0.3 %, are left out. Of MIRI, single pixels.
SINGLE = (([[1]], 1.0),)
H2RG = (
    ([[1]], 0.882),
    ([[1, 1]], 0.033),
    ([[1], [1]], 0.015),
    ([[0, 1, 0], [1, 1, 1], [0, 1, 0]], 0.065),
    ([[1, 1, 1]] * 3, 0.005),
)
# Share of the connected regions of that mask by size in pixels, chance neighbours included.
H2RG_REGIONS = {1: 0.842, 2: 0.070, 5: 0.059, 9: 0.005}

# shape: [ny, nx]; dispersion_axis: as DISPAXIS; halves: of the slices of each half, first and last
# pixel across the dispersion, and number; bend: of a slice's middle over the detector's length, in
# pixels; thermal: background at the blue and the red end, in DN/s; meta: values of the header;
# defects: their shapes.
FIELDS = "seed shape dispersion_axis halves bend thermal meta defects"
Detector = namedtuple("Detector", FIELDS, defaults=(SINGLE,))

MRS = {"instrument.name": "MIRI", "instrument.band": "SHORT", "exposure.type": "MIR_MRS"}
DETECTORS = {
    "MIRIFUSHORT": Detector(
        1, (1024, 1032), 2, ((20, 500, 21), (519, 1010, 17)), 14.0, (0.15, 0.4),
        MRS | {"instrument.channel": "12"},
    ),
    "MIRIFULONG": Detector(
        2, (1024, 1032), 2, ((20, 471, 16), (510, 1010, 12)), 18.0, (0.6, 6.0),
        MRS | {"instrument.channel": "34"},
    ),
    "NRS1": Detector(
        3, (2048, 2048), 1, ((60, 1990, 30),), 30.0, (0.02, 0.1),
        {"instrument.name": "NIRSPEC", "instrument.filter": "F290LP",
         "instrument.grating": "G395H", "exposure.type": "NRS_IFU"}, H2RG,
    ),
}  # fmt: skip
