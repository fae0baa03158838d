from __future__ import annotations

from pipeline_project_tests.bench import bench

__all__ = ["bench"]
