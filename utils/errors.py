"""The exceptions that end a command with a message instead of a traceback; `utils/command.py` prints it."""


class CommandError(Exception):
    """Base of the exceptions below."""

    status = 1  # exit status of the command
    label = ""  # start of its message


class UserError(CommandError):
    """A mistake of the user. The message says what is wrong, where (a file or a dotted config key) and what to do."""

    status = 2
    label = "error: "


class Failure(CommandError):
    """The command cannot go on, through no mistake of the user."""

    label = "failed: "


class Stopped(CommandError):
    """A signal stopped the command, after its work was saved."""

    def __init__(self, signal: int, message: str) -> None:
        super().__init__(message)
        self.status = 128 + signal
