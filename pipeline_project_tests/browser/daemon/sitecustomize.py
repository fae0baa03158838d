"""Python imports this in every process of the server under test, for its folder is on the path there.

Dagster's daemon looks at backfills every 30 seconds, and no setting changes that: three runs one after the other
would spend most of the test waiting.
"""

import sys

if "dagster._daemon" in sys.orig_argv:
    from dagster._daemon import controller

    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 5
