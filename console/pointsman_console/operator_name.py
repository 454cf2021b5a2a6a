"""Who gives a command, as records of it say, and words from the command line that go into the ledger."""

import getpass
import socket

from pointsman_routes import UsageProblem


def operator_name(by: str | None) -> str:
    """The name that was given, or else that of the user and of this machine.

    Raises:
        UsageProblem: the machine does not know the user.
    """
    if by:
        return writable(by)
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        raise UsageProblem("this machine does not know your name; say it with --by") from None
    return f"{name}@{socket.gethostname()}"


def writable(text: str) -> str:
    """An argument as a record can hold it: bytes that are no UTF-8 come as half characters, which none can."""
    return text.encode(errors="backslashreplace").decode()


def see_to_word(what: str, word: str) -> None:
    """See that the ledger can be asked about a word.

    Raises:
        UsageProblem: it is no text, or has a zero byte in it.
    """
    try:
        word.encode()
    except UnicodeEncodeError:
        raise UsageProblem(f"{what} is not UTF-8; write it in UTF-8") from None
    if "\0" in word:
        raise UsageProblem(f"{what} has a zero byte in it; leave it out")
