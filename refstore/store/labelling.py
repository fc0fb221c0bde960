"""What people say of versions: aliases, tags, descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from refstore.errors import ArtifactNotFound, InvalidName
from refstore.names import check_alias, check_tag

if TYPE_CHECKING:
    pass
from refstore.store.asking import StoreAsking


class StoreLabelling(StoreAsking):
    """Naming versions."""

    def set_alias(self, version: str, alias: str) -> None:
        """Let an alias mean a version; it moves there from wherever it was.

        Raises:
            InvalidName: The alias breaks its rule, or is `latest` or like `v3`.
        """
        from refstore.records.types import Alias

        check_alias(alias)
        found = self.version(version)
        with self.catalog.writing() as writing:
            writing.add(Alias(**writing.stamp, **found.artifact.parts, alias=alias, version=found.id))
            writing.summarise(f"{found.qualified_name}: alias {alias} set")
            writing.commit()

    def remove_alias(self, name: str) -> None:
        """Take an alias away: `mnist:best`. The version stays.

        Raises:
            ArtifactNotFound: There is no such alias.
        """
        from refstore.records.types import Alias

        wanted = self._version_name(name)
        if wanted.alias is None:
            raise InvalidName(f"{name!r} names no alias that could be removed: use artifact:alias, as in 'mnist:best'.")
        found = self.version(name)
        with self.catalog.writing() as writing:
            writing.add(Alias(**writing.stamp, **found.artifact.parts, alias=wanted.alias))
            writing.summarise(f"{found.artifact}: alias {wanted.alias} removed")
            writing.commit()

    def tag(self, version: str, tags: Sequence[str]) -> None:
        """Set tags on a version.

        Raises:
            InvalidName: One breaks the rule of tags.
        """
        self._tag(version, tags, present=True)

    def untag(self, version: str, tags: Sequence[str]) -> None:
        """Take tags from a version.

        Raises:
            ArtifactNotFound: It does not have one of them.
        """
        self._tag(version, tags, present=False)

    def _tag(self, version: str, tags: Sequence[str], *, present: bool) -> None:
        from refstore.records.types import Tag

        found = self.version(version)
        for tag in tags:
            check_tag(tag)
            if not present and tag not in found.tags:
                raise ArtifactNotFound(f"{found.qualified_name} has no tag {tag!r}.")
        changed = [tag for tag in dict.fromkeys(tags) if (tag in found.tags) != present]
        if not changed:
            return
        with self.catalog.writing() as writing:
            for tag in changed:
                writing.add(Tag(**writing.stamp, version=found.id, tag=tag, present=present))
            writing.summarise(f"{found.qualified_name}: tag {', '.join(changed)} {'set' if present else 'removed'}")
            writing.commit()

    def describe(self, version: str, description: str) -> None:
        """Replace a version's description."""
        from refstore.records.types import Description

        found = self.version(version)
        with self.catalog.writing() as writing:
            writing.add(Description(**writing.stamp, version=found.id, description=description))
            writing.summarise(f"{found.qualified_name}: description changed")
            writing.commit()
