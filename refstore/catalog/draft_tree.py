"""A tree that is made of rows and of whole chunks of another; nothing of it is in the index yet."""

from __future__ import annotations

from refstore.manifest.rows import Row
from refstore.manifest.tree import GROUP, LEAF, ROOT, Chunk, child_line, leaf_of, node_of


class Node:
    """A chunk on its way into the index, or from it.

    Attributes:
        number: Its row there; 0 until it has one.
        chunk: What it is.
        line: What the text of its parent says of it.
    """

    __slots__ = ("chunk", "line", "number")

    def __init__(self, number: int, chunk: Chunk) -> None:
        self.number, self.chunk, self.line = number, chunk, child_line(chunk)


def last_of(node: Node) -> str:
    """The path of the last entry below a node."""
    return node.chunk.last


class Draft:
    """A tree in the making, of rows and of whole chunks of its base; holds what nobody has written yet."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.texts: list[str] = []
        self.leaves: list[Node] = []
        self.groups: list[Node] = []
        self.new_leaves: list[tuple[Node, list[Row]]] = []
        self.new_nodes: list[tuple[Node, int, list[Node]]] = []

    def end(self, level: int) -> None:
        """End what ends with the entry that came last: `LEAF`, `GROUP` (and so a leaf too) or -1 for nothing."""
        if level >= LEAF:
            leaf = Node(0, leaf_of(self.rows, self.texts))
            self.leaves.append(leaf)
            self.new_leaves.append((leaf, self.rows))
            self.rows, self.texts = [], []
        if level == GROUP:
            self.end_group()

    def end_group(self) -> None:
        """End a group with the leaf that came last."""
        self.groups.append(self._node(GROUP, self.leaves))
        self.leaves = []

    def finish(self) -> Node:
        """End the tree; its root."""
        if self.rows or not (self.leaves or self.groups):
            self.end(LEAF)
        if self.leaves:
            self.end_group()
        return self._node(ROOT, self.groups)

    def _node(self, level: int, children: list[Node]) -> Node:
        kind = "group" if level == GROUP else "root"
        node = Node(0, node_of(kind, [child.chunk for child in children], [child.line for child in children]))
        self.new_nodes.append((node, level, children))
        return node
