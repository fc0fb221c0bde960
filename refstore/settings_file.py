"""Changes one line of `.refstore.toml` and leaves the rest, comments included, as its author wrote it."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from refstore.config import OPTIONS, SCALARS, SETTINGS_FILE, TABLES, check_file, from_text, parse, read_file
from refstore.errors import InvalidSetting, StorageFull

_TABLE = re.compile(r"\s*\[")
_VALUE = r'(?:"(?:[^"\\]|\\.)*"|\'[^\']*\'|\[[^\]]*\]|[^#\s]+)'


def set_setting(root: Path, key: str, value: str) -> None:
    """Write one setting into the settings file, which is made where there is none.

    Args:
        root: The folder that holds `.refstore/`.
        key: A setting (`jobs`), an endpoint's option (`endpoints.lab.url`) or a remote's (`remotes.origin.url`).
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


def drop_table(root: Path, table: str) -> None:
    """Take a table (`remotes.origin`) with all its lines out of the settings file. Raises as `set_setting` does."""
    path = root / SETTINGS_FILE
    lines = path.read_text("utf-8").splitlines(keepends=True)
    at = _header(lines, table)
    if at is not None:
        end = next((n for n in range(at + 1, len(lines)) if _TABLE.match(lines[n])), len(lines))
        while end > at + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
            end -= 1  # comments above a table belong to it
        while end < len(lines) and not lines[end].strip():
            end += 1
        del lines[at:end]
        while lines and not lines[-1].strip():
            lines.pop()
    kind, _, name = table.partition(".")
    data = read_file(path)
    tables = {key: value for key, value in data.get(kind, {}).items() if key != name}
    wanted = {**data, kind: tables}
    if not tables:
        del wanted[kind]
    _settle(path, "".join(lines), wanted, table)


def rename_table(root: Path, old: str, new: str) -> None:
    """Give a table (`remotes.origin`) another name in the settings file. Raises as `set_setting` does."""
    path = root / SETTINGS_FILE
    lines = path.read_text("utf-8").splitlines(keepends=True)
    at = _header(lines, old)
    kind, _, name = old.partition(".")
    becomes = new.partition(".")[2]
    if at is not None:
        before, dot, rest = lines[at].partition(".")
        lines[at] = before + dot + rest.replace(name, becomes, 1)
    data = read_file(path)
    tables = {becomes if key == name else key: value for key, value in data.get(kind, {}).items()}
    _settle(path, "".join(lines), {**data, kind: tables}, old)


def _split(key: str) -> tuple[str, str]:
    """The table, `endpoints.lab` say ("" for none), and the name of the setting or option."""
    if key in SCALARS:
        return "", key
    if match := re.fullmatch(r"(endpoints\.[A-Za-z0-9_-]+)\.(\w+)", key):
        if match[2] not in OPTIONS:
            raise InvalidSetting(f"{key!r} is no setting: the options of an endpoint are {', '.join(OPTIONS)}.")
        return match[1], match[2]
    if match := re.fullmatch(r"(remotes\.[A-Za-z0-9_-]+)\.url", key):
        return match[1], "url"
    if key not in TABLES:
        check_file({key: ""}, "refstore config")
    raise InvalidSetting(f"{key!r} is no setting: name an option, as in endpoints.lab.url or remotes.origin.url.")


def _typed(table: str, name: str, text: str) -> Any:
    if not table:
        return from_text(name, text, "refstore config")
    if table.startswith("remotes."):
        return text
    kind = OPTIONS[name][0]
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise InvalidSetting(f"{table}.{name} = {text!r} is not allowed: give true or false.")
        return text.lower() == "true"
    if kind is list:
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _write(root: Path, table: str, name: str, value: Any) -> None:
    path = root / SETTINGS_FILE
    before = read_file(path)
    text = path.read_text("utf-8") if path.exists() else ""
    edited = _edited(text, table, name, value)
    _settle(path, edited, _changed(before, table, name, value), name)


def _settle(path: Path, edited: str, wanted: dict[str, Any], what: str) -> None:
    """Write the text, if it says what it has to say, and that has a meaning."""
    check_file(wanted, str(path))
    if parse(edited) != wanted:
        raise InvalidSetting(f"{path} is written in a way that refstore can't change: edit {what} there by hand.")
    if not path.exists() or edited != path.read_text("utf-8"):
        _replace(path, edited)


def _header(lines: list[str], table: str) -> int | None:
    """The number of the line that begins a table; None where there is none."""
    kind, _, name = table.partition(".")
    header = re.compile(rf"\s*\[\s*{kind}\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*\]\s*(#.*)?$")
    return next((at for at, line in enumerate(lines) if header.match(line)), None)


def _changed(data: dict[str, Any], table: str, name: str, value: Any) -> dict[str, Any]:
    """What the file has to say after the change."""
    if not table:
        rest = {key: old for key, old in data.items() if key != name}
        return rest if value is None else {**rest, name: value}
    kind, _, which = table.partition(".")
    tables = data.get(kind, {})
    changed = _changed(tables.get(which, {}), "", name, value)
    if value is None and which not in tables:
        return data
    return {**data, kind: {**tables, which: changed}}


def _edited(text: str, table: str, name: str, value: Any) -> str:
    """The text with one line put, replaced or (`None`) dropped, in the table or before the first one."""
    lines = text.splitlines(keepends=True)
    start = 0
    if table:
        found = _header(lines, table)
        start = 0 if found is None else found + 1
        if found is None:
            if value is None:
                return text
            gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
            return f"{text}{gap}[{table}]\n{name} = {_toml(value)}\n"
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
