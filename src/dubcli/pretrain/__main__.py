"""``torchrun [options] -m dubcli.pretrain --variant efj ...``: options as of ``dubav pretrain``."""

import sys

from dubcli.cli.app import main

sys.argv[1:1] = ["pretrain"]
main()
