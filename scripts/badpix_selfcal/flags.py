"""The values of the pixels in flags.fits."""

GOOD, LOW, HIGH = 0, 1, 2
