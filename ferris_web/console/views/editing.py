"""Services made without git: their files, the order of their scripts, earlier versions again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from ferris.documents import Message
from ferris.errors import Conflict, NotFound
from ferris_web.catalog import editing
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.archive import SourceFile
from ferris_web.catalog.edits import NOTHING, Edit, Overtaken, fingerprint, line_of, overtaken
from ferris_web.catalog.models import Service
from ferris_web.catalog.source import MAX_FILE_BYTES
from ferris_web.console import drafts
from ferris_web.console.drafts import Draft
from ferris_web.console.views.executions import actor

EDITABLE: Final = 1024 * 1024  # bytes of a text that is edited in a page
_LINE = re.compile(r"\bline (\d+)")


@dataclass(frozen=True)
class Finding:
    """A message, and the line of the open file at which its mistake is."""

    said: Message
    line: int | None


def edit(request: HttpRequest, name: str) -> HttpResponse:
    """One file in an editor, beside the list of all; with others that were changed before, and are saved with it."""
    service = catalog.service_get(name)
    if request.method != "POST":
        return _page(request, service, request.GET.get("path", ""))
    said, now = request.POST, _files(service)
    draft, others = drafts.opened(said), drafts.carried(said)
    path = draft.path if draft else said.get("path", "")
    others.pop(path, None)
    if "drop" in said:
        others.pop(said["drop"], None)
        return _page(request, service, path, draft=draft, others=others)
    if "open" in said:
        if draft and draft.touched(now):
            others[path] = draft
        moved = overtaken(now, drafts.edit_of(others.values(), now)) if said.get("do") == "restore" else []
        wanted = said["open"]
        draft = others.pop(wanted, None)
        if moved:  # what a browser had kept is older than what others saved meanwhile
            return _page(
                request, service, wanted, status=409, draft=draft, others=others, late=Overtaken(moved)
            )
        return _page(request, service, wanted, draft=draft, others=others)
    kept = [*others.values(), *([draft] if draft and (draft.touched(now) or not others) else [])]
    change = drafts.edit_of(kept, now)
    shown: dict[str, Any] = {"draft": draft, "others": others}
    try:
        if said.get("do") == "preview":
            preview = editing.edit_preview(service, change)
            found = _findings(preview.messages, draft)
            return _page(request, service, path, **shown, preview=preview, findings=found)
        saved = _saved(request, service, change)
    except Overtaken as error:
        return _page(request, service, path, status=409, **shown, late=error)
    except Conflict as error:
        return _page(request, service, path, status=409, **shown, problem=f"{error}.")
    if saved.refused:
        found = _findings(saved.messages, draft)
        return _page(request, service, path, status=422, **shown, findings=found, wrong=True)
    _tell(request, saved)
    if said.get("do") == "run":
        return redirect("console:service-run", name=service.name)
    return _to(service, path)


def _files(service: Service) -> dict[str, SourceFile]:
    return catalog.version_files(service.version) if service.version else {}


def _saved(request: HttpRequest, service: Service, change: Edit) -> editing.Saved:
    message = request.POST.get("message", "")
    return editing.service_edit(service, change, author=actor(request), message=message, now=timezone.now())


def _tell(request: HttpRequest, saved: editing.Saved) -> None:
    if not saved.changed or saved.version is None:
        messages.info(request, gettext("Nothing is different: there is no new version."))
        return
    messages.success(request, gettext("Saved as v{number}.").format(number=saved.version.number))
    for said in saved.messages:
        if said.level == "warning":
            messages.warning(request, str(said))


def _to(service: Service, path: str = "", **more: Any) -> HttpResponse:
    query = urlencode({**({"path": path} if path else {}), **more})
    return redirect(f"{reverse('console:service-edit', args=[service.name])}{'?' if query else ''}{query}")


def _findings(said: tuple[Message, ...], draft: Draft | None = None) -> list[Finding]:
    """What was found, with the line where it is in the open file."""
    found = []
    for message in said:
        line = None
        if draft and message.file == draft.path and message.level != "info":
            named = _LINE.search(message.text)
            line = int(named[1]) if named else line_of(draft.text, message.key) if message.key else None
        found.append(Finding(message, line))
    return sorted(found, key=lambda finding: ("error", "warning", "info").index(finding.said.level))


def _page(
    request: HttpRequest,
    service: Service,
    path: str,
    *,
    status: int = 200,
    draft: Draft | None = None,
    others: dict[str, Draft] | None = None,
    late: Overtaken | None = None,
    **given: Any,
) -> HttpResponse:
    """`draft` is what was written into the open file, `others` into those before; `given` what is to be told."""
    others = others or {}
    if late is not None:
        service = catalog.service_get(service.name)  # as it is after the others
    files = _files(service)
    adding = ("new" in request.GET and request.method != "POST") or ("open" in request.POST and not path)
    if not path and not adding and draft is None:
        path = _first(service, files)
    file = files.get(path)
    context: dict[str, Any] = {
        "service": service,
        "tab": "edit",
        "read_only": editing.edit_refusal(service),
        "path": path,
        "adding": adding or (file is None and draft is not None),
        "known": file is not None,
        "seen": fingerprint(file),
        "base": service.version.number if service.version else 0,
        "message": request.POST.get("message", "")[:500],
        "largest": MAX_FILE_BYTES,
        "undo": _undone(request, service),
    }
    if late is not None:
        old = {name: one for name, one in others.items() if name in late.paths}
        if draft is not None and draft.path in late.paths:
            old[draft.path] = draft
            draft = drafts.renewed(draft, service, files)
        others |= {name: drafts.renewed(one, service, files) for name, one in old.items() if name in others}
        context |= {"overtaken": late, "meanwhile": drafts.meanwhile(service, old.values(), files)}
    if draft is not None:
        context |= {"text": draft.text, "seen": draft.seen, "base": draft.base}
    elif file is not None:
        context |= _shown(file)
    elif path:
        raise NotFound(f"{service.name} has no file {path!r}")
    dirty = {path} if draft is not None and draft.touched(files) else set()
    unsaved = others.keys() | dirty
    context |= {
        "others": others.values(),
        "unsaved": unsaved,
        "files": [(name, len(found.content)) for name, found in files.items()]
        + [(name, None) for name in sorted(unsaved - files.keys())],
        **given,
    }
    return render(request, "console/service-edit.html", context, status=status)


def _first(service: Service, files: dict[str, SourceFile]) -> str:
    scripts = service.version.manifest.get("scripts", ()) if service.version else ()
    return next((path for path in (*scripts, *files) if path in files), "")


def _shown(file: SourceFile) -> dict[str, Any]:
    if len(file.content) > EDITABLE:
        return {"unreadable": gettext("It is too long to be edited here: download it, and upload it again.")}
    try:
        text = file.content.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return {"unreadable": gettext("It is no text: download it, and upload it again.")}
    return {"text": text}


def _undone(request: HttpRequest, service: Service) -> int | None:
    """The version to which a deletion that was just made can be taken back."""
    asked = request.GET.get("undo", "")
    latest = service.version.number if service.version else 0
    return latest - 1 if latest > 1 and asked == str(latest - 1) else None


@require_POST
def files(request: HttpRequest, name: str) -> HttpResponse:
    """Upload several files, rename one, or delete one."""
    service = catalog.service_get(name)
    path = request.POST.get("path", "")
    back = path
    do = request.POST.get("do")
    try:
        if do == "upload":
            change = _uploaded(request)
            back = next(iter(change.put), "")
        elif do == "rename":
            back = request.POST.get("to", "").strip()
            change = Edit(move={path: back}, seen={path: request.POST.get("seen", NOTHING)})
        else:
            change, back = Edit(remove=[path], seen={path: request.POST.get("seen", NOTHING)}), ""
        saved = _saved(request, service, change)
    except (Conflict, NotFound) as error:
        return _refused(request, service, path, [f"{error}."])
    if saved.refused:
        told = [gettext("Nothing was saved. {said}.").format(said=said) for said in saved.errors]
        return _refused(request, service, path, told)
    _tell(request, saved)
    undo = {"undo": saved.version.number - 1} if do not in ("upload", "rename") and saved.version else {}
    return _to(service, back, **undo)


def _refused(request: HttpRequest, service: Service, path: str, told: list[str]) -> HttpResponse:
    """The page again with what was written in the form that was refused, and why beside its field."""
    path = path if path in _files(service) else ""
    said = request.POST
    if said.get("do") not in ("upload", "rename"):
        for text in told:
            messages.error(request, text)
        return _to(service, path)
    given = {"refused": {said["do"]: told}, "folder": said.get("folder", ""), "to": said.get("to", "")}
    return _page(request, service, path, status=422, **given, replace="replace" in said)


def _uploaded(request: HttpRequest) -> Edit:
    folder = request.POST.get("folder", "").strip().strip("/")
    sent = request.FILES.getlist("files")
    if not sent:
        raise Conflict(gettext("no file was chosen"))
    for file in sent:
        if (file.size or 0) > MAX_FILE_BYTES:
            raise Conflict(
                gettext(
                    "{name} has {size:,} bytes, more than the {MAX_FILE_BYTES:,} a file may have: keep "
                    "large data in the object store"
                ).format(name=file.name, size=file.size, MAX_FILE_BYTES=MAX_FILE_BYTES)
            )
    put = {f"{folder}/{file.name}" if folder else str(file.name): file.read() for file in sent}
    return Edit(put=put, seen={} if request.POST.get("replace") else dict.fromkeys(put, NOTHING))


def order(request: HttpRequest, name: str) -> HttpResponse:
    """The order in which the scripts run: moved by buttons or by drag, written into manifest.json."""
    service = catalog.service_get(name)
    files = _files(service)
    manifest = fingerprint(files.get("manifest.json"))
    running = list(service.version.manifest.get("scripts", ())) if service.version else []
    context: dict[str, Any] = {
        "service": service,
        "tab": "edit",
        "read_only": editing.edit_refusal(service),
        "seen": manifest,
        "message": request.POST.get("message", "")[:500],
    }
    status = 200
    if request.method == "POST":
        running = _moved(request.POST.getlist("script"), request)
        context["seen"] = request.POST.get("seen", NOTHING)
        context["changed"] = True
        change = Edit(scripts=running, seen={"manifest.json": context["seen"]})
        try:
            if request.POST.get("do") == "preview":
                context["preview"] = editing.edit_preview(service, change)
            elif request.POST.get("do") == "save":
                saved = _saved(request, service, change)
                if not saved.refused:
                    _tell(request, saved)
                    return redirect("console:service-order", name=service.name)
                context["findings"], status = _findings(saved.messages), 422
        except Conflict as error:
            context |= {"problem": f"{error}.", "seen": manifest}
            status = 409
    scripts = [path for path in files if path.endswith((".py", ".sql"))]
    context |= {"running": running, "others": [path for path in scripts if path not in running]}
    return render(request, "console/service-order.html", context, status=status)


def _moved(scripts: list[str], request: HttpRequest) -> list[str]:
    """The order after the button that was pressed."""
    what, _, script = request.POST.get("move", "").partition(":")
    if what == "add":
        return [*scripts, script]
    if script in scripts:
        at = scripts.index(script)
        scripts.pop(at)
        if what != "drop":
            scripts.insert(max(at - 1, 0) if what == "up" else at + 1, script)
    return scripts


@require_POST
def restore(request: HttpRequest, name: str) -> HttpResponse:
    """Make an earlier version the newest again."""
    service = catalog.service_get(name)
    asked = request.POST.get("version", "")
    number = int(asked) if asked.isdecimal() and len(asked) < 10 else 0
    try:
        saved = editing.service_restore(service, number, author=actor(request), now=timezone.now())
    except (Conflict, NotFound) as error:
        messages.error(request, f"{error}.")
        return redirect("console:service-versions", name=service.name)
    if saved.refused:
        for said in saved.errors:
            messages.error(
                request, gettext("v{number} was not restored. {said}.").format(number=number, said=said)
            )
    else:
        _tell(request, saved)
    return _to(service)


@require_POST
def remove(request: HttpRequest, name: str) -> HttpResponse:
    """Keep the service with its history, and trigger it no more."""
    service = catalog.service_get(name)
    try:
        editing.service_remove(service, now=timezone.now())
    except Conflict as error:
        messages.error(request, f"{error}.")
    else:
        messages.success(
            request,
            gettext("{name} is removed: nothing triggers it. It can be brought back here.").format(
                name=service.name
            ),
        )
    return redirect("console:service", name=service.name)
