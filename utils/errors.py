"""The exceptions that end a command with a message instead of a traceback; `utils/command.py` turns them into both."""


class CommandError(Exception):
    """Base of those below.

    Attributes:
        status: Exit status of the command.
        label: What its message begins with.
    """

    status = 1
    label = ""


class UserError(CommandError):
    """A mistake of the user's. The message says what is wrong, where (a file or a dotted config key) and what to do."""

    status = 2
    label = "error: "


class Failure(CommandError):
    """The command cannot go on, by no mistake in what it was given."""

    label = "failed: "


class Stopped(CommandError):
    """A signal stopped the command, after what it had done was saved where there was something to save."""

    def __init__(self, signal: int, message: str) -> None:
        super().__init__(message)
        self.status = 128 + signal
