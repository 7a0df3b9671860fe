"""The long lists and their filters, defined once: the console's filter bars, the API's parameters, exports, saved
views and bulk work all read them here.

`fields` is what a filter can be, `lists` the five lists, `histogram` their counts over time.
"""

from ferris_web.executions.listings.fields import Asked, Field, Filters, Listing
from ferris_web.executions.listings.lists import (
    DEAD_LETTERS,
    EVENTS,
    EXECUTIONS,
    FLOWS,
    LISTINGS,
    SERVICES,
)

__all__ = [
    "DEAD_LETTERS",
    "EVENTS",
    "EXECUTIONS",
    "FLOWS",
    "LISTINGS",
    "SERVICES",
    "Asked",
    "Field",
    "Filters",
    "Listing",
]
