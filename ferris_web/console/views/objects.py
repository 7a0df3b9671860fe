"""Files of the object store: buckets, folders, and the files themselves.

A file may hold anything, and it is served from the console's own origin: whatever a browser could run is sandboxed
into an origin of its own without scripts, and nothing is guessed from the content.
"""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotModified
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import http_date
from django.utils.translation import gettext

from ferris import upload_checks
from ferris.errors import Conflict, EventError, NotFound
from ferris.ports import ObjectInfo
from ferris.uploads import announced
from ferris_web import wiring
from ferris_web.accounts.permissions import Action, access_of
from ferris_web.console import filters
from ferris_web.executions.services.uploads import file_upload
from ferris_web.files import file_response, object_named, object_possible

SHOWN = 200
_SCANNED = 20_000  # keys looked at while folders are made of them
_LAST = "\U0010ffff"  # behind all that a key may go on with

# Shown in the browser. Everything else is offered as a download.
_INLINE = frozenset(
    {
        "text/html",
        "text/plain",
        "text/csv",
        "text/markdown",
        "application/json",
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/svg+xml",
    }
)


def buckets(request: HttpRequest) -> HttpResponse:
    """Every bucket."""
    return render(request, "console/buckets.html", {"buckets": wiring.object_store().buckets()})


@dataclass(frozen=True)
class Folder:
    """The part of keys up to the next slash."""

    name: str
    prefix: str


def bucket(request: HttpRequest, bucket: str) -> HttpResponse:
    """What a bucket holds below a prefix: folders first, then files. A POST puts a file there."""
    store = wiring.object_store()
    if bucket not in store.buckets():  # before anything else looks at the name
        raise NotFound(f"there is no bucket {bucket!r}")
    prefix = filters.text(request.GET, "prefix", 1024)
    folder = prefix[: prefix.rfind("/") + 1]
    problem = ""
    if request.method == "POST":
        try:
            key = _put(request, bucket, folder)
        except (EventError, Conflict) as error:
            problem = error.problem if isinstance(error, EventError) else str(error)
        else:
            messages.success(request, gettext("{key} was stored.").format(key=key))
            return redirect(_here(bucket, folder))
    folders, files, after = _page(bucket, prefix, folder, request.GET.get("after") or None)
    steps = folder.split("/")[:-1]
    context = {
        "bucket": bucket,
        "prefix": prefix,
        "trail": [Folder(step, "/".join(steps[: n + 1]) + "/") for n, step in enumerate(steps)],
        "folders": folders,
        "files": [(info, info.key[len(folder) :], address(info)) for info in files],
        "after": after,
        "folder": folder,
        "problem": problem,
        "changes": _changes(request, bucket),
        "limit": wiring.config().upload_limit,
        "types": wiring.config().upload_types,
    }
    return render(request, "console/bucket.html", context, status=422 if problem else 200)


def _changes(request: HttpRequest, bucket: str) -> bool:
    """True for buckets of people and scripts, for who may put files there. The platform's own stay as they are."""
    return announced(bucket) and access_of(request.user).may(Action.EDIT)


def _here(bucket: str, folder: str) -> str:
    return f"{reverse('console:bucket', args=[bucket])}?{urlencode({'prefix': folder})}"


def _put(request: HttpRequest, bucket: str, folder: str) -> str:
    """Store the file of the form; its key. EventError or Conflict says why not."""
    if not announced(bucket):
        raise Conflict(gettext("this bucket is the platform's own: nothing is put there by hand"))
    upload = request.FILES.get("file")
    if upload is None:
        raise EventError("file", gettext("is missing: choose one"))
    settings = wiring.config()
    beginning = upload.read(upload_checks.BEGINNING)
    upload.seek(0)
    name, kind = upload_checks.checked(
        upload.name or "",
        upload.size or 0,
        beginning,
        limit=settings.upload_limit,
        types=settings.upload_types,
    )
    key = f"{folder}{name}"
    if not object_possible(bucket, key):
        raise EventError(
            "file",
            gettext("cannot be kept as {key!r}: rename it, or choose another folder").format(key=key[:200]),
        )
    if "replace" not in request.POST and wiring.object_store().stat(bucket, key) is not None:
        raise Conflict(
            gettext("there is a file {key} already: rename yours, or tick that it is replaced").format(
                key=key
            )
        )
    file_upload(bucket, key, upload.file, now=timezone.now(), content_type=kind)
    return key


def _page(
    bucket: str, prefix: str, folder: str, after: str | None
) -> tuple[list[Folder], list[ObjectInfo], str | None]:
    """Folders and files of one page, and the key to go on behind, if there is more."""
    store = wiring.object_store()
    folders: dict[str, Folder] = {}
    files: list[ObjectInfo] = []
    scanned = 0
    while len(folders) + len(files) < SHOWN and scanned < _SCANNED:
        found = store.list(bucket, prefix, after, limit=SHOWN)
        for info in found:
            name, slash, _ = info.key[len(folder) :].partition("/")
            if slash:
                folders.setdefault(name, Folder(name, f"{folder}{name}/"))
            else:
                files.append(info)
        scanned += len(found)
        if len(found) < SHOWN:
            return list(folders.values()), files, None
        after = found[-1].key
        inside, slash, _ = after[len(folder) :].partition("/")
        if slash:  # whatever else lies in there, it is one line here
            after = f"{folder}{inside}/{_LAST}"
    return list(folders.values()), files, after


def address(info: ObjectInfo) -> str:
    """Where an object is served."""
    return reverse("console:object", args=[info.bucket, "k"])[:-1] + quote(info.key, safe="/")


def content(request: HttpRequest, bucket: str, key: str) -> HttpResponseBase:
    """One file: shown when that is safe, else offered as a download, as `?download=1` always is. A POST deletes it."""
    store, info = wiring.object_store(), object_named(bucket, key)
    if request.method == "POST":
        if not announced(bucket):
            raise PermissionDenied(
                gettext("This bucket is the platform's own: nothing is deleted there by hand")
            )
        store.delete(bucket, key)
        messages.success(request, gettext("{key} was deleted.").format(key=key))
        return redirect(_here(bucket, key[: key.rfind("/") + 1]))
    etag = f'"{info.etag.strip(chr(34))}"'
    if request.headers.get("If-None-Match") == etag:
        return HttpResponseNotModified()
    kind = _kind(info)
    answer = file_response(
        store.open(bucket, key),
        key,
        kind,
        info.size,
        download=kind not in _INLINE or "download" in request.GET,
    )
    answer.headers["ETag"] = etag
    answer.headers["Last-Modified"] = http_date(info.modified.timestamp())
    return answer


def _kind(info: ObjectInfo) -> str:
    stated = info.content_type.split(";")[0].strip().lower()
    if stated in ("", "application/octet-stream", "binary/octet-stream"):
        return mimetypes.guess_type(info.key)[0] or "application/octet-stream"
    return stated
