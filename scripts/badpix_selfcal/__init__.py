"""
Self-calibrated bad-pixel flags of JWST IFU exposures: the method on arrays and on files.

`flag_exposures` and `flag_planes` do all of it; the other names are its steps. They are imported
when they are first asked for, as the programs of the workflow start hundreds of times.
"""

# ruff: noqa: F401

TYPE_CHECKING = False  # to type checkers it is true; to import `typing` takes 5 ms
if TYPE_CHECKING:
    from badpix_selfcal.errors import InputError
    from badpix_selfcal.excluded import find_excluded
    from badpix_selfcal.median import running_median
    from badpix_selfcal.minimum import take_minimum
    from badpix_selfcal.noise import measure_noise
    from badpix_selfcal.pedestal import subtract_pedestal
    from badpix_selfcal.selfcal import Selfcal, flag_exposures, flag_planes
    from badpix_selfcal.threshold import flag_beyond_noise, flag_outliers
    from badpix_selfcal.write_back import apply_flags

__all__ = (
    *("InputError", "Selfcal", "apply_flags", "find_excluded", "flag_beyond_noise"),
    *("flag_exposures", "flag_outliers", "flag_planes", "measure_noise", "running_median"),
    *("subtract_pedestal", "take_minimum"),
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from badpix_selfcal import selfcal, write_back

    # The module selfcal imports all steps but the last.
    return getattr(write_back if name == "apply_flags" else selfcal, name)
