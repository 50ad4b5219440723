"""``docs/readings.md`` from the register of readings: ``python docs/readings_page.py > docs/readings.md``."""

from __future__ import annotations

from dubcli.core.readings import FIXED, READINGS, Choice, Reading


def readings_page() -> str:
    """``docs/readings.md``."""
    lines = [
        "# What the paper leaves open, and how it is read here",
        "",
        "The paper does not say everything that a program has to know. These are the choices that it leaves, our",
        "default, why, and the option for other readings (`dubav pretrain --readings` prints the same). They stand in",
        "`config.json`, in checkpoints, and in results of probes. What the paper does say is the default everywhere.",
        "The last table has the readings that are no option.",
    ]
    for command in dict.fromkeys(reading.command for reading in READINGS):
        lines += ["", f"## `dubav {command}`"]
        for reading in (reading for reading in READINGS if reading.command == command):
            lines += ["", f"### {reading.title}", "", f"The paper: {reading.paper}.", ""]
            lines += ["| | |", "|---|---|", _row(reading, reading.default, "default")]
            lines += [_row(reading, choice, "") for choice in reading.others]
            lines += ["", f"Why: {reading.why}."]
    lines += ["", "## Without an option", "", "| | the paper | here | why | why no option |", "|---|---|---|---|---|"]
    lines += [f"| {one.title} | {one.paper} | {one.here} | {one.why} | {one.no_option} |" for one in FIXED]
    return "\n".join([*lines, ""])


def _row(reading: Reading, choice: Choice, mark: str) -> str:
    told = reading.told(choice)
    flags = told if told == "no option" else f"`{told}`"
    return f"| {flags}{f' ({mark})' if mark else ''} | {choice.meaning} |"


if __name__ == "__main__":
    print(readings_page(), end="")
