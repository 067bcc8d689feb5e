"""The error that a user can cause."""


class UserError(ValueError):
    """Something handed over by a user is wrong: one line that names it, says what is required and how to cure it.

    The command line prints it without a traceback and exits with 2.
    """
