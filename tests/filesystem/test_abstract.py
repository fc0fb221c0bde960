"""fsspec's own suite, as far as it reads.

Of its classes `AbstractGetTests` applies: all of it runs, on versions in the place of the trees that it would write
itself. `AbstractCopyTests`, `AbstractPipeTests` and `AbstractPutTests` are about writing, and so is the one test of
`AbstractOpenTests`, which opens a file with `wb` and then with `xb`: `test_tree.py` has what is said instead.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from refstore import Store
from refstore.filesystem import RefstoreFileSystem


def join(*parts: str) -> str:
    return "/".join(parts)


class TestGet(AbstractFixtures, AbstractGetTests):
    @pytest.fixture
    def fs(self, store: Store) -> RefstoreFileSystem:
        return RefstoreFileSystem(store=store.root)

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return join

    @pytest.fixture
    def fs_path(self) -> str:
        return "x:v0"

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False

    def recorded(self, make: Callable[..., Any], store: Store, tmp_path: Path) -> str:
        """What one of the suite's own functions makes in a folder, as a folder of a version."""
        make(LocalFileSystem(auto_mkdir=True), join, str(tmp_path / "made"))
        store.add(tmp_path / "made", name="x")
        return "x:v0/source"

    @pytest.fixture
    def fs_bulk_operations_scenario_0(self, store: Store, tmp_path: Path) -> str:
        return self.recorded(self._bulk_operations_scenario_0, store, tmp_path)

    @pytest.fixture
    def fs_glob_edge_cases_files(self, store: Store, tmp_path: Path) -> str:
        return self.recorded(self._glob_edge_cases_files, store, tmp_path)

    @pytest.fixture
    def fs_dir_and_file_with_same_name_prefix(self, store: Store, tmp_path: Path) -> str:
        return self.recorded(self._dir_and_file_with_same_name_prefix, store, tmp_path)

    @pytest.fixture
    def fs_10_files_with_hashed_names(self, store: Store, tmp_path: Path) -> str:
        return self.recorded(self._10_files_with_hashed_names, store, tmp_path)

    def test_get_directory_recursive(
        self,
        fs: RefstoreFileSystem,
        fs_join: Callable[..., str],
        fs_path: str,
        local_fs: LocalFileSystem,
        local_join: Callable[..., str],
        local_target: str,
        store: Store,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # this one makes its tree in its own first lines
        def touch(path: str) -> None:
            assert path == "x:v0/src/file"
            (tmp_path / "made" / "src").mkdir(parents=True)
            (tmp_path / "made" / "src" / "file").touch()
            store.add(tmp_path / "made", name="x")

        monkeypatch.setattr(fs, "mkdir", lambda path: None)
        monkeypatch.setattr(fs, "touch", touch)
        super().test_get_directory_recursive(fs, fs_join, fs_path, local_fs, local_join, local_target)
