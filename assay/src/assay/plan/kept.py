"""A plan in a file: written with a checksum, read back only if it is whole, unedited and of this version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import PlanError
from assay.plan.model import BUILT, VERSION, Fingerprints, Plan

FORMAT = "pipeline plan"
AGAIN = "Make a new one: pipeline plan --out FILE."


@dataclass(frozen=True)
class Expected:
    """What applying the plan must produce for one node; `partitions` are the ranges to build, none for all of it."""

    name: str
    stage: str
    action: str
    rows: int | None
    rejected: int
    data_version: str
    partitions: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeptPlan:
    """What `apply` needs of a plan.

    Attributes:
        build: the nodes to build, in topological order.
        exit_code: the plan's own: 3 and 1 are not applied.
    """

    created_at: str
    partition: str | None
    build: tuple[Expected, ...]
    fingerprints: Fingerprints
    exit_code: int
    footer: str
    full: bool = False


def to_json(plan: Plan) -> str:
    """The plan as JSON, with its version and a checksum over everything else in it."""
    content = {"format": FORMAT, "version": VERSION, **plan.as_dict()}
    return json.dumps({**content, "checksum": _checksum(content)}, indent=2) + "\n"


def read_plan(path: Path) -> KeptPlan:
    """The plan kept in `path`.

    Raises:
        PlanError: the file is missing, no plan, truncated, edited, or of another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError(f"cannot be read: {error.strerror}", where=str(path), fix=AGAIN) from None
    except UnicodeDecodeError:
        raise PlanError("is no plan: it is not text", where=str(path), fix=AGAIN) from None
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise PlanError(
            f"is truncated or no plan: line {error.lineno} is no JSON", where=str(path), fix=AGAIN
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise PlanError("is no plan", where=str(path), fix=AGAIN)
    if content.get("version") != VERSION:
        raise PlanError(
            f"is a plan of version {content.get('version')}, this is version {VERSION}", where=str(path), fix=AGAIN
        )
    checksum = content.pop("checksum", None)
    if checksum != _checksum(content):
        raise PlanError("was edited after it was made: its checksum does not fit", where=str(path), fix=AGAIN)
    return _kept(content)


def _kept(content: Mapping[str, Any]) -> KeptPlan:
    return KeptPlan(
        created_at=content["created_at"],
        partition=content["partition"],
        build=tuple(
            Expected(
                name=node["name"],
                stage=node["stage"],
                action=node["action"],
                rows=node["rows_after"],
                rejected=node["rejects_after"],
                data_version=node["data_version"],
                partitions=tuple(node["partition"].split(", ")) if node["partition"] else (),
            )
            for node in content["nodes"]
            if node["action"] in BUILT
        ),
        fingerprints=Fingerprints(**content["fingerprints"]),
        exit_code=content["summary"]["exit_code"],
        footer=content["summary"]["footer"],
        full=content.get("full", False),
    )


def _checksum(content: Mapping[str, Any]) -> str:
    plain = json.dumps(json.loads(json.dumps(content)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()
