"""The golden cases on a cluster: all of them green there too, and one clear line for whatever stands in the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from assay.golden.case import read_cases
from assay.golden.inputs import build_names, find_inputs
from assay.golden.runner import run_golden
from assay.project import Project
from assay.spark import session
from assay.spark.engine import SparkEngine
from tests.spark.conftest import WORKERS, Standalone, free_port

Golden = Callable[..., subprocess.CompletedProcess[str]]


def built_in_sql(project: Project) -> int:
    """How many tables the project's cases build whose rows a function's expression gives."""
    count = 0
    for case in read_cases(project.golden):
        returned = find_inputs(case, project.graph).returned
        names = [name for name in build_names(case, project.graph) if name not in returned]
        count += sum(project.graph.tables[name].engine != "python" for name in names)
    return count
