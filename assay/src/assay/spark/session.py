"""A session with Spark, on this machine or on a cluster: opened, watched while it works, closed to its last process."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from assay import notices
from assay.errors import EngineError, on_disk

SETTING = "PIPELINE_SPARK"
ADDRESS = re.compile(r"local(\[(\d+|\*)\])?|spark://(?P<host>[\w.-]+):(?P<port>\d+)")
START = 120.0
"""Seconds that a cluster has for giving the first worker, which starts Java for it: a busy one takes its time."""
PATIENCE = 20.0
"""Seconds that it has for answering again."""
OPTIONS = {
    # What DuckDB refuses fails here as well, where Spark would otherwise give null or wrap around.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.catalogImplementation": "in-memory",
    # SQL that both engines take names columns as DuckDB does.
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
LITTLE = {
    # A case has a handful of rows: to compile for them, and to plan anew, takes longer than to compute them.
    "spark.cores.max": "2",
    "spark.executor.cores": "1",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.parquet.compression.codec": "uncompressed",
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    "spark.executor.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
}
_CLASS = re.compile(r"\[(?P<kind>[A-Z][A-Z_0-9.]+)\] [^\n]*")


class SparkFailure(Exception):
    """Spark could not compute a statement; its text has the message of the error, which may quote values.

    Attributes:
        kind: the class of Spark's error, such as CAST_INVALID_INPUT; None where it has none.
    """

    kind: str | None = None


class Cluster:
    """Spark at an address; what it is asked fails with one clear line.

    Attributes:
        gone: why nothing more can be asked; None as long as it answers.
        spark: Spark's own session; what is asked of it stands under `asked`.
    """

    def __init__(self, address: str, folder: Path, options: dict[str, str]) -> None:
        self.address, self.folder = address, folder
        self.gone: EngineError | None = None
        self.spark = _started(address, folder, {**OPTIONS, **options})
        self.version: str = self.spark.version
        self._java = type(self.spark.sparkContext)._gateway.proc
        self._over = threading.Event()
        self._master = ADDRESS.fullmatch(address)
        self._watch = threading.Thread(target=self._watched, name="spark-watch", daemon=True)

    @property
    def executors(self) -> int:
        """Processes that compute, beside the driver; 0 on this machine alone."""
        return int(self.spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size()) - 1

    def wait(self) -> None:
        """Until a worker computes for this session; raises EngineError where none does in time."""
        if not (self._master and self._master["host"]):
            return
        until = time.monotonic() + START
        while not self.executors:
            if time.monotonic() > until:
                raise EngineError(
                    f"no worker took this session in {START:g} s",
                    where=self.address,
                    fix="Start a worker, or free a core and 1 GB of one.",
                )
            time.sleep(0.05)
        self._watch.start()

    def configure(self, options: dict[str, str]) -> None:
        """Settings of Spark's catalogs, for what is asked from now on."""
        with self.asked():
            for name, value in options.items():
                self.spark.conf.set(name, value)
            # What was opened by the same name before would answer.
            self.spark._jsparkSession.sessionState().catalogManager().reset()

    @contextmanager
    def named(self, group: str) -> Iterator[None]:
        """What this thread asks in the block can be ended by the name, with `cancelJobGroup`."""
        with self.asked():
            self.spark.sparkContext.setJobGroup(group, group)
        yield

    def create_view(self, name: str, file: Path, columns: str) -> None:
        """A view of a Parquet file whose columns have the types that are told."""
        with self.asked():
            self.spark.read.schema(columns).parquet(file.as_uri()).createOrReplaceTempView(name)

    def drop_view(self, name: str) -> None:
        """The view is needed no more."""
        with suppress(EngineError, SparkFailure), self.asked():
            self.spark.catalog.dropTempView(name)

    def types(self, sql: str) -> dict[str, str]:
        """The columns of a statement and their types, as Spark names them; nothing is computed."""
        with self.asked():
            return {field.name: field.dataType.simpleString() for field in self.spark.sql(sql).schema.fields}

    def write(self, sql: str, folder: Path) -> None:
        """The rows of a statement as Parquet files in a new folder."""
        with self.asked():
            self.spark.sql(sql).write.parquet(folder.as_uri())

    def hang_up(self) -> None:
        """Forget what this thread still waits for: the answer would be taken for that of what it asks next."""
        line = type(self.spark.sparkContext)._gateway._gateway_client.get_thread_connection()
        if line is not None:
            line.close()

    def close(self) -> None:
        """End the session, and the Java process that this one started."""
        self._over.set()
        context = type(self.spark.sparkContext)
        gateway = context._gateway
        with suppress(Exception):  # it may have ended long ago
            self.spark.stop()
        with suppress(Exception):
            gateway.shutdown()
        context._gateway = context._jvm = None
        self._java.stdin.close()
        try:
            self._java.wait(10)
        except Exception:  # noqa: BLE001 - it must not outlive this process, whatever it does
            self._java.kill()
            self._java.wait()

    @contextmanager
    def asked(self) -> Iterator[None]:
        if self.gone is not None:
            raise self.gone
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError) or type(error).__name__ == "Py4JNetworkError":
                with suppress(subprocess.TimeoutExpired):
                    self._java.wait(5)  # its sockets close before it has ended
            if self._java.poll() is not None:
                self.gone = EngineError("Spark's Java process has ended", where=self.address, fix="Run it again.")
            if self.gone is not None:
                raise self.gone from error
            told = [each for each in _CLASS.finditer(str(error)) if each["kind"] != "TASK_WRITE_FAILED"]
            failure = SparkFailure(told[0][0] if told else " ".join(str(error).split())[:300])
            failure.kind = told[0]["kind"] if told else None
            raise failure from error
        except BaseException:
            self.hang_up()
            raise

    def _watched(self) -> None:
        """Give up on a cluster that is gone: Spark itself would wait for it for good."""
        assert self._master is not None
        since = time.monotonic()
        while not self._over.wait(1.0):
            with suppress(Exception):  # no answer is no answer, however it is told
                if answers(self._master["host"], int(self._master["port"])) and self.executors:
                    since = time.monotonic()
            if time.monotonic() - since > PATIENCE:
                self.gone = EngineError(
                    f"the master or its workers have not answered for {PATIENCE:g} s",
                    where=self.address,
                    fix="Start them again, and run again.",
                )
                with suppress(Exception):
                    self.spark.sparkContext.cancelAllJobs()
                return


@contextmanager
def opened(address: str, *, scratch: Path | None = None, options: dict[str, str] | None = None) -> Iterator[Cluster]:
    """Spark at `address`, for the time of the block.

    Args:
        address: `local[N]`, or `spark://host:port` of a standalone master.
        scratch: a folder that driver and workers see; the system's for temporary files.
        options: Spark's own settings, beside those that make it compute as DuckDB does; default for a few rows.

    Raises:
        EngineError: Spark or Java is not installed, the address is none, or nobody answers there.
    """
    check(address)
    if scratch is not None:
        with on_disk(EngineError, "the folder cannot be created", where=str(scratch), fix="Set PIPELINE_SCRATCH."):
            scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="spark_", dir=scratch) as folder:
        notices.phase("starting Spark")
        with _quiet():
            cluster = Cluster(address, Path(folder), LITTLE if options is None else options)
            try:
                cluster.wait()
                yield cluster
            finally:
                cluster.close()


def check(address: str) -> None:
    """Raise EngineError for what is known to be missing, before anything is started."""
    if find_spec("pyspark") is None:
        raise EngineError("pyspark is not installed", fix="Install the extra: dagster-assay[spark].")
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java", path=str(Path(home, "bin")) if home else None) is None:
        where = f"JAVA_HOME={home}" if home else "PATH"
        raise EngineError("Spark needs Java, and there is none", where=where, fix="Install Java 17, or set JAVA_HOME.")
    master = ADDRESS.fullmatch(address)
    if master is None:
        raise EngineError(
            f"'{address}' is no address of Spark", where=SETTING, fix="Give local[2] or spark://host:7077."
        )
    if master["host"] and not answers(master["host"], int(master["port"])):
        raise EngineError("no Spark master answers", where=address, fix=f"Start it, or set {SETTING}.")


def answers(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    with suppress(OSError, OverflowError), socket.create_connection((host, port), timeout=5):
        return True
    return False


def _started(address: str, folder: Path, options: dict[str, str]) -> Any:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    conf = SparkConf(loadDefaults=False).setMaster(address).setAppName("pipeline")
    own = {"spark.local.dir": str(folder), "spark.sql.warehouse.dir": (folder / "warehouse").as_uri()}
    host = "127.0.0.1" if "//" not in address else _own_address(address)
    own |= {"spark.driver.host": host, "spark.driver.bindAddress": host}
    for name, value in {**options, **own}.items():
        conf = conf.set(name, value)
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        with _log_in(folder / "spark.log"):
            return SparkSession.builder.config(conf=conf).getOrCreate()
    except Exception as error:
        told = " ".join(str(error).split())[:200]
        raise EngineError(
            f"Spark did not start: {told}", where=address, fix="Spark 3.5 runs on Java 17: see JAVA_HOME."
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, on_interrupt)  # Spark has put its own in its place


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep py4j from logging tracebacks, at the root logger too, when Java has ended: that is told as an error."""

    def is_ours(record: logging.LogRecord) -> bool:
        return "py4j" not in Path(record.pathname).parts

    root, own = logging.getLogger(), logging.getLogger("py4j")
    before = own.level
    root.addFilter(is_ours)
    own.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        root.removeFilter(is_ours)
        own.setLevel(before)


@contextmanager
def _log_in(file: Path) -> Iterator[None]:
    """Let processes that the block starts write their standard error to `file`, not between the command's lines."""
    kept = os.dup(2)
    try:
        with file.open("wb") as log:
            os.dup2(log.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _own_address(address: str) -> str:
    """The address of this machine from which the master is reached: the workers answer there."""
    master = ADDRESS.fullmatch(address)
    assert master is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((master["host"], int(master["port"])))
        return str(probe.getsockname()[0])
