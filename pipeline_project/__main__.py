"""`python -m pipeline_project` is `pipeline`."""

from pipeline_project.cli import main

main()
