"""Names that an address does not know: passed over, a slip in them would ask for something else."""

from __future__ import annotations

from typing import Any

import pytest

from ferris.config import EVENTS
from ferris_web import wiring
from ferris_web.accounts.models import ApiToken, User
from ferris_web.accounts.services import token_create
from ferris_web.executions.models import BulkJob
from tests.web.calling import Caller, problem_of
from tests.web.console_rows import Rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def call() -> Caller:
    return Caller(token_create(User.objects.create_superuser("root", password="a long password")))


@pytest.mark.parametrize(
    ("address", "wrong", "said"),
    [
        ("executions/?statsu=failed", "statsu", "did you mean status?"),
        ("lists/executions/histogram/?servcie=a", "servcie", "did you mean service?"),
        ("lists/events/file/?typ=a", "typ", "did you mean type?"),
        ("search/logs/?sinse=1h", "sinse", "did you mean since?"),
        ("audit/?querry=ada", "querry", "did you mean query?"),
        ("subscriptions/?projekt=reports", "projekt", "did you mean project?"),
    ],
)
def test_a_filter_that_is_none_is_refused(
    rows: Rows, call: Caller, address: str, wrong: str, said: str
) -> None:
    [error] = problem_of(call.get(f"/api/v1/{address}"), 400)["errors"]
    assert error["field"] == wrong
    assert error["problem"].startswith("is not known here; expected ")
    assert said in error["problem"]


def test_what_pages_files_and_streams_understand_is_known(rows: Rows, call: Caller) -> None:
    for address in (
        "executions/?limit=1&status=failed&cursor=",
        "audit/?limit=1",
        "audit/file/?form=csv",
        "lists/events/file/?form=csv&type=a",
        "search/logs/counts/?by=hour",
    ):
        assert call.get(f"/api/v1/{address}").status_code == 200, address


@pytest.mark.parametrize(
    ("method", "address", "body", "said"),
    [
        ("POST", "services/make_report/run/", {"parametrs": {"rows": 9}}, "did you mean parameters?"),
        ("POST", "tokens/", {"name": "for a day", "expires_at": "2030-01-01T00:00:00Z"}, "days"),
        (
            "POST",  # of every execution there is
            "bulk/",
            {"list": "executions", "action": "retry", "filters": {"status": "failed"}},
            "did you mean filter?",
        ),
    ],
)
def test_a_slip_in_a_body_does_nothing(
    rows: Rows, call: Caller, method: str, address: str, body: dict[str, Any], said: str
) -> None:
    sent, tokens = len(list(wiring.event_log().browse(EVENTS))), ApiToken.objects.count()
    problem = problem_of(call(method, f"/api/v1/{address}", body), 400)
    assert [error["field"] for error in problem["errors"]] == [list(body)[-1]]
    assert said in problem["detail"]
    assert (len(list(wiring.event_log().browse(EVENTS))), ApiToken.objects.count()) == (sent, tokens)
    assert not BulkJob.objects.exists()


@pytest.mark.parametrize(
    ("address", "body", "said"),
    [
        ("connections/other/", {"url": "sqlite:////tmp/x.db", "projekts": []}, "did you mean projects?"),
        ("webhooks/till/", {"kind": "none", "event_typ": "a"}, "did you mean event_type?"),
        ("services/make_report/saved-runs/x/", {"parametrs": {}}, "did you mean parameters?"),
        ("secrets/key/", {"valeu": 1}, "did you mean value?"),
    ],
)
def test_a_slip_in_a_put_does_nothing(
    rows: Rows, call: Caller, address: str, body: dict[str, Any], said: str
) -> None:
    problem = problem_of(call("PUT", f"/api/v1/{address}", body), 400)
    assert [error["field"] for error in problem["errors"]] == [list(body)[-1]]
    assert said in problem["detail"]
    if not address.startswith("secrets/"):
        problem_of(call.get(f"/api/v1/{address}"), 404)


def test_what_get_gave_may_be_put_back(rows: Rows, call: Caller) -> None:
    address = "/api/v1/connections/warehouse/"
    made = {"url": "postgresql://reader:pw@db.example.org/quakes", "projects": ["reports"]}
    assert call("PUT", address, made).status_code < 300
    answer = call("PUT", address, {**made, **call.get(address).json()})
    assert answer.status_code == 200, answer.content
