"""From a version to a file of another form: which form, which files, and what is refused before a byte is written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from refstore.checkout.select import Selection
from refstore.errors import UsageError
from refstore.manifest.entry import STORED, Entry
from refstore.progress import Progress
from refstore.tracking.exports.csv import Csv
from refstore.tracking.exports.form import Form, Subject
from refstore.tracking.exports.jsonl import JsonLines
from refstore.tracking.exports.parquet import Parquet
from refstore.tracking.exports.references import References
from refstore.tracking.exports.wandb import Wandb
from refstore.tracking.exports.whole_file import whole_file

FORMS: dict[str, Form] = {form.name: form for form in (JsonLines(), Csv(), Parquet(), Wandb(), References())}
"""Every form, by its name."""
_SHOWN = 5
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Attributes:
        format: The form's name.
        path: The file; None where a file object was given.
        files: How many files of the version are in it.
        left_out: How many are not, as the form can't say what they are (`skip_content`).
        notes: What a person should know who uses it.
    """

    format: str
    path: Path | None
    files: int
    left_out: int = 0
    notes: tuple[str, ...] = ()


def form_of(format: str | None, path: Path | None) -> Form:
    """The form that is named, or that a file's ending stands for; JSON Lines where there is neither.

    Raises:
        UsageError: There is no such form, or the ending tells none.
    """
    if format is not None:
        if format not in FORMS:
            raise UsageError(f"There is no format {format!r}: it is one of {', '.join(FORMS)}.")
        return FORMS[format]
    if path is None:
        return FORMS["jsonl"]
    ending = path.suffix.lower()
    for form in FORMS.values():
        if ending in form.endings:
            return form
    if ending == ".json":
        raise UsageError(f"{path} could be of two formats: choose with --format wandb or --format references.")
    raise UsageError(f"The ending of {path} tells no format: choose with --format {', '.join(FORMS)}.")


def export(
    entries: Callable[[], Iterator[Entry]],
    target: Path | IO[bytes],
    form: Form,
    subject: Subject,
    *,
    paths: Sequence[str] = (),
    skip_content: bool = False,
    allow_unpinned: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write the entries of a version in a form. What the form can't say is found first, in a pass of its own.

    Args:
        entries: Gives all of them by path, from the start at each call.
        target: A file's path, where it appears whole or not at all, or an open binary file.
        form: From `form_of`.
        subject: The version.
        paths: Only those that one of these globs takes.
        skip_content: Leave out content that the store keeps, where the form has no word for it.
        allow_unpinned: Take what the form does not pin.
        force: Replace a file.
        progress: Told how many entries were written.

    Raises:
        UsageError: The form can't say what some entries are; or the file exists, or can't be written.
        ArtifactNotFound: A glob takes nothing.
        StorageFull: No space is left.
    """
    selection = Selection(paths)
    survey = _Survey(form, skip_content, allow_unpinned)
    if form.picky or paths:
        with closing(_taken(entries(), selection)) as found:
            survey.run(found)
        selection.check_used(subject.name)
        survey.refuse(subject.name)
    written = _Written(progress)
    with closing(_taken(entries(), selection)) as found:
        wanted = written.count(entry for entry in found if not survey.leaves_out(entry))
        with whole_file(target, force=force) if isinstance(target, Path) else nullcontext(target) as out:
            form.write(wanted, out, subject)
    path = target if isinstance(target, Path) else None
    return Exported(form.name, path, written.files, survey.left_out, survey.notes())


def _taken(entries: Iterator[Entry], selection: Selection) -> Generator[Entry, None, None]:
    for entry in entries:
        if selection.takes(entry.path):
            yield entry


class _Written:
    """Counts entries as they pass by.

    Attributes:
        files: How many did.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self.files = 0

    def count(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries themselves."""
        for entry in entries:
            yield entry
            self.files += 1
            if self._progress is not None and self.files % _PAGE == 0:
                self._progress.advance(_PAGE, 0)
        if self._progress is not None:
            self._progress.advance(self.files % _PAGE, 0)


class _Survey:
    """What a form can and can't say of the entries, in the space of a few sentences."""

    def __init__(self, form: Form, skip_content: bool, allow_unpinned: bool) -> None:
        self._form = form
        self._skip = skip_content
        self._allow = allow_unpinned
        self._refused: list[str] = []
        self._count = 0
        self._content = self._unpinned = False
        self._notes: dict[str, None] = {}
        self._seen = 0
        self.left_out = 0

    def run(self, entries: Iterable[Entry]) -> None:
        """Look at each."""
        for entry in entries:
            self._seen += 1
            reason = self._form.refusal(entry, allow_unpinned=self._allow)
            if reason is None:
                if len(self._notes) < _SHOWN and (note := self._form.note(entry)):
                    self._notes[note] = None
            elif self.leaves_out(entry):
                self.left_out += 1
            else:
                self._count += 1
                self._content = self._content or entry.object.scheme == STORED
                self._unpinned = self._unpinned or self._form.refusal(entry, allow_unpinned=True) is None
                if self._count <= _SHOWN:
                    self._refused.append(f"  {entry.path}: {reason}")

    def leaves_out(self, entry: Entry) -> bool:
        """Whether an entry is content that the form has no word for, and that is to be left out."""
        return (
            self._skip
            and entry.object.scheme == STORED
            and self._form.refusal(entry, allow_unpinned=self._allow) is not None
        )

    def refuse(self, name: str) -> None:
        """Say what can't be exported, if anything.

        Raises:
            UsageError: There is something.
        """
        if not self._count:
            return
        ways = []
        if self._content:
            ways.append("leave stored content out with --skip-content (in Python skip_content=True)")
        if self._unpinned:
            ways.append("take what is not pinned with --allow-unpinned (in Python allow_unpinned=True)")
        if not ways:
            ways.append("choose the others with --path, or another --format")
        heading = (
            f"{self._count:,} of {self._seen:,} files of {name} can't be exported as {self._form.name}; nothing was "
            f"written. You may {', and '.join(ways)}:"
        )
        lines = [heading, *self._refused]
        if self._count > _SHOWN:
            lines.append(f"  and {self._count - _SHOWN:,} more")
        raise UsageError("\n".join(lines))

    def notes(self) -> tuple[str, ...]:
        """What to tell the person."""
        left = f"Files left out, as the store keeps their content: {self.left_out:,}."
        return (*self._notes, left) if self.left_out else tuple(self._notes)
