"""Claims of slots that ask at the same time go in one call: whoever finds nobody asking asks for all that have come."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from ferris.execution import ExecutionOrder

MOST = 100
"""In one call; the web takes no more."""

Answer = ExecutionOrder | str
Ask = Callable[[Sequence[str]], Sequence[Answer]]


class _Wish:
    __slots__ = ("answer", "error", "execution_id", "heard")

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        self.heard = threading.Event()
        self.answer: Answer | None = None
        self.error: BaseException | None = None


class Claims:
    """Those of one worker process. One call is under way at a time; the next one takes who came meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_Wish] = deque()
        self._asking = False

    def claim(self, execution_id: str, ask: Ask) -> Answer:
        """The answer to this claim; what `ask` raised, if it failed for all of a call."""
        wish = _Wish(execution_id)
        with self._lock:
            self._waiting.append(wish)
            first = not self._asking
            self._asking = True
        if not first:
            wish.heard.wait()
        if wish.answer is None and wish.error is None:
            self._ask(ask)
        if wish.error is not None:
            raise wish.error
        assert wish.answer is not None
        return wish.answer

    def _ask(self, ask: Ask) -> None:
        with self._lock:
            wishes = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
        try:
            for wish, answer in zip(wishes, ask([one.execution_id for one in wishes]), strict=True):
                wish.answer = answer
        except BaseException as error:
            for wish in wishes:
                wish.answer, wish.error = None, error
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting[0].heard.set()  # it asks for itself and for all behind it
                else:
                    self._asking = False
            for wish in wishes:
                wish.heard.set()
