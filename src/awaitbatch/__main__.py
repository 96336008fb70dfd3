"""``python -m awaitbatch`` is the command ``awaitbatch``."""

from awaitbatch.cli import main

raise SystemExit(main())
