"""Files in an object store (a real server of S3's protocol) and on a web server, read as those in a folder."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import httpx
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic
import pytest
from obstore.store import from_url

from assay.errors import SettingsError, SourceError, SourceUnavailable
from assay.settings import BaseSettings
from assay.sources import Bearer, Csv, Http, Ndjson, Parquet
from assay.sources.remote import check_location
from tests.little import Little

COLUMNS = {"id": "BIGINT", "name": "VARCHAR"}
QUICK = Http(attempts=2, wait=0.01, longest_wait=0.02)
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "s3cret",
    "AWS_REGION": "us-east-1",
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # a quarter second, for each process that collects tests

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {**VARIABLES, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    httpx.post(f"{endpoint}/moto-api/reset").raise_for_status()
    httpx.put(f"{endpoint}/shop").raise_for_status()
    return f"{endpoint}/shop"


def put(bucket: str, path: str, content: bytes | str) -> None:
    store = from_url(f"s3://{bucket.rpartition('/')[2]}", client_options={"allow_http": True})
    obstore.put(store, path, content.encode() if isinstance(content, str) else content)


def test_csv_ndjson_and_parquet_are_read_from_a_bucket(land, bucket, tmp_path):
    put(bucket, "in/a.csv", "id,name\n1,ann\nx,bob\n")
    put(bucket, "in/b.csv.gz", gzip.compress(b"id,name\n3,cem\n"))
    put(bucket, "in/deep/c.csv", "id,name\n4,dee\n")
    put(bucket, "in/d.ndjson", '{"id": 5, "name": "eva"}\n')
    pq.write_table(pa.table({"id": [6], "name": ["fay"]}), tmp_path / "e.parquet")
    put(bucket, "in/e.parquet", (tmp_path / "e.parquet").read_bytes())
    found = land(Csv("shop", "*.csv*"), "s3://shop/in", COLUMNS)
    assert found.rows == [(1, "ann"), (3, "cem")]
    assert found.places == [("a.csv", 2), ("b.csv.gz", 2)]
    assert found.reasons == [("csv.cast", 3)]
    assert found.landed.fingerprint == Csv("shop", "*.csv*").fingerprint("s3://shop/in")
    (tmp_path / "scratch" / "copy").rename(tmp_path / "first")
    assert land(Ndjson("shop", "d.ndjson"), "s3://shop/in", COLUMNS).rows == [(5, "eva")]
    (tmp_path / "scratch" / "copy").rename(tmp_path / "second")
    assert land(Parquet("shop", "e.*"), "s3://shop/in/", COLUMNS).rows == [(6, "fay")]
    (tmp_path / "scratch" / "copy").rename(tmp_path / "third")
    assert land(Csv("shop", "in/**/[!ab].csv"), "s3://shop", COLUMNS).rows == [(4, "dee")]


GOOGLES = """<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>in/a.csv</Key><ETag>"1"</ETag><Size>14</Size>
    <LastModified>2026-03-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"""
MICROSOFTS = """<EnumerationResults><Blobs><Blob><Name>in/a.csv</Name><Properties><Etag>"1"</Etag><Content-Length>14</Content-Length>
    <Content-Type>text/csv</Content-Type><Last-Modified>Sun, 01 Mar 2026 00:00:00 GMT</Last-Modified></Properties></Blob></Blobs><NextMarker/></EnumerationResults>"""


@pytest.mark.parametrize(
    ("base", "variables", "listing", "file", "listed"),
    [
        (
            "gs",
            "GOOGLE_BASE_URL GOOGLE_SKIP_SIGNATURE",
            "/shop?list-type=2&prefix=in%2F",
            "/shop/in%2Fa%2Ecsv",
            GOOGLES,
        ),
        (
            "az",
            "AZURE_STORAGE_ENDPOINT AZURE_SKIP_SIGNATURE",
            "/shop?restype=container&comp=list&prefix=in%2F",
            "/shop/in/a.csv",
            MICROSOFTS,
        ),
    ],
)
def test_the_other_stores_are_read_by_their_protocols(
    land, server, monkeypatch, tmp_path, base, variables, listing, file, listed
):
    for name, value in zip(variables.split(), (server.url, "true"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "team")
    told = {"ETag": '"1"', "Last-Modified": "Sun, 01 Mar 2026 00:00:00 GMT"}
    server.serve(listing, listed)
    server.serve(file, (200, told, b"id,name\n1,ann\n"))
    source = Csv("shop", "*.csv", limits=QUICK)
    found = land(source, f"{base}://shop/in", COLUMNS)
    assert (found.rows, found.places) == ([(1, "ann")], [("a.csv", 2)])
    assert source.fingerprint(f"{base}://shop/in") == found.landed.fingerprint
    server.serve(listing, (403, {}, b""))
    with pytest.raises(SourceError, match=r"refuses the credentials\. Check the variables (GOOGLE|AZURE)_"):
        source.fingerprint(f"{base}://shop/in")


def test_the_fingerprint_follows_the_objects_without_reading_them(bucket):
    source = Csv("shop", "*.csv")
    put(bucket, "a.csv", "id,name\n1,ann\n")
    first = source.fingerprint("s3://shop")
    assert source.fingerprint("s3://shop") == first
    put(bucket, "a.csv", "id,name\n2,ann\n")
    second = source.fingerprint("s3://shop")
    put(bucket, "b.csv", "id,name\n2,ann\n")
    assert len({first, second, source.fingerprint("s3://shop")}) == 3


def test_what_is_not_there_and_what_is_wrong_is_told_by_the_stores_address(land, bucket, tmp_path):
    put(bucket, "cut.csv.gz", gzip.compress(b"id,name\n" * 99)[:-9])
    for source, base, message in (
        (Csv("shop", "a.csv"), "s3://shop", "sold: s3://shop/a.csv: the bucket or the file does not exist"),
        (Csv("shop", "a.csv"), "s3://shopp", "sold: s3://shopp/a.csv: the bucket or the file does not exist"),
        (Csv("shop", "*.csv"), "s3://shopp/x", r"sold: s3://shopp/x/\*.csv: the bucket or the file does not exist"),
        (Csv("shop", "*.csv"), "s3://shop", r"sold: s3://shop/\*.csv: no file matches"),
        (Csv("shop", "cut.csv.gz"), "s3://shop", "sold: s3://shop/cut.csv.gz: the compressed file is truncated"),
    ):
        with pytest.raises(SourceError, match=f"^{message}"):
            land(source, base, COLUMNS)
        (tmp_path / "scratch" / "copy").rename(tmp_path / f"c{len(list(tmp_path.iterdir()))}")


def test_a_store_that_does_not_answer_or_refuses_is_told_without_a_secret(land, bucket, monkeypatch, server):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    source = Csv("shop", "a.csv", limits=QUICK)
    with pytest.raises(
        SourceUnavailable, match=r"s3://shop/a.csv: the store does not answer. Check the location"
    ) as error:
        source.fingerprint("s3://shop")
    assert "s3cret" not in str(error.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    for status in (401, 403):
        server.serve("/shop?list-type=2", (status, {}, b"<Error/>"))
        server.answers["/shop/?list-type=2"] = server.answers["/shop?list-type=2"]
        with pytest.raises(SourceError, match=r"refuses the credentials. Check the variables AWS_"):
            Csv("shop", "*.csv", limits=QUICK).fingerprint("s3://shop")


def test_a_file_of_a_web_server_is_read_with_a_token(land, server, tmp_path):
    class Settings(BaseSettings):
        shop_token: pydantic.SecretStr | None = None

    settings = Settings.read({"PIPELINE_SHOP_TOKEN": "t0ken"}, root=tmp_path)
    server.serve("/files/a.csv.gz?v=1", (500, {}, b""), gzip.compress(b"id,name\n1,ann\n"))
    source = Csv("shop", "a.csv.gz", auth=Bearer("shop_token"), limits=QUICK)
    found = land(source, f"{server.url}/files?v=1", COLUMNS, settings=settings)
    assert found.rows == [(1, "ann")]
    assert found.places == [("a.csv.gz", 2)]
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer t0ken"}
    assert source.fingerprint(f"{server.url}/files?v=1", settings=settings) == found.landed.fingerprint
    server.serve("/files/a.csv.gz?v=1", (403, {}, b""))
    with pytest.raises(SourceError, match="HTTP 403: is not allowed with PIPELINE_SHOP_TOKEN"):
        source.fingerprint(f"{server.url}/files?v=1", settings=settings)
    with pytest.raises(SourceError, match="a web server lists no files"):
        Csv("shop", "*.csv").fingerprint(server.url)


def test_a_question_mark_is_a_pattern_in_a_bucket_and_begins_parameters_on_the_web(land, bucket, server, tmp_path):
    put(bucket, "a?1.csv", "id,name\n1,ann\n")
    put(bucket, "a?2.csv", "id,name\n2,bob\n")
    put(bucket, "a?10.csv", "id,name\n3,cem\n")
    assert land(Csv("shop", "a??.csv"), "s3://shop", COLUMNS).places == [("a?1.csv", 2), ("a?2.csv", 2)]
    (tmp_path / "scratch" / "copy").rename(tmp_path / "first")
    server.serve("/export?format=csv&days=*", b"id,name\n1,ann\n")
    found = land(Csv("shop", "export?format=csv&days=*", limits=QUICK), server.url, COLUMNS)
    assert found.places == [("export", 2)]


def test_what_does_not_fit_on_the_disk_is_no_silence_of_the_store(land, bucket):
    put(bucket, "in", "id,name\n1,ann\n")
    put(bucket, "in/a.csv", "id,name\n2,bob\n")  # a folder of the same name as a file, which only a store has
    with pytest.raises(SourceError, match=r"in/a.csv: cannot be copied here: File exists. Free the disk"):
        land(Csv("shop", "**/*"), "s3://shop", COLUMNS)


def test_a_download_is_bounded_and_begun_anew(land, server, tmp_path):
    server.serve(
        "/a.csv", (200, {"Content-Length": "99", "Connection": "close"}, b"id,name\n9,cut"), b"id,name\n1,ann\n"
    )
    assert land(Csv("shop", "a.csv", limits=QUICK), server.url, COLUMNS).rows == [(1, "ann")]
    with pytest.raises(SourceError, match=r"larger than 9 bytes.*Http\(total_bytes"):
        Csv("shop", "a.csv", limits=Http(total_bytes=9)).fingerprint(server.url)
    with pytest.raises(SourceError, match="leads out of the location"):
        Csv("shop", "../../a.csv").fingerprint(f"{server.url}/x")


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (
            "ftp://host/files",
            "PIPELINE_SOURCE_SHOP: ftp:// leads to no files. Set a folder, or s3://, gs://, az://, https://",
        ),
        ("s3://", "PIPELINE_SOURCE_SHOP: s3://... names no bucket. Set s3://BUCKET/FOLDER"),
        ("s3:///in", "names no bucket"),
    ],
)
def test_an_address_without_files_is_refused_when_it_is_set(base, message):
    with pytest.raises(SettingsError) as error:
        check_location("shop", base, "PIPELINE_")
    assert message in str(error.value)
    for sound in ("data", "/data", "./x", "s3://b", "gs://b/x", "az://b", "https://host/x"):
        check_location("shop", sound, "PIPELINE_")


def test_a_run_refuses_it_before_anything_is_built(tmp_path: Path):
    little = Little(tmp_path)
    file = little.table("numbers")
    text = file.read_text().replace("@table(source=Given())", '@table(source=Csv("files", "a.csv"))')
    file.write_text(text.replace("from assay.sources.base", "from assay.sources import Csv\nfrom assay.sources.base"))
    code, output, errors = little.run("run", environment={"PIPELINE_SOURCE_FILES": "ftp://host/x"})
    assert code == 2, output + errors
    assert "PIPELINE_SOURCE_FILES" in errors + output
    assert not (tmp_path / "began").exists()


def test_without_the_extra_an_object_store_is_refused(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"object store \(gs://\). Install the extra: dagster-assay\[stores\]"):
        check_location("shop", "gs://bucket", "PIPELINE_")


def test_only_the_new_objects_of_a_bucket_are_fetched(land, bucket, tmp_path):
    source, base = Csv("shop", "in/*.csv", new_only=True), "s3://shop"
    put(bucket, "in/a.csv", "id,name\n1,ann\n")
    first = land(source, base, COLUMNS)
    assert (first.rows, first.places) == ([(1, "ann")], [("in/a.csv", 2)])
    (tmp_path / "scratch" / "copy").rename(tmp_path / "first")
    put(bucket, "in/b[1].csv", "id,name\n2,bob\n")
    assert source.lag(base, first.landed.offsets) == 1
    second = land(source, base, COLUMNS, offsets=first.landed.offsets)
    assert (second.rows, second.places) == ([(2, "bob")], [("in/b[1].csv", 2)])
    put(bucket, "in/a.csv", "id,name\n7,ann\n")
    with pytest.raises(SourceError, match=r"sold: s3://shop/in/a\.csv: was read, and has changed since"):
        land(source, base, COLUMNS, offsets=second.landed.offsets)
    store = from_url(base, client_options={"allow_http": True})
    obstore.delete(store, ["in/a.csv", "in/b[1].csv"])
    assert land(source, base, COLUMNS, offsets=second.landed.offsets).rows == []
    with pytest.raises(SourceError, match="no file matches"):
        land(source, base, COLUMNS)


def test_a_web_server_has_no_new_files(land, server):
    with pytest.raises(SourceError, match="a web server lists no files"):
        land(Csv("shop", "*.csv", new_only=True), server.url, COLUMNS)
