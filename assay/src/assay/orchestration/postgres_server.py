"""The server of Dagster's history on Postgres: asked once before a run, and what to say where it does not answer."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dagster._config import process_config, resolve_to_config_type
from dagster._core.storage.config import pg_config
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from assay.errors import PipelineError
from assay.orchestration.postgres import MODULE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dagster._config import EvaluationError
    from dagster._serdes import ConfigurableClassData

DRIVER = "postgresql+psycopg2"
SECONDS = 10
"""So long is a server waited for that says nothing at all."""
ADVICE = {
    "does not exist": "Make it there, with `createdb` or `createuser`, or mend",
    "authentication": "Mend user or password, which is not shown here, in",
    "no password supplied": "Give the password in",
    "could not translate host name": "Mend the host in",
}
"""What to do, by what the server says where it speaks English."""
OTHERWISE = "See that the server runs and is reached from here, or mend"
WHERE = "`storage:` in dagster.yaml"


def ask(storage: ConfigurableClassData) -> None:
    """Connect once, and say at once what is wrong: Dagster would try six times, and tell each with a traceback.

    Raises:
        PipelineError: the extra is not installed, the address is none, or the server does not let us in.
    """
    if missing := [name for name in (MODULE, "psycopg2") if find_spec(name) is None]:
        raise PipelineError(
            f"Dagster's history is to be on Postgres, and {' and '.join(missing)} is not installed",
            where="dagster.yaml",
            fix="Install the extra: pip install 'dagster-assay[postgres]', and add it to the lock as `pipeline guide scale` says.",
        )
    found = process_config(resolve_to_config_type(pg_config()), storage.config_dict)
    if not found.success or found.value is None:
        raise unreadable(found.errors or ())
    if "auth_provider" in found.value:
        return  # what asks for a token each time, is asked by Dagster
    url = _url(found.value)
    try:
        create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": SECONDS}).connect().close()
    except SQLAlchemyError as error:
        raise unreachable(error, f"{url.host or 'localhost'}:{url.port or 5432}/{url.database}") from None


def unreadable(errors: Iterable[EvaluationError], otherwise: str = "") -> PipelineError:
    """What Dagster says of a dagster.yaml; of the values that it shows one may be the password."""
    # Of an error in an error, such as a variable that is not set, the inner one.
    said = [re.sub(r"^.* failed:\s+(?:[\w.]+Error: )?", "", error.message).strip() for error in errors] or [otherwise]
    first = "; ".join(each.partition("\n")[0] for each in said)
    line = re.sub(r'[Vv]alue ".*?"(?= of type)', "a value", first)
    return PipelineError(f"Dagster cannot read its configuration: {line}", where="dagster.yaml")


def unreachable(error: SQLAlchemyError, where: str) -> PipelineError:
    """What the server, or the way to it, says."""
    said = str(getattr(error, "orig", None) or error).strip()
    # A name may have several addresses, each with a line; what the last one says counts.
    line = re.split(r"failed:\s+(?:FATAL:\s+)?", said)[-1].partition("\n")[0]
    advice = next((told for part, told in ADVICE.items() if part in line), OTHERWISE)
    return PipelineError(f"Dagster's history on Postgres: {line}", where=where, fix=f"{advice} {WHERE}.")


def _url(config: Mapping[str, Any]) -> URL:
    """The address; raises PipelineError where SQLAlchemy would read another one, and show a part of the password."""
    if parts := config.get("postgres_db"):
        user, password, host, port, name = map(parts.get, ("username", "password", "hostname", "port", "db_name"))
        scheme, query = parts.get("scheme", "postgresql"), parts.get("params") or {}
        url = URL.create(scheme, user, password, host, port, name, query)
    else:
        try:
            url = make_url(config.get("postgres_url") or "")
        except (SQLAlchemyError, ValueError):
            url = URL.create("?", host="@")
    if "@" in (url.host or ""):
        raise PipelineError(
            "the address of Dagster's history on Postgres is none, or has signs in its password that end it",
            where="dagster.yaml",
            fix=f"Write {DRIVER}://USER:PASSWORD@HOST:PORT/DATABASE, with @, / and % as %40, %2F and %25.",
        )
    if url.drivername != DRIVER:
        raise PipelineError(
            f"the address of Dagster's history begins {url.drivername}://, for which SQLAlchemy takes another driver",
            where="dagster.yaml",
            fix=f"Let it begin {DRIVER}:// (`scheme: {DRIVER}` under postgres_db).",
        )
    return url


def lost(error: BaseException) -> PipelineError | None:
    """What to say where `error` is of a server that no longer answers; None where it is of something else."""
    while error.__cause__ is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    if not isinstance(error, DBAPIError) or not type(error.orig).__module__.startswith("psycopg2"):
        return None
    return unreachable(error, "the run")
