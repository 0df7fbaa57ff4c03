"""Stage 3: the running median of a stack's minimum along the dispersion axis, ignoring NaN."""

from badpix_selfcal.cli import add_parameters, log, parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import read_image, write_image
from badpix_selfcal.median import filter_minimum


def options():
    """Return the argument parser."""
    options = parser(__doc__, minimum="minimum.fits", output="median.fits")
    options.add_argument("--excluded", nargs="?", help="excluded.fits, for edge_mode shrink")
    add_parameters(options, "median")
    return options


def main(arguments):
    """Write ``median.fits``."""
    minimum, header = read_image(arguments.minimum)
    excluded = read_image(arguments.excluded)[0] > 0 if arguments.excluded else None
    try:
        median, header = filter_minimum(minimum, header, vars(arguments), excluded)
    except ValueError as error:
        raise InputError(f"{arguments.minimum}: {error}; set dispersion_axis to 1 or 2") from error
    log(f"kernel {header['BPXKERN']} along axis {header['BPXAXIS']}, edge {header['BPXEDGE']}")
    write_image(arguments.output, median, header)
