"""The exceptions of the package."""


class InputError(Exception):
    """
    An error in what the user gave.

    Its text has a line for each error: the file, what is wrong, the remedy.
    """


class LeftOutError(InputError):
    """An association that a run leaves out: it is of another mode or level."""
