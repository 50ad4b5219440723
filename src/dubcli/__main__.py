"""``python -m dubcli`` is ``dubav``."""

from dubcli.cli.app import main

main()
