"""Lets rules call `python -m pipeline.cli`, which needs no installed command."""

import sys

from pipeline.cli import main

sys.exit(main())
