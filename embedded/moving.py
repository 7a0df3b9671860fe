"""What the commands `export` and `import` have in common: the platform held still, and the table of counts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.core.management.base import CommandError, OutputWrapper

from embedded.supervisor import lock_home
from ferris_web import wiring
from ferris_web.executions.moving.carry import Counted
from ferris_web.executions.moving.standstill import no_gateway


@contextmanager
def standing_still() -> Iterator[None]:
    """Nobody starts a platform on this home meanwhile, and no gateway is at work: Conflict or AlreadyRunning."""
    with lock_home(wiring.config()):
        no_gateway()
        yield


def table(
    out: OutputWrapper, counted: Sequence[Counted], heads: tuple[str, str], *, as_json: bool = False
) -> None:
    """Print the counts of both sides; CommandError when they differ anywhere."""
    if as_json:
        lines = [json.dumps({"kind": one.kind, heads[0]: one.there, heads[1]: one.here}) for one in counted]
    else:
        width = max(len(one.kind) for one in counted)
        lines = [f"{'':{width}}  {heads[0]:>10}  {heads[1]:>10}"] + [
            f"{one.kind:{width}}  {one.there:>10,}  {one.here:>10,}{'' if one.same else '  <- differs'}"
            for one in counted
        ]
    for line in lines:
        out.write(line)
    if wrong := [one.kind for one in counted if not one.same]:
        raise CommandError(
            f"the counts of {', '.join(wrong)} differ: something changed meanwhile. Keep everything else away from "
            "the platform, then try again with an empty one"
        )
