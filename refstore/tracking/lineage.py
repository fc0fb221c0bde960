"""What came of what: a typed graph of versions and the runs that used and logged them."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from refstore.catalog import lineage as index
from refstore.catalog.ids import unpacked
from refstore.catalog.run_fold import RUNNING
from refstore.errors import UsageError
from refstore.records.types import Used

if TYPE_CHECKING:
    from refstore.store.asking import StoreAsking

Direction = Literal["both", "up", "down"]
REMOVED = "removed"


class Node(NamedTuple):
    """A version or a run. A graph may have very many, and a frozen dataclass takes ten times as long to make.

    Attributes:
        kind: `version` or `run`.
        id: The id of its record: 64 hex digits.
        name: The full name: `vision/mnist:v3`, or `vision/3kd9x2ab` for a run. "" where the catalog does not have it
            (yet).
        entity: Before the project, or "".
        project: Where it belongs.
        title: A run's name for people, or a version's description; may be "".
        type: The artifact's type, or the run's job type.
        state: `running`, `finished`, `failed` or `crashed` for a run; `removed` or "" for a version.
        time: When it was recorded or began: UTC, ISO 8601.
        ended: When a run ended; "" where it did not, and for versions.
        made_by: The id of the run that made a version. Others may have logged the same content again.
        link_to: The id of the version that a version is a link to, or "".
        digest: A version's manifest, in hex.
        sources: The URIs that a version was made of.
        size: A version's files, in bytes.
        file_count: How many files a version has.
        git: The commit that a run had checked out, in hex, or "".
        command: A run's command line, without credentials.
        host: The machine that a run was on.
        python: The version of Python that a run had.
    """

    kind: index.Kind
    id: str
    name: str = ""
    entity: str = ""
    project: str = ""
    title: str = ""
    type: str = ""
    state: str = ""
    time: str = ""
    ended: str = ""
    made_by: str = ""
    link_to: str = ""
    digest: str = ""
    sources: tuple[str, ...] = ()
    size: int = 0
    file_count: int = 0
    git: str = ""
    command: tuple[str, ...] = ()
    host: str = ""
    python: str = ""


class Edge(NamedTuple):
    """A step from a node to what came of it.

    Attributes:
        kind: `used`: from a version to the run that used it; `logged`: from a run to the version that it logged;
            `link`: from a version to another that is a link to it.
        source: The id of the node that it starts from.
        target: The id of the node that it leads to.
        use_as: What a version was to the run that used it, or "".
    """

    kind: Literal["used", "logged", "link"]
    source: str
    target: str
    use_as: str = ""


@dataclass(frozen=True, slots=True)
class Lineage:
    """A part of the graph, seen from one node. `Store.lineage` makes it.

    Attributes:
        start: The node that was asked about.
        nodes: All nodes, by time, then name; the start among them.
        edges: All edges on the ways to the start and from it, in the order of their sources.
    """

    start: Node
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    _place: dict[str, int] = field(repr=False, compare=False)
    _before: dict[str, list[Edge]] = field(default_factory=dict, repr=False, compare=False)
    _after: dict[str, list[Edge]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, start: str, nodes: Iterable[Node], edges: Iterable[Edge]) -> Lineage:
        """A graph of some nodes and edges, as seen from the node with the id `start`."""
        ordered = tuple(sorted(nodes, key=attrgetter("time", "kind", "name", "id")))
        place = {node.id: number for number, node in enumerate(ordered)}
        lines = tuple(sorted(edges, key=lambda e: place[e[1]] << 32 | place[e[2]]))
        return cls(ordered[place[start]], ordered, lines, place)

    def node(self, id: str) -> Node:
        """The node of a record.

        Raises:
            KeyError: It is not in this part of the graph.
        """
        return self.nodes[self._place[id]]

    def before(self, node: Node) -> list[Edge]:
        """The edges that lead to a node: to a version from the runs that logged it, to a run from what it used."""
        self._index()
        return self._before.get(node.id, [])

    def after(self, node: Node) -> list[Edge]:
        """The edges that start from a node: from a version to the runs that used it, from a run to what it logged."""
        self._index()
        return self._after.get(node.id, [])

    def _index(self) -> None:
        """Sort the edges by their ends, when that is first asked for: it costs as much as all the rest."""
        if self.edges and not self._before:
            for edge in self.edges:
                self._before.setdefault(edge.target, []).append(edge)
                self._after.setdefault(edge.source, []).append(edge)

    @property
    def versions(self) -> Iterator[Node]:
        """The nodes that are versions."""
        return (node for node in self.nodes if node.kind == "version")

    @property
    def runs(self) -> Iterator[Node]:
        """The nodes that are runs."""
        return (node for node in self.nodes if node.kind == "run")

    def to_tree(self) -> Iterator[str]:
        """Lines for people: what it came from, and what came of it."""
        from refstore.tracking.formats.tree import tree

        return tree(self)

    def to_json(self) -> dict[str, Any]:
        """The graph as a JSON object with `start`, `nodes` and `edges`."""
        from refstore.tracking.formats.plain_json import plain_json

        return plain_json(self)

    def to_mermaid(self) -> str:
        """A Mermaid flowchart, as GitHub and GitLab draw in Markdown (https://mermaid.js.org/syntax/flowchart.html)."""
        from refstore.tracking.formats.mermaid import mermaid

        return mermaid(self)

    def to_dot(self) -> str:
        """A digraph for Graphviz (https://graphviz.org/doc/info/lang.html)."""
        from refstore.tracking.formats.dot import dot

        return dot(self)

    def to_openlineage(self) -> Iterator[dict[str, Any]]:
        """OpenLineage run events (https://openlineage.io/spec/2-0-2/OpenLineage.json), oldest first."""
        from refstore.tracking.formats.openlineage import events

        return events(self)


def lineage(store: StoreAsking, kind: index.Kind, id: str, direction: Direction, depth: int | None) -> Lineage:
    """The part of the graph around a node; one statement each way.

    Args:
        store: Whose catalog is asked.
        kind: Of the node.
        id: The id of its record.
        direction: `up` for what it came from, `down` for what came of it, or `both`.
        depth: The most runs to pass, each way; None for no limit.

    Raises:
        UsageError: The direction or the depth has no meaning.
    """
    if direction not in ("both", "up", "down"):
        raise UsageError(f"The direction of a lineage is 'up', 'down' or 'both', not {direction!r}.")
    if depth is not None and depth < 1:
        raise UsageError(f"The depth of a lineage is the number of runs to pass: at least 1, not {depth}.")
    ways: tuple[index.Way, ...] = ("up", "down") if direction == "both" else (direction,)
    with _no_collection():
        nodes: dict[str, Node] = {id: Node(kind, id)}
        edges: list[Edge] = []
        for way in ways:
            found, lines = _collect(store, kind, id, way, depth)
            if depth is not None and depth > index.LAYERS:
                found, lines = _cut(found, lines, id, way, depth)
            nodes.update(found)
            # In a circle, both ways come by the same edge.
            edges = list(dict.fromkeys(edges + lines)) if edges and lines else edges or lines
        return Lineage.of(id, nodes.values(), edges)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Without the search for circles of garbage: none are made here, and a million new objects set it off often."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _collect(
    store: StoreAsking, kind: index.Kind, id: str, way: index.Way, depth: int | None
) -> tuple[dict[str, Node], list[Edge]]:
    ids: dict[int, str] = {}
    versions: list[index.Row] = []
    runs: list[index.Row] = []
    lines: list[index.Row] = []
    for row in store.catalog.lineage(kind, id, way, depth):
        if row[0] == "edge":
            lines.append(row)
        else:
            ids[row[1]] = unpacked(row[2])
            (versions if row[0] == "version" else runs).append(row)
    # What is named besides: who made a version need not lie on the way, and records may be elsewhere.
    named = {number for row in versions for number in row[10:12]}.union(*([row[1], row[2]] for row in lines))
    ids.update(store.catalog.ids(sorted(named.difference(ids, (None,)))))
    here = socket.gethostname()
    nodes = {node.id: node for node in (_version(row, ids) for row in versions)}
    nodes.update((node.id, node) for node in (_run(store, row, ids, here) for row in runs))
    edges = [
        Edge("used", ids[row[2]], ids[row[1]], row[4])
        if row[3] == Used.kind
        else Edge("logged", ids[row[1]], ids[row[2]])
        for row in lines
    ]
    for _, run, version, *_ in lines:
        if ids[run] not in nodes:
            nodes[ids[run]] = Node("run", ids[run])
        if ids[version] not in nodes:
            nodes[ids[version]] = Node("version", ids[version])
    edges += [Edge("link", n.link_to, n.id) for n in nodes.values() if n.link_to and n.link_to in nodes]
    return nodes, edges


def _version(row: index.Row, ids: dict[int, str]) -> Node:
    _, number, _, entity, project, name, count, type, deleted, created, run, source = row[:12]
    manifest, sources, size, entries, description = row[12:]
    place = f"{entity}/{project}" if entity else project
    return Node(
        "version", ids[number], f"{place}/{name}:v{count}", entity, project, description, type,
        REMOVED if deleted else "", created, "", ids[run] if run else "", ids[source] if source else "",
        unpacked(manifest), () if sources == "[]" else tuple(json.loads(sources)), size or 0, entries or 0,
    )  # fmt: skip


def _run(store: StoreAsking, row: index.Row, ids: dict[int, str], here: str) -> Node:
    _, number, _, entity, project, name, pid, type, state, started, finished, title = row[:12]
    git, command, host, python, _ = row[12:]
    if state == RUNNING and pid and host == here:
        info = store.catalog.runs.run_by_id(ids[number])
        state = info.state if info else state
    place = f"{entity}/{project}" if entity else project
    return Node(
        "run", ids[number], f"{place}/{name}", entity, project, title, type, state, started, finished or "",
        "", "", "", (), 0, 0, git, () if command == "[]" else tuple(json.loads(command)), host, python,
    )  # fmt: skip


def _cut(
    nodes: dict[str, Node], edges: list[Edge], start: str, way: index.Way, depth: int
) -> tuple[dict[str, Node], list[Edge]]:
    """Only what is at most so many runs away, nearest first."""
    steps: dict[str, list[Edge]] = {}
    for edge in edges:
        steps.setdefault(edge.target if way == "up" else edge.source, []).append(edge)
    passed = {start: int(nodes[start].kind == "run")}
    layer = [start]
    kept: set[Edge] = set()
    while layer:
        coming: list[str] = []
        for id in layer:
            for edge in steps.get(id, ()):
                other = edge.source if way == "up" else edge.target
                runs = passed[id] + (nodes[other].kind == "run")
                if runs > depth:
                    continue
                kept.add(edge)
                if other not in passed or runs < passed[other]:
                    passed[other] = runs
                    coming.append(other)
        layer = coming
    return {id: nodes[id] for id in passed}, list(kept)


def shortened(graph: Lineage, short: dict[str, str]) -> Lineage:
    """The graph with other names for its nodes, by their ids."""
    return Lineage.of(graph.start.id, (n._replace(name=short.get(n.id, n.name)) for n in graph.nodes), graph.edges)
