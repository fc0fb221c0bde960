"""Libraries that read data open a version by its URL, after its objects were overwritten."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import fsspec.parquet
import numpy
import pandas
import pyarrow.csv
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import pytest

from refstore import Store
from refstore.errors import SourceChanged, SourceGone
from refstore.filesystem import RefstoreFileSystem
from tests.servers.s3 import S3Server, operation

TABLE = pandas.DataFrame({"id": range(1000), "name": [f"n{n}" for n in range(1000)]})
OTHER = TABLE.assign(id=-1, name="overwritten")
URL = "refstore://tables:v0"


def csv(table: pandas.DataFrame) -> bytes:
    return table.to_csv(index=False).encode()


def parquet(table: pandas.DataFrame, **options: Any) -> bytes:
    out = io.BytesIO()
    table.to_parquet(out, index=False, **options)
    return out.getvalue()


def files(table: pandas.DataFrame) -> dict[str, bytes]:
    halves = table[:500], table[500:]
    return {
        "t/a.csv": csv(table),
        "t/a.parquet": parquet(table),
        **{f"t/parts/part={n}/data.parquet": parquet(half) for n, half in enumerate(halves)},
    }


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.make_bucket()


@pytest.fixture
def overwritten(store: Store, s3: S3Server, bucket: str) -> None:
    """A version of tables in S3, all of which have been overwritten since."""
    s3.put_many(bucket, files(TABLE))
    store.add(f"s3://{bucket}/t/", name="tables")
    s3.put_many(bucket, files(OTHER))


@pytest.mark.usefixtures("overwritten")
def test_pandas_gets_the_pinned_bytes() -> None:
    assert pandas.read_csv(f"{URL}/a.csv").equals(TABLE)
    assert pandas.read_parquet(f"{URL}/a.parquet").equals(TABLE)
    assert pandas.read_parquet(f"{URL}/a.parquet", columns=["id"]).equals(TABLE[["id"]])
    parts = pandas.read_parquet(f"{URL}/parts")
    assert parts[["id", "name"]].equals(TABLE)
    assert sorted(parts["part"].astype(int).unique()) == [0, 1]


@pytest.mark.usefixtures("overwritten")
def test_pyarrow_gets_the_pinned_bytes(fs: RefstoreFileSystem) -> None:
    assert pyarrow.parquet.read_table("tables:v0/a.parquet", filesystem=fs).to_pandas().equals(TABLE)
    with fs.open("tables:v0/a.csv") as file:
        assert pyarrow.csv.read_csv(file).to_pandas().equals(TABLE)
    handled = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs))
    for filesystem in (fs, handled):
        data = pyarrow.dataset.dataset("tables:v0/parts", filesystem=filesystem, partitioning="hive")
        assert data.count_rows() == 1000
        found = data.to_table(filter=pyarrow.dataset.field("id") == 700).to_pandas()
        assert found.to_dict("records") == [{"id": 700, "name": "n700", "part": 1}]
    by_name = pyarrow.dataset.dataset("tables:v0/a.csv", filesystem=fs, format="csv")
    assert by_name.to_table().to_pandas().equals(TABLE)
    found = handled.get_file_info(pyarrow.fs.FileSelector("tables:v0", recursive=True))
    assert {info.path: info.type.name for info in found}["tables:v0/parts/part=1"] == "Directory"


@pytest.mark.usefixtures("overwritten")
def test_duckdb_gets_the_pinned_bytes() -> None:
    with duckdb.connect() as db:
        db.register_filesystem(fsspec.filesystem("refstore"))
        assert db.sql(f"select sum(id) from '{URL}/a.csv'").fetchall() == [(499500,)]
        assert db.sql(f"select sum(id), max(name) from '{URL}/a.parquet'").fetchall() == [(499500, "n999")]
        found = db.sql(
            f"select part, count(*), max(id) from read_parquet('{URL}/parts/*/*.parquet', hive_partitioning = true) "
            "group by part order by part"
        )
        assert [tuple(map(int, row)) for row in found.fetchall()] == [(0, 500, 499), (1, 500, 999)]
        with pytest.raises(duckdb.Error, match="read-only"):
            db.sql(f"copy (select 1) to '{URL}/new.csv'")


def test_all_of_them_refuse_what_can_not_be_had_any_more(
    store: Store, fs: RefstoreFileSystem, s3: S3Server, bucket: str
) -> None:
    bucket = s3.make_bucket(versioned=False)
    s3.put_many(bucket, files(TABLE))
    store.add(f"s3://{bucket}/t/", name="tables")
    s3.put_many(bucket, files(OTHER))
    for name in ("a.csv", "a.parquet"):
        read = getattr(pandas, f"read_{name[2:]}")
        with pytest.raises(SourceChanged):
            read(f"{URL}/{name}")
        with pytest.raises(SourceChanged):
            pyarrow.dataset.dataset(f"tables:v0/{name}", filesystem=fs, format=name[2:]).to_table()
        with duckdb.connect() as db:
            db.register_filesystem(fs)
            with pytest.raises(duckdb.Error, match="was overwritten since it was recorded"):
                db.sql(f"select * from '{URL}/{name}'").fetchall()


def test_one_column_of_a_parquet_file_costs_no_more_requests_than_with_s3fs(
    store: Store, fs: RefstoreFileSystem, s3: S3Server, bucket: str
) -> None:
    wide = pandas.DataFrame(numpy.random.default_rng(1).random((40_000, 30))).rename(columns=str)
    s3.put(bucket, "wide.parquet", parquet(wide, compression=None))
    store.add(f"s3://{bucket}/wide.parquet", name="wide")
    environment = s3.environment(reader=True, logged=True)
    peer = fsspec.filesystem(
        "s3",
        key=environment["AWS_ACCESS_KEY_ID"],
        secret=environment["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        skip_instance_cache=True,
    )
    asked = []
    for filesystem, path in ((peer, f"{bucket}/wide.parquet"), (fs, "wide:v0/wide.parquet")):
        mark = s3.mark()
        column = pyarrow.parquet.read_table(path, filesystem=filesystem, columns=["17"]).to_pandas()
        assert column.equals(wide[["17"]])
        asked.append([operation(request) for request in s3.requests_since(mark, bucket)])
    assert len(asked[1]) <= len(asked[0])
    assert asked[1] == ["GetObject"] * len(asked[1])
    mark = s3.mark()
    with fsspec.parquet.open_parquet_file("refstore://wide:v0/wide.parquet", columns=["17"]) as file:
        assert pandas.read_parquet(file, columns=["17"]).equals(wide[["17"]])
    assert len(s3.requests_since(mark, bucket)) <= 3


def test_a_zarr_array_is_opened_and_a_chunk_that_is_gone_is_not_taken_for_zeros(
    store: Store, fs: RefstoreFileSystem, tmp_path: Path
) -> None:
    zarr = pytest.importorskip("zarr")
    xarray = pytest.importorskip("xarray")
    made = xarray.Dataset({"t": ("x", numpy.arange(1.0, 101.0))})
    made.to_zarr(tmp_path / "a.zarr", encoding={"t": {"chunks": (10,)}}, zarr_format=2, consolidated=True)
    store.add(tmp_path / "a.zarr", name="arrays")
    url = "refstore://arrays:v0"
    with xarray.open_zarr(url, chunks=None) as found:
        assert found["t"].values.tolist() == made["t"].values.tolist()
    assert zarr.open_array(fs.get_mapper("arrays:v0/t"), mode="r")[95] == 96
    (tmp_path / "a.zarr" / "t" / "3").unlink()
    with xarray.open_zarr(url, chunks=None) as found:
        assert found["t"][:30].values.tolist() == made["t"][:30].values.tolist()
        with pytest.raises(SourceGone):
            print(found["t"][30:40].values)
