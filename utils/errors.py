"""The one exception that means "the user can mend this"."""


class UserError(Exception):
    """A mistake of the user's: `main.py` prints the message without a traceback and exits with status 2.

    The message says what is wrong, where (a file or a dotted config key) and what to do about it.
    """
