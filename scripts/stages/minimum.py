"""Stage 2: the minimum of a stack's planes, pixel by pixel, ignoring NaN."""

from badpix_selfcal.cli import log, parser
from badpix_selfcal.errors import InputError
from badpix_selfcal.fits_io import open_fits, read_header, write_image
from badpix_selfcal.minimum import measure_shares, minimum_header, take_minimum


def options():
    """Return the argument parser."""
    return parser(__doc__, pedestal="pedestal.fits", output="minimum.fits")


def main(arguments):
    """Write ``minimum.fits``, one plane in memory at a time; SOURCE: which exposure sets it."""
    with open_fits(arguments.pedestal) as fits:
        stack, *hdus = list(fits)
        if not hdus:
            raise InputError(f"{arguments.pedestal}: no planes; give the file of pedestal")
        lowest, source = take_minimum(hdu.read() for hdu in hdus)
        planes = [(hdu.get_extname(), read_header(hdu)) for hdu in hdus]
        header = minimum_header(read_header(stack), planes, measure_shares(source, len(hdus)))
    for record in header.records():
        if record["name"].startswith("BPXW"):
            log(f"{record['name']}: {record['value']}")
    write_image(arguments.output, lowest, header, SOURCE=source)
