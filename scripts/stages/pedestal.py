"""Stage 1: the SCI planes of a stack's exposures, each less its residual pedestal, in one file."""

from badpix_selfcal.cli import log, parser
from badpix_selfcal.fits_io import append_image, new_fits
from badpix_selfcal.pedestal import read_planes, stack_header


def options():
    """Return the argument parser."""
    options = parser(__doc__)
    options.add_argument("exposures", nargs="+", metavar="EXPOSURE", help="the stack's exposures")
    options.add_argument("--output", required=True, help="pedestal.fits")
    options.add_argument("--stack", default="stack", help="name of the stack, for the headers")
    return options


def main(arguments):
    """Write ``pedestal.fits``, one exposure in memory at a time."""
    with new_fits(arguments.output) as fits:
        fits.write(None, header=stack_header(arguments.stack, len(arguments.exposures)))
        for name, plane, header in read_planes(arguments.exposures):
            append_image(fits, plane, header, name)
            log(f"{name}: pedestal {header.get('BPXPED')}")
            if "BPXWARN" in header:
                log(f"pedestal: warning: {name}: {header['BPXWARN']}")
