"""Changes one line of `.refstore.toml` and leaves the rest, comments included, as its author wrote it."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from refstore.config import OPTIONS, SCALARS, SETTINGS_FILE, check_file, from_text, parse, read_file
from refstore.errors import InvalidSetting, StorageFull

_TABLE = re.compile(r"\s*\[")
_VALUE = r'(?:"(?:[^"\\]|\\.)*"|\'[^\']*\'|\[[^\]]*\]|[^#\s]+)'


def set_setting(root: Path, key: str, value: str) -> None:
    """Write one setting into the settings file, which is made where there is none.

    Args:
        root: The folder that holds `.refstore/`.
        key: A setting (`jobs`) or an endpoint's option (`endpoints.lab.url`).
        value: As text: a number for `jobs`, `true` or `false` for a switch, URIs with commas between them for `match`.

    Raises:
        InvalidSetting: There is no such setting, the value has no meaning, or the file is written in a way that takes a
            person to edit. The file is then as it was.
        StorageFull: The disk refuses to write.
    """
    table, name = _split(key)
    _write(root, table, name, _typed(table, name, value))


def unset_setting(root: Path, key: str) -> None:
    """Take one setting out of the settings file, so that its default holds again. Raises as `set_setting` does."""
    table, name = _split(key)
    _write(root, table, name, None)


def _split(key: str) -> tuple[str, str]:
    """The name of the endpoint ("" for none) and the name of the setting or option."""
    if key in SCALARS:
        return "", key
    if match := re.fullmatch(r"endpoints\.([A-Za-z0-9_-]+)\.(\w+)", key):
        if match[2] not in OPTIONS:
            raise InvalidSetting(f"{key!r} is no setting: the options of an endpoint are {', '.join(OPTIONS)}.")
        return match[1], match[2]
    if key != "endpoints":
        check_file({key: ""}, "refstore config")
    raise InvalidSetting(f"{key!r} is no setting: name an endpoint's option, as in endpoints.lab.url.")


def _typed(table: str, name: str, text: str) -> Any:
    if not table:
        return from_text(name, text, "refstore config")
    kind = OPTIONS[name][0]
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise InvalidSetting(f"endpoints.{table}.{name} = {text!r} is not allowed: give true or false.")
        return text.lower() == "true"
    if kind is list:
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _write(root: Path, table: str, name: str, value: Any) -> None:
    path = root / SETTINGS_FILE
    before = read_file(path)
    text = path.read_text("utf-8") if path.exists() else ""
    edited = _edited(text, table, name, value)
    wanted = _changed(before, table, name, value)
    check_file(wanted, str(path))
    if parse(edited) != wanted:
        raise InvalidSetting(f"{path} is written in a way that refstore can't change: edit {name} there by hand.")
    if edited != text:
        _replace(path, edited)


def _changed(data: dict[str, Any], table: str, name: str, value: Any) -> dict[str, Any]:
    """What the file has to say after the change."""
    if not table:
        rest = {key: old for key, old in data.items() if key != name}
        return rest if value is None else {**rest, name: value}
    endpoints = data.get("endpoints", {})
    changed = _changed(endpoints.get(table, {}), "", name, value)
    if value is None and table not in endpoints:
        return data
    return {**data, "endpoints": {**endpoints, table: changed}}


def _edited(text: str, table: str, name: str, value: Any) -> str:
    """The text with one line put, replaced or (`None`) dropped, in the table or before the first one."""
    lines = text.splitlines(keepends=True)
    start = 0
    if table:
        header = re.compile(rf"\s*\[\s*endpoints\s*\.\s*[\"']?{re.escape(table)}[\"']?\s*\]\s*(#.*)?$")
        start = next((at + 1 for at, line in enumerate(lines) if header.match(line)), -1)
        if start < 0:
            if value is None:
                return text
            gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
            return f"{text}{gap}[endpoints.{table}]\n{name} = {_toml(value)}\n"
    end = next((at for at in range(start, len(lines)) if _TABLE.match(lines[at])), len(lines))
    setting = re.compile(rf"(\s*[\"']?{name}[\"']?\s*=\s*){_VALUE}(?P<rest>[^\n]*\n?)$", re.DOTALL)
    for at in range(start, end):
        if match := setting.match(lines[at]):
            lines[at] = "" if value is None else f"{match[1]}{_toml(value)}{match['rest']}"
            return "".join(lines)
    if value is None:
        return text
    # Comments above a table belong to it, so the new line goes after the last setting, not before the header.
    at = next(
        (at + 1 for at in range(end - 1, start - 1, -1) if "=" in lines[at] and not lines[at].lstrip().startswith("#")),
        start,
    )
    if at and lines[at - 1] and not lines[at - 1].endswith("\n"):
        lines[at - 1] += "\n"
    return "".join([*lines[:at], f"{name} = {_toml(value)}\n", *lines[at:]])


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # JSON's strings, numbers and booleans are TOML's too, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _replace(path: Path, text: str) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    try:
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
        temporary = Path(name)
        try:
            with open(number, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, not a path
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageFull(f"{path} can't be written: {error.strerror or error}.") from error


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
