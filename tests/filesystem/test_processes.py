"""One file system in many threads and processes, as loaders of data use it."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from refstore import Store
from refstore.filesystem import RefstoreFileSystem
from tests.filesystem.conftest import write
from tests.servers.s3 import S3Server

FILES = {f"d{n % 3}/{n:03d}": b"content %d " % n * 50 for n in range(40)}


class Samples:
    """A data set as `torch.utils.data.DataLoader` takes it: its workers get a copy, forked or pickled."""

    def __init__(self, url: str) -> None:
        self.fs, self.root = fsspec.url_to_fs(url)
        self.paths = self.fs.find(self.root)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[str, bytes]:
        with self.fs.open(self.paths[number]) as file:
            return self.paths[number].removeprefix(self.root + "/"), file.read()


_samples: Samples


def begin(samples: Samples) -> None:
    global _samples
    _samples = samples


def item(number: int) -> tuple[str, bytes]:
    return _samples[number]


@pytest.fixture
def samples(store: Store, s3: S3Server, tmp_path: Path) -> Samples:
    """Half of the files are in S3, where they were overwritten; the others are in a folder."""
    bucket, names = s3.make_bucket(), sorted(FILES)
    s3.put_many(bucket, {f"p/{name}": FILES[name] for name in names[::2]})
    data = write(tmp_path / "data", {name: FILES[name] for name in names[1::2]})
    with_s3 = store.add([f"s3://{bucket}/p/", str(data)], name="samples")
    assert with_s3.version is not None
    assert with_s3.version.file_count == len(FILES)
    s3.put_many(bucket, {f"p/{name}": b"overwritten" for name in names[::2]})
    return Samples("refstore://samples:v0")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_a_loader_read_what_was_recorded(samples: Samples, method: str) -> None:
    assert samples[0] == (sorted(FILES)[0], FILES[sorted(FILES)[0]])
    assert samples[1][1] == FILES[sorted(FILES)[1]]
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context, initializer=begin, initargs=(samples,)) as pool:
        assert dict(pool.map(item, range(len(samples)), chunksize=7)) == FILES
    assert dict(samples[number] for number in range(len(samples))) == FILES


def test_threads_share_an_instance(samples: Samples) -> None:
    at_once = threading.Barrier(8)

    def read(thread: int) -> dict[str, bytes]:
        at_once.wait()
        numbers = [(thread * 5 + n) % len(samples) for n in range(len(samples))]
        return dict(samples[number] for number in numbers)

    with ThreadPoolExecutor(8) as pool:
        assert all(found == FILES for found in pool.map(read, range(8)))


def test_a_thread_of_its_own_has_an_instance_of_the_same_store(fs: RefstoreFileSystem, store: Store) -> None:
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: fsspec.filesystem("refstore")).result()
    again = pickle.loads(pickle.dumps(other))
    assert other._stores is again._stores is fs._stores
    assert other.fsid == fs.fsid
    assert fsspec.AbstractFileSystem.from_json(fs.to_json())._stores is fs._stores


def test_a_pickle_means_the_same_store_in_another_folder(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(write(tmp_path / "data", {"a": b"content"}), name="x")
    pickled = pickle.dumps(fsspec.filesystem("refstore"))
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(pickled).cat_file("x:v0/a") == b"content"
