"""Fenced blocks of Markdown pages, and the commands in them."""

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^(?:```|~~~)(\w*)\n(.*?)^(?:```|~~~)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """``text`` as the page has it, comment and all; ``output``: what the page says that it prints, or nothing."""

    text: str
    output: str = ""


def blocks_of(page, *languages):
    """(language, text) of each fenced block, in order; with ``languages`` only those."""
    found = _FENCE.findall(page.read_text(encoding="utf-8"))
    return [(language, text) for language, text in found if not languages or language in languages]


def shell_commands(text):
    """The commands of one block, continued lines joined.

    In a block with prompts (``$ dubav ...``) only those lines are commands, what follows each is its output.
    """
    lines = text.replace("\\\n", " ").splitlines()
    if not any(line.startswith("$ ") for line in lines):
        return [Command(line) for line in lines if line.strip() and not line.startswith("#")]
    found = []
    for line in lines:
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        else:
            found[-1] = Command(found[-1].text, f"{found[-1].output}{line}\n")
    return found
