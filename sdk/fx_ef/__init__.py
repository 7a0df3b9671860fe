"""The helper library under its other name: `from fx_ef import context`."""

import sys

from ferris_ef import base, context
from ferris_ef.base import get_param, get_secret

sys.modules["fx_ef.base"] = base
sys.modules["fx_ef.context"] = context

__all__ = ["context", "get_param", "get_secret"]
