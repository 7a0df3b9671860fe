"""What published client libraries do: plain HTTP to the addresses in the environment, without any token."""

from __future__ import annotations

import base64
import json
import os

import pytest

from tests.executor.control_server import Platform

HEAD = """
import json, os, urllib.error, urllib.request
consul = f"{os.environ['CONSUL_SCHEME']}://{os.environ['CONSUL_HOST']}:{os.environ['CONSUL_PORT']}"

def call(url, method="GET", body=None, kind="application/json"):
    request = urllib.request.Request(url, body, {"Content-Type": kind} if body else {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), dict(error.headers)
"""


def test_consul_as_its_clients_speak_it(ferris: Platform) -> None:
    ferris.control.put("relayed", b'{"a": 1}', None)
    code = HEAD + (
        "status, text, headers = call(consul + '/v1/kv/relayed')\nprint(status, text, headers['X-Consul-Index'])\n"
        "print(call(consul + '/v1/kv/relayed?raw')[:2], call(consul + '/v1/kv/none')[:2])\n"
        "print(call(consul + '/v1/kv/relayed.state', 'PUT', b'{\"x\": 2}')[:2])\n"
        "print(call(consul + '/v1/kv/relayed.state?cas=1', 'PUT', b'{}')[:2])\n"
        "print(call(consul + '/v1/kv/relayed.state', 'DELETE')[:2])\n"
    )
    lines = ferris.run({"main.py": code}).text("stdout").splitlines()
    status, text = lines[0].split(" ", 1)
    assert status == "200"
    [entry] = json.loads(text.rsplit(" ", 1)[0])
    assert base64.b64decode(entry["Value"]) == b'{"a": 1}'
    assert lines[1:] == ["(200, '{\"a\": 1}') (404, '')", "(200, 'true')", "(200, 'false')", "(200, 'true')"]


def test_secrets_and_services(ferris: Platform) -> None:
    ferris.control.secrets["a key"] = "open sesame"
    ferris.control.requests.clear()
    code = HEAD + (
        "print(call(os.environ['SECRETS_API_URL'] + 'by-name?name=a%20key&package_id=7')[:2])\n"
        "body = json.dumps({'name': 'n', 'value': 'hidden-value', 'context': 'platform', 'package_id': 7}).encode()\n"
        "print(call(os.environ['SECRETS_API_URL'], 'POST', body)[0], 'hidden-value')\n"
        "body = json.dumps({'name': 'n', 'source': 's', 'schedule': '1 2 3 4', 'parameters': {}}).encode()\n"
        "print(call(os.environ['SERVICES_API_URL'] + '7/schedule', 'POST', body)[:2])\n"
    )
    result = ferris.run({"main.py": code})
    assert result.text("stdout").splitlines() == [
        '(200, \'{"value": "***"}\')',
        "200 ***",
        '(201, \'{"scheduled_job_id": "42"}\')',
    ]
    assert [path for _, path, _ in ferris.control.requests] == [
        "/secrets/by-name",
        "/secrets/",
        "/services/7/schedule",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/claim",
        "/heartbeat",
        "/",
        "/v1/agent/self",
        "/v1/kv/../../claim",
        "/v1/kv/%2e%2e/%2e%2e/claim",
        "/v1/kv/./x",
        "/control/claim",
    ],
)
def test_nothing_else_is_forwarded(ferris: Platform, path: str) -> None:
    claims = len(ferris.control.claims)
    result = ferris.run({"main.py": HEAD + f"print(call(consul + {path!r}, 'POST', b'{{}}')[0])"})
    assert result.text("stdout") == "403\n"
    assert len(ferris.control.claims) == claims + 1


def test_odd_requests_do_no_harm(ferris: Platform) -> None:
    code = HEAD + (
        "import socket\naddress = (os.environ['CONSUL_HOST'], int(os.environ['CONSUL_PORT']))\n"
        "for text in (b'', b'\\0\\xff\\r\\n\\r\\n', b'GET /v1/kv/x HTTP/1.1\\r\\nContent-Length: -5\\r\\n\\r\\n',\n"
        "             b'PUT /v1/kv/x HTTP/1.1\\r\\nContent-Length: 99999999999\\r\\n\\r\\n',\n"
        "             b'BREW /v1/kv/x HTTP/1.1\\r\\n\\r\\n'):\n"
        ""
        "    with socket.create_connection(address) as s:\n        s.sendall(text)\n"
        "        s.shutdown(socket.SHUT_WR)\n"
        "        answer = b''\n        while more := s.recv(9999):\n            answer += more\n"
        "        print(answer[9:12])\n"
        "print(call(consul + '/v1/kv/none')[0])\n"
    )
    result = ferris.run({"main.py": code})
    said = result.text("stdout").splitlines()
    assert said[0] == "b''"
    assert said[2:] == ["b'413'", "b'413'", "b'501'", "404"]


def test_a_port_is_closed_when_its_execution_has_ended(ferris: Platform) -> None:
    import socket

    result = ferris.run({"main.py": "import os; print(os.environ['CONSUL_PORT'])"})
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(result.text("stdout"))), timeout=5)


KEPT = """
import http.client, os, socket, time
address = (os.environ['CONSUL_HOST'], int(os.environ['CONSUL_PORT']))
"""


def test_a_connection_is_kept_for_many_requests(ferris: Platform) -> None:
    code = KEPT + (
        "c = http.client.HTTPConnection(*address, timeout=60)\n"
        "c.connect(); first = c.sock\n"
        "for n in range(5):\n"
        "    c.request('PUT', '/v1/kv/kept.state', str(n) * 100_000)\n"
        "    a = c.getresponse(); print(a.status, a.read().decode(), c.sock is first)\n"
        "c.request('GET', '/v1/kv/kept.state?raw'); print(len(c.getresponse().read()))\n"
        "c.request('GET', '/v1/kv/kept.state?raw', headers={'Connection': 'close'})\n"
        "print(len(c.getresponse().read()), c.sock)\n"
    )
    said = ferris.run({"main.py": code}).text("stdout").splitlines()
    assert said == ["200 true True"] * 5 + ["100000", "100000 None"]


def test_requests_one_behind_the_other_and_byte_by_byte(ferris: Platform) -> None:
    code = KEPT + (
        "one = b'GET /v1/kv/none HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'\n"
        "with socket.create_connection(address) as s:\n"
        "    s.sendall(one * 3)\n"
        "    for byte in one:\n        s.sendall(bytes([byte])); time.sleep(0.001)\n"
        "    s.sendall(b'PUT /v1/kv/x.state HTTP/1.1\\r\\nExpect: 100-continue\\r\\nContent-Length: 2\\r\\n'\n"
        "              b'Connection: close\\r\\n\\r\\n')\n"
        "    answer = b''\n"
        "    while b'100 Continue' not in answer:\n        answer += s.recv(9999)\n"
        "    s.sendall(b'{}')\n"
        "    while more := s.recv(9999):\n        answer += more\n"
        "print(answer.count(b'HTTP/1.1 404'), answer.count(b'HTTP/1.1 200'))\n"
    )
    assert ferris.run({"main.py": code}).text("stdout") == "4 1\n"


def test_connections_that_say_nothing_keep_nobody_waiting(ferris: Platform) -> None:
    code = (
        HEAD
        + KEPT
        + (
            "idle = [socket.create_connection(address) for n in range(100)]\n"
            "for s in idle[-20:]:\n    s.sendall(b'GET /v1/kv/none HTTP/1.1\\r\\n')\n"
            "began = time.monotonic()\n"
            "print(call(consul + '/v1/kv/none')[0], time.monotonic() - began < 5)\n"
        )
    )
    assert ferris.run({"main.py": code}).text("stdout") == "404 True\n"


def test_a_length_that_is_said_twice_or_not_at_all_is_refused(ferris: Platform) -> None:
    code = KEPT + (
        "twice = b'Content-Length: 1\\r\\nContent-Length: 2'\n"
        "for head in (twice, b'Transfer-Encoding: chunked', b'X: ' + b'y' * 70000):\n"
        "    with socket.create_connection(address) as s:\n"
        "        s.sendall(b'PUT /v1/kv/x.state HTTP/1.1\\r\\n' + head + b'\\r\\n\\r\\n')\n"
        "        print(s.recv(99)[9:12].decode())\n"
    )
    assert ferris.run({"main.py": code}).text("stdout").split() == ["413", "413", "431"]


def test_another_users_process_is_not_answered(ferris: Platform) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    code = KEPT + (
        "def ask():\n"
        "    c = http.client.HTTPConnection(*address, timeout=60)\n"
        "    try:\n        c.request('GET', '/v1/kv/none'); return c.getresponse().status\n"
        "    except (http.client.HTTPException, OSError) as error:\n        return type(error).__name__\n"
        "print(ask(), flush=True)\n"
        "if not os.fork():\n    os.setuid(65534); print(ask(), flush=True); os._exit(0)\n"
        "os.wait(); print(ask())\n"
    )
    said = ferris.run({"main.py": code}).text("stdout").splitlines()
    assert said[1] in ("RemoteDisconnected", "ConnectionResetError", "BrokenPipeError")
    assert said[::2] == ["404", "404"]
