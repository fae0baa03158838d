"""The example's web server and event log for as long as standard input is open: `python -m benchmarks.serve EVENTS`."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline_project.example.demo import retail_folder
from pipeline_project.example.events import write_events
from pipeline_project.example.server import DemoServer

if __name__ == "__main__":
    write_events(retail_folder(), Path(sys.argv[1]))
    server = DemoServer(retail_folder())
    print(server.address, flush=True)
    sys.stdin.read()
    server.close()
