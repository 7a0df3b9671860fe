"""A script does what it can to say its secrets: nothing that leaves the executor holds one."""

from __future__ import annotations

import base64
import html
import json
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from ferris.config import EVENTS, LIFECYCLE, LOGS, METRICS, NOTIFICATIONS
from tests.executor.control_server import Platform, Result

PLAIN = 'Tr0ub4dor/&"\\ plain? hörse'
LINES = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEAtelltale\n secondline0TELLTALE/+==\n-----END KEY-----"
NUMBER = 90210177
SECRETS = {"plain": PLAIN, "key": LINES, "db": {"password": "inner-P4ssw0rd", "pin": NUMBER}}

# What a script can reach its secrets by; each test's code goes behind it.
HEAD = (
    "import base64, html, json, os, sys, time, urllib.parse\nfrom ferris_ef import context\n"
    "s = context.secrets['plain']; key = context.secrets['key']; inner = context.secrets['db']['password']\n"
    "pin = context.secrets['db']['pin']; raw = s.encode()\n"
)


def needles() -> list[bytes]:
    """Each secret and each line of one, in every form in which it may be recognised."""
    texts = [PLAIN, *(line.strip() for line in LINES.splitlines()), "inner-P4ssw0rd", str(NUMBER)]
    found: set[str] = set()
    for text in texts:
        raw = text.encode()
        found |= {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
        found |= {raw.hex(), raw.hex().upper(), urllib.parse.quote(text), urllib.parse.quote_plus(text)}
        found |= {html.escape(text), json.dumps(json.dumps(text))[3:-3], repr(raw)[2:-1]}
        for shift in range(3):
            core = base64.b64encode(b"\0" * shift + raw)[4:-4].decode()
            found |= {core, core.replace("+", "-").replace("/", "_")} if len(core) > 6 else set()
    return [one.encode() for one in found]


def check(ferris: Platform, result: Result) -> None:
    """Nothing on any topic, in any object, or in any file but the package holds a secret."""
    log: Any = ferris.executor.reporter._log
    said = b"\n".join(
        record.value
        for topic in (EVENTS, NOTIFICATIONS, METRICS, LOGS, LIFECYCLE)
        for record in log.browse(topic, limit=100_000)
    )
    said += json.dumps([line["message"] for line in result.lines], ensure_ascii=False).encode()
    said += "\n".join(line["message"] for line in result.lines).encode()
    objects = ferris.executor.objects
    for bucket in objects.buckets():
        for info in objects.list(bucket):
            said += f"\n{info.key} {info.content_type}\n".encode()
            if bucket != "packages":
                with objects.open(bucket, info.key) as content:
                    said += content.read()
    for needle in needles():
        assert needle not in said, needle


@pytest.mark.parametrize(
    "code",
    [
        "print(s, key, inner, pin)",
        "print(sys.argv[1])",
        "print(json.dumps(context.secrets), context.secrets.all())",
        "print(json.dumps(json.dumps(context.secrets)))",
        "for n in range(3): print(base64.b64encode(b'x' * n + raw + b'y' * n))",
        "for n in range(3): print(base64.urlsafe_b64encode(b'x' * n + raw + b'y' * n).decode())",
        "print(base64.encodebytes(key.encode()).decode())",
        "print(urllib.parse.quote(s), urllib.parse.quote_plus(s), urllib.parse.quote(s, safe=''))",
        "print(raw.hex(), raw.hex().upper(), repr(raw), html.escape(s))",
        "sys.stderr.write(s); sys.stdout.write(inner)",
        "for c in s: sys.stdout.write(c); sys.stdout.flush()",
        "os.write(1, raw[:7]); time.sleep(0.1); os.write(1, raw[7:])",
        "os.write(1, raw[:7]); time.sleep(1.6); os.write(1, raw[7:])",
        "os.write(1, b'x' * 16380 + raw + b'\\n')",
        "os.write(1, b'x' * 65530 + raw); os.write(1, b'x' * 65530)",
        "os.write(1, b'10%\\r' + raw + b'\\r20%\\r')",
        "os.write(1, b'\\xff\\xfe' + raw + b'\\xff')",
        "print('\\x1b[31m' + s + '\\x1b[0m')",
        "raise ValueError(s)",
        "raise ValueError(key)",
        "raise KeyError({'password': inner})",
        "sys.exit(s)",
        "context.logging.error('it is %s', s); context.logging.error(key)",
        "context.progress(1, 2, f'{s} {inner}')",
        "context.events.send('a.b', data={'k': [s, key], inner: pin, 'json': json.dumps({'p': s})})",
        "context.events.send('a.' + inner, event_source=inner, reference_id=inner)",
        "context.artifacts.put(inner + '.txt', s + key); context.artifacts.put('x.bin', raw, content_type=inner)",
        "context.artifacts.put('x.json', json.dumps({'s': s, 'b': base64.b64encode(raw).decode(), 'k': key}))",
        "open(os.environ['FERRIS_ARTIFACTS'] + '/' + inner, 'wb').write(b'\\0' + raw)",
        "os.symlink('/etc/passwd', os.environ['FERRIS_ARTIFACTS'] + '/' + inner)",
        "context.scheduler.schedule('other', 'other.due', {'password': inner}, '0 0 * * *')",
        "context.secrets.set('new', 'n3w-' + 'secret-value'); print(context.secrets['new'])",
        "os.environ['X'] = s; print(os.environ); os.execvp('env', ['env'])",
        "import subprocess; subprocess.run(['/bin/echo', s]); subprocess.run(['no such ' + inner])",
    ],
)  # fmt: skip
def test_no_way_out(ferris: Platform, code: str) -> None:
    result = ferris.run({"main.py": HEAD + code}, secrets=SECRETS)
    assert result.types[-1] in ("execution.completed", "execution.failed")
    silent = ("progress" in code, "scheduler" in code, "20%" in code)
    assert "***" in json.dumps([*result.lines, *(e.data for e in result.reports)]) or any(silent)
    check(ferris, result)


def test_what_stands_beside_a_secret_stays(ferris: Platform) -> None:
    result = ferris.run({"main.py": HEAD + "print(f'user=app password={s} host=db')"}, secrets=SECRETS)
    assert result.text("stdout") == "user=app password=*** host=db\n"


def test_a_schedule_with_a_secret_is_refused_with_a_remedy(ferris: Platform) -> None:
    code = HEAD + "context.scheduler.schedule('other', 'other.due', {'password': inner}, '0 0 * * *')"
    result = ferris.run({"main.py": code}, secrets=SECRETS)
    assert "the schedule's parameters hold a secret" in result.last.data["error"]
    assert not [one for one in ferris.control.requests if "schedule" in one[1]]


def test_nothing_of_it_is_in_the_platforms_own_log(
    ferris: Platform, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    code = HEAD + "context.events.send(inner * 100); raise ValueError(s)"
    check(ferris, ferris.run({"main.py": code}, secrets=SECRETS))
    shown = capsys.readouterr()
    for needle in needles():
        assert needle.decode() not in shown.out + shown.err + caplog.text
