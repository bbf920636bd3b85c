"""Run the command line as `python -m pipeline.cli`, as rules do, without an installed command."""

import sys

from pipeline.cli import main

sys.exit(main())
