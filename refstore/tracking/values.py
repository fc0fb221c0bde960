"""Named values that read as a mapping and as attributes: the config and the summary of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from refstore.errors import UsageError
from refstore.tracking.plain import plain, plain_object


class Values(MutableMapping[str, Any]):
    """A mapping from names to JSON values; `config["lr"]` and `config.lr` are the same.

    Args:
        data: What it holds at first.
        what: What it is, for messages.
        changed: Called after each change.
    """

    def __init__(self, data: Any = None, what: str = "config", changed: Callable[[], None] | None = None) -> None:
        object.__setattr__(self, "_what", what)
        object.__setattr__(self, "_changed", changed or (lambda: None))
        object.__setattr__(self, "_data", plain_object(data, what))

    def __getitem__(self, key: str) -> Any:
        return self._data[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._data[str(key)] = plain(value)
        self._changed()

    def __delitem__(self, key: str) -> None:
        del self._data[key]
        self._changed()

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __getattr__(self, name: str) -> Any:
        data = self.__dict__.get("_data", {})
        if name not in data:
            raise AttributeError(f"The {self.__dict__.get('_what')} has no {name!r}.")
        return data[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __repr__(self) -> str:
        return repr(self._data)

    def update(self, *others: Any, allow_val_change: bool | None = None, **values: Any) -> None:
        """Take in the values of mappings, name spaces or dataclasses.

        Raises:
            UsageError: One of them is none of these.
        """
        for other in (*others, values):
            self._data.update(plain_object(other, self._what))
        self._changed()

    def setdefaults(self, values: Any) -> dict[str, Any]:
        """Take in those values that have no name here yet."""
        for key, value in plain_object(values, self._what).items():
            self._data.setdefault(key, value)
        self._changed()
        return self.as_dict()

    def as_dict(self) -> dict[str, Any]:
        """A copy of all of it."""
        copy = plain(dict(self._data))
        if not isinstance(copy, dict):
            raise UsageError(f"The {self._what} is no mapping.")
        return copy
