"""The helper library of Ferris scripts: `from ferris_ef import context`. Standard library only, quick to import."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ferris_ef.base import get_param as get_param
    from ferris_ef.base import get_secret as get_secret


def __getattr__(name: str) -> object:
    if name in ("get_param", "get_secret"):
        from ferris_ef import base

        return getattr(base, name)
    raise AttributeError(f"module 'ferris_ef' has no attribute {name!r}")
