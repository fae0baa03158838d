"""Credentials come from the settings, reach the location's own server and nobody else, and are shown nowhere."""

from __future__ import annotations

import base64
import dataclasses
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pydantic
import pytest
from click.testing import CliRunner

from assay.commands import run_commands
from assay.errors import SettingsError, SourceError
from assay.settings import BaseSettings
from assay.sources import ApiKey, Basic, Bearer, ClientCredentials, HtmlTable, Http, PagedJson, Rows
from tests.shop.project import shop_project

COLUMNS = {"id": "BIGINT"}
ONE = '{"data": [{"id": 1}], "next": null}'
QUICK = Http(attempts=2, wait=0.01)


class Settings(BaseSettings):
    api_token: pydantic.SecretStr | None = pydantic.Field(None, description="The API's token.")
    api_user: pydantic.SecretStr | None = pydantic.Field(None, description="The API's user.")
    api_password: pydantic.SecretStr | None = pydantic.Field(None, min_length=3, description="Their password.")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.read(
        {"PIPELINE_API_TOKEN": "t0ken+/=", "PIPELINE_API_USER": "ann", "PIPELINE_API_PASSWORD": "pa:ss"}, root=tmp_path
    )


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (Bearer("api_token"), "Authorization", "Bearer t0ken+/="),
        (ApiKey("api_token"), "X-Api-Key", "t0ken+/="),
        (ApiKey("api_token", header="Token"), "Token", "t0ken+/="),
        (Basic("api_user", "api_password"), "Authorization", "Basic " + base64.b64encode(b"ann:pa:ss").decode()),
    ],
)
def test_each_way_sends_what_the_settings_hold_with_every_request(land, server, settings, auth, header, value):
    server.serve("/a?page=1", '{"data": [{"id": 1}], "next": "?page=2"}')
    server.serve("/a?page=2", '{"data": [{"id": 2}], "next": null}')
    found = land(PagedJson("api", "a", auth=auth), server.url, COLUMNS, settings=settings)
    assert len(found.rows) == 2
    assert [headers.get(header) for headers in server.headers] == [value, value]
    assert PagedJson("api", "a", auth=auth).fingerprint(server.url, settings=settings) == found.landed.fingerprint


def test_a_key_may_be_a_parameter_and_is_shown_neither_then(land, server, settings, caplog):
    caplog.set_level(logging.DEBUG)
    source = PagedJson("api", "a", auth=ApiKey("api_token", parameter="key"), http=QUICK)
    server.serve("/a?key=t0ken%2B%2F%3D&page=1", (500, {}, b""), ONE)
    assert len(land(source, server.url, COLUMNS, settings=settings).rows) == 1
    server.serve("/a?key=t0ken%2B%2F%3D&page=1", (403, {}, b"t0ken"))
    with pytest.raises(SourceError) as error:
        land(source, server.url, COLUMNS, settings=settings)
    assert "HTTP Request" in caplog.text
    assert "t0ken" not in str(error.value) + caplog.text + repr([record.__dict__ for record in caplog.records])


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "HTTP 401: refuses PIPELINE_API_TOKEN"), (403, "HTTP 403: is not allowed with PIPELINE_API_TOKEN")],
)
def test_a_token_that_is_refused_names_the_setting_and_is_not_tried_again(land, server, settings, status, says):
    server.serve("/a?page=1", (status, {}, b"t0ken"))
    for source in (
        PagedJson("api", "a", auth=Bearer("api_token")),
        HtmlTable("api", "a?page=1", auth=Bearer("api_token")),
        Rows(lambda context: [context.http.get("a?page=1").json()], "api", "a", auth=Bearer("api_token")),
    ):
        with pytest.raises(SourceError, match=f"^sold: {server.url}/a.*: {says}. Check that setting") as error:
            land(source, server.url, COLUMNS, settings=settings)
        assert "t0ken" not in str(error.value)
    assert len(server.requests) == 3


def test_who_asks_for_credentials_of_a_source_that_has_none_is_told(land, server):
    server.serve("/a?page=1", (401, {}, b""))
    with pytest.raises(SourceError, match=r"HTTP 401: asks for credentials. Name a secret of the settings"):
        land(PagedJson("api", "a"), server.url, COLUMNS)


def test_a_setting_that_is_missing_is_named_before_anybody_is_asked(land, server, tmp_path):
    with pytest.raises(SettingsError, match="PIPELINE_API_TOKEN: is not set"):
        land(
            PagedJson("api", "a", auth=Bearer("api_token")),
            server.url,
            COLUMNS,
            settings=Settings.read({}, root=tmp_path),
        )
    with pytest.raises(SettingsError, match=r"PIPELINE_OTHER: is no secret of the settings.*other: pydantic.SecretStr"):
        land(
            PagedJson("api", "a", auth=Bearer("other")), server.url, COLUMNS, settings=Settings.read({}, root=tmp_path)
        )
    assert server.requests == []


def test_a_token_is_asked_for_once_and_anew_when_it_has_grown_old(land, server, settings):
    auth = ClientCredentials("/oauth/token", "api_user", "api_password", scope="read")
    server.serve("POST /oauth/token", '{"access_token": "first"}', '{"access_token": "second"}')
    server.serve("/a?page=1", '{"data": [{"id": 1}], "next": 2}')
    server.serve("/a?page=2", (401, {}, b""), '{"data": [{"id": 2}], "next": null}')
    found = land(PagedJson("api", "a", auth=auth, http=QUICK), server.url, COLUMNS, settings=settings)
    assert len(found.rows) == 2
    assert server.requests == ["POST /oauth/token", "/a?page=1", "/a?page=2", "POST /oauth/token", "/a?page=2"]
    assert server.headers[1]["Authorization"] == "Bearer first"
    assert server.headers[4]["Authorization"] == "Bearer second"
    assert server.bodies[0] == b"grant_type=client_credentials&scope=read"
    assert base64.b64decode(server.headers[0]["Authorization"].split()[1]) == b"ann:pa%3Ass"


def test_a_token_that_is_never_taken_ends_and_so_does_a_client_that_is_refused(land, server, settings):
    auth = ClientCredentials("/oauth/token", "api_user", "api_password")
    source = PagedJson("api", "a", auth=auth, http=Http(attempts=9, wait=0.01))
    server.serve("POST /oauth/token", '{"access_token": "t"}')
    server.serve("/a?page=1", (401, {}, b""))
    with pytest.raises(SourceError, match="HTTP 401: refuses PIPELINE_API_USER and PIPELINE_API_PASSWORD"):
        land(source, server.url, COLUMNS, settings=settings)
    assert len(server.requests) == 4
    server.serve("POST /oauth/token", (401, {}, b"pa:ss"))
    with pytest.raises(SourceError, match="HTTP 401: refuses PIPELINE_API_USER and PIPELINE_API_PASSWORD"):
        land(source, server.url, COLUMNS, settings=settings)
    server.serve("POST /oauth/token", '{"error": "pa:ss"}')
    with pytest.raises(SourceError, match="gave no access_token") as error:
        land(source, server.url, COLUMNS, settings=settings)
    assert "pa:ss" not in str(error.value)


@pytest.fixture
def thief():
    """Another server, which keeps the headers it is sent."""
    taken: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            taken.append(str(self.headers) + self.path)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}", taken
        httpd.shutdown()


@pytest.mark.parametrize("auth", [Bearer("api_token"), ApiKey("api_token", parameter="key"), ApiKey("api_token")])
def test_credentials_and_headers_reach_no_other_server(land, server, settings, thief, auth):
    url, taken = thief
    server.serve("/a?page=1", f'{{"data": [{{"id": 1}}], "next": "{url}/a"}}')
    server.serve("/a?key=t0ken%2B%2F%3D&page=1", f'{{"data": [{{"id": 1}}], "next": "{url}/a"}}')
    source = PagedJson("api", "a", auth=auth, headers={"X-Team": "blue"})
    with pytest.raises(SourceError, match="leads to another server"):
        land(source, server.url, COLUMNS, settings=settings)
    server.serve("/r", (302, {"Location": f"{url}/r"}, b""))
    server.serve("/r?key=t0ken%2B%2F%3D", (302, {"Location": f"{url}/r"}, b""))
    with pytest.raises(SourceError, match="redirects to another address"):
        land(
            Rows(lambda context: context.http.get("r").json(), "api", "a", auth=auth),
            server.url,
            COLUMNS,
            settings=settings,
        )
    assert taken == []
    # A function may well ask somebody else, without them.
    land(
        Rows(lambda context: context.http.get(f"{url}/x").json(), "api", "a", auth=auth),
        server.url,
        COLUMNS,
        settings=settings,
    )
    assert len(taken) == 1
    assert "t0ken" not in taken[0]


def test_settings_show_no_secret_not_even_one_that_is_wrong(tmp_path):
    with pytest.raises(SettingsError, match="PIPELINE_API_PASSWORD: its value is not valid") as error:
        Settings.read({"PIPELINE_API_PASSWORD": "no"}, root=tmp_path)
    assert "'no'" not in str(error.value)
    project = dataclasses.replace(
        shop_project(tmp_path), settings=lambda: Settings.read({"PIPELINE_API_TOKEN": "t0ken"}, root=tmp_path)
    )
    shown = CliRunner().invoke(run_commands.settings, obj=project).output
    assert "PIPELINE_API_TOKEN=***" in shown
    assert "t0ken" not in f"{shown} {project.settings()!r} {Bearer('api_token')!r}"


def test_headers_parameters_and_what_is_posted(land, server, settings):
    source = PagedJson(
        "api",
        "search",
        items="result.orders",
        next="result.cursor",
        page_param="cursor",
        first_page=None,
        size_param="limit",
        size=1,
        headers={"Accept": "application/json"},
        parameters={"shop": "a b"},
        post={"state": {"in": ["open"]}},
    )
    server.serve(
        "POST /search?shop=a+b",
        '{"result": {"orders": [{"id": 1}], "cursor": "x/1"}}',
        '{"result": {"orders": [{"id": 2}], "cursor": null}}',
    )
    assert [row[0] for row in land(source, server.url, COLUMNS).rows] == [1, 2]
    assert server.bodies == [
        b'{"state": {"in": ["open"]}, "limit": 1}',
        b'{"state": {"in": ["open"]}, "cursor": "x/1", "limit": 1}',
    ]
    assert {headers["Accept"] for headers in server.headers} == {"application/json"}
