"""What the command line says where something fails that nobody foresaw."""

from __future__ import annotations

import atexit
import gc
import sys

import pytest

from assay import cli


class Broken:
    """A project of which nothing can be asked."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"no {name}")


project = Broken()


@pytest.mark.parametrize(("command", "code"), [("tables", 2), ("run", 2), ("plan", 1), ("health", 3)])
def test_an_error_that_nobody_foresaw_is_no_verdict_about_data(
    command: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pipeline", command])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(gc, "set_threshold", lambda *_: None)
    monkeypatch.setattr(atexit, "register", lambda *_: None)
    with pytest.raises(SystemExit) as leaving:
        cli.run(cli.command_line(f"{__name__}:project", distribution="dagster-assay"))
    assert leaving.value.code == code
    told = capsys.readouterr().err
    assert "Traceback (most recent call last)" in told
    assert "RuntimeError: no " in told
    monkeypatch.setattr(sys, "argv", ["pipeline", command, "--no-such-option"])
    with pytest.raises(SystemExit) as leaving:
        cli.run(cli.command_line(f"{__name__}:project", distribution="dagster-assay"))
    assert leaving.value.code == code
    assert "No such option" in capsys.readouterr().err
