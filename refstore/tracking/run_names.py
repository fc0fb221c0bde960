"""Ids and names for runs that were given none."""

from __future__ import annotations

import re
import secrets
import string

from refstore.errors import InvalidName

_LETTERS = string.ascii_lowercase + string.digits
_ID = re.compile(r"[A-Za-z0-9_\-.]{1,128}")

_FIRST = """amber ancient apt autumn bold brave brief bright brisk broad calm candid cedar clear clever cool copper
coral crimson crisp curious daring dawn deep dry dusky eager early easy even fair famous fast fine firm fleet fond
frank fresh gentle glad golden good grand green hardy honest humble icy jade jolly keen kind lasting late
light lively lofty lone lucid lucky lunar mellow merry mild misty modest morning neat new nimble noble oaken
open pale patient plain polar proud quick quiet rapid rare ready rich rosy round royal rustic sandy scarlet
serene sharp silent silver simple sleek smooth soft solar solid spring stable steady still stout summer sunny
swift tall tidy tranquil true upbeat velvet vivid warm wild winter wise witty young"""

_SECOND = """acorn alder anchor aspen badger bay beacon beaver birch bison bloom bluff breeze bridge brook canyon cliff
cloud clover comet cove crane creek crow cypress dale delta dove dune eagle echo elk elm ember falcon fern
field finch fir fjord flame flint fog forest fox frost galaxy garden gate glacier glade grove gull harbor hare
haven hawk hazel heath hedge heron hill hollow ibis iris island ivy jay juniper kestrel lagoon lake lantern
larch lark leaf lily lion lotus lynx maple marsh meadow mesa moon moss mountain oak oasis ocean olive orchid
otter owl peak pebble pine plain pond poplar prairie quail quartz rain raven reef ridge river robin rock rose
sage sea shore sky snow sparrow spruce star stone stork stream sun swan thistle thunder tide tiger trail tree
valley violet wave willow wind wolf wren"""


def new_id() -> str:
    """Eight random letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(8))


def new_name(number: int) -> str:
    """Two words and a number: `brave-otter-12`."""
    return f"{secrets.choice(_FIRST.split())}-{secrets.choice(_SECOND.split())}-{number}"


def check_id(id: str) -> str:
    """The id itself, if a run may have it.

    Raises:
        InvalidName: It may not.
    """
    if not _ID.fullmatch(id) or id in (".", ".."):
        raise InvalidName(f"{id!r} can't be the id of a run: use 1 to 128 letters, digits, '_', '-' and '.'.")
    return id
