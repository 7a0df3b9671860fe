"""Making and editing services in the console, as somebody without JavaScript does it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from ferris_web.accounts.models import AuditEntry, Membership, Role, User
from ferris_web.catalog.models import Project, Service
from ferris_web.catalog.selectors import version_file, version_files
from tests.web.console_fixtures import HOSTILE
from tests.web.console_forms import Forms
from tests.web.console_pages import Page, page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]


@pytest.fixture
def service(person: Client) -> Service:
    made = person.post("/services/-/new/", {"project": "hand", "name": "made", "starter": "python"})
    assert made.status_code == 302, made.content.decode()
    assert made.url == "/services/made/edit/"
    return Service.objects.get(name="made")


def hidden(shown: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', shown)
    assert found, name
    return found[1]


def opened(person: Client, path: str) -> dict[str, str]:
    """What the form of that file holds."""
    shown = page(person, f"/services/made/edit/?path={path}").html
    text = re.search(r'<textarea[^>]*name="content"[^>]*>\n(.*?)</textarea>', shown, re.DOTALL)
    assert text
    return {"path": path, "seen": hidden(shown, "seen"), "base": hidden(shown, "base"), "content": text[1]}


def send(person: Client, form: dict[str, Any], do: str = "save", status: int = 302) -> Any:
    answer = person.post("/services/made/edit/", {**form, "do": do})
    assert answer.status_code == status, answer.content.decode()[-4000:]
    return answer


def content(service: Service, path: str) -> str:
    service.refresh_from_db()
    assert service.version is not None
    return version_file(service.version, path).decode()


def test_a_new_service_is_edited_and_saved(service: Service, person: Client) -> None:
    assert service.runs
    form = {**opened(person, "run.py"), "content": "print(1)\r\nprint(2)\r\n", "message": "shorter"}
    assert send(person, form).url == "/services/made/edit/?path=run.py"
    assert content(service, "run.py") == "print(1)\nprint(2)\n"
    assert service.version is not None
    assert (service.version.number, service.version.author, service.version.message) == (2, "ada", "shorter")
    shown = page(person, "/services/made/versions/")
    assert "shorter" in shown.text
    assert "Restore v1" in shown.text
    entry = AuditEntry.objects.filter(action="console:service-edit").get()
    assert (entry.said["path"], entry.before["version"], entry.after["version"]) == ("run.py", 1, 2)
    assert "print" not in str(entry.said), "what stands in files is not the log's"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "a/b"}, "made of letters"),
        ({"name": "made"}, "already"),
        ({"starter": "cobol"}, "Choose what to start from"),
        ({"project": "no spaces"}, "valid"),
    ],
)
def test_a_new_service_that_cannot_be(service: Service, person: Client, given: Any, said: str) -> None:
    answer = person.post("/services/-/new/", {"project": "hand", "name": "x", "starter": "sql", **given})
    assert answer.status_code == 422
    assert said in Page(answer.content.decode()).text


def test_the_difference_is_shown_before_it_is_saved(service: Service, person: Client) -> None:
    form = {**opened(person, "run.py"), "content": "print('new')\n"}
    shown = Page(send(person, form, "preview", 200).content.decode())
    assert "+print('new')" in shown.text
    assert service.versions.count() == 1


def test_the_second_of_two_editors_is_told_and_shown(service: Service, person: Client) -> None:
    mine, theirs = opened(person, "run.py"), opened(person, "run.py")
    send(person, {**theirs, "content": "theirs()\n", "message": "they were quicker"})
    answer = send(person, {**mine, "content": "mine()\n"}, status=409)
    shown = Page(answer.content.decode())
    for said in (
        "was changed by somebody else",
        "they were quicker",
        "+theirs()",
        "-theirs()",
        "+mine()",
        "Save over it",
    ):
        assert said in shown.text, said
    assert content(service, "run.py") == "theirs()\n"
    form = {
        "path": "run.py",
        "content": "both()\n",
        "seen": hidden(shown.html, "seen"),
        "base": hidden(shown.html, "base"),
    }
    send(person, form)
    assert content(service, "run.py") == "both()\n"


def _carried(answer: Any) -> dict[str, Any]:
    """What the form of a page would send on."""
    form = Forms(answer.content.decode()).form("content")
    return {name: values for name, values in form.values.items() if values}


def test_several_files_are_saved_as_one_version(service: Service, person: Client) -> None:
    first = {**opened(person, "run.py"), "content": "import more\r\n"}
    answer = person.post("/services/made/edit/", {**first, "open": "README.md"})
    shown = Page(answer.content.decode())
    assert answer.status_code == 200
    assert "not saved" in shown.text
    assert "Saved with it, as one version: run.py" in shown.text
    assert service.versions.count() == 1, "nothing is saved yet"
    second = {**_carried(answer), "content": ["# Made\n"]}
    answer = person.post("/services/made/edit/", {**second, "open": ""})
    third = {**_carried(answer), "path": "more.py", "content": "print(2)\n", "message": "all of it"}
    preview = Page(person.post("/services/made/edit/", {**third, "do": "preview"}).content.decode())
    for said in ("+import more", "+# Made", "+print(2)"):
        assert said in preview.text
    again = person.post("/services/made/edit/", {**third, "open": "run.py"})
    assert "import more" in _carried(again)["content"][0], "what was written into the first is still there"
    send(person, _carried(again) | {"message": "all of it"})
    assert service.versions.count() == 2
    for path, text in (("run.py", "import more\n"), ("README.md", "# Made\n"), ("more.py", "print(2)\n")):
        assert content(service, path).removeprefix("\n") == text
    assert service.version is not None
    assert service.version.message == "all of it"


def test_what_was_written_into_one_of_them_can_be_forgotten(service: Service, person: Client) -> None:
    first = {**opened(person, "run.py"), "content": "raise SystemExit(1)\n"}
    answer = person.post("/services/made/edit/", {**first, "open": "README.md"})
    answer = person.post("/services/made/edit/", {**_carried(answer), "drop": "run.py"})
    assert "Saved with it" not in Page(answer.content.decode()).text
    send(person, _carried(answer) | {"content": "# New\n"})
    assert "raise" not in content(service, "run.py")


def test_of_several_files_the_one_that_another_was_quicker_with_is_told(
    service: Service, person: Client
) -> None:
    mine = {**opened(person, "run.py"), "content": "mine()\n"}
    answer = person.post("/services/made/edit/", {**mine, "open": "README.md"})
    theirs = {**opened(person, "run.py"), "content": "theirs()\n"}
    send(person, theirs)
    both = _carried(answer) | {"content": "# Mine\n"}
    answer = send(person, both, status=409)
    shown = Page(answer.content.decode())
    for said in ("run.py was changed by somebody else", "+theirs()", "-theirs()", "+mine()", "Save over it"):
        assert said in shown.text, said
    assert content(service, "run.py") == "theirs()\n", "neither was saved"
    assert "# Mine" not in content(service, "README.md")
    send(person, _carried(answer))
    assert content(service, "run.py") == "mine()\n"
    assert "# Mine" in content(service, "README.md")


def test_a_file_that_was_only_looked_at_is_not_fought_over(service: Service, person: Client) -> None:
    mine = {**opened(person, "run.py"), "content": "mine()\n"}
    answer = person.post("/services/made/edit/", {**mine, "open": "README.md"})
    theirs = {**opened(person, "README.md"), "content": "# Theirs\n"}
    send(person, theirs)
    send(person, _carried(answer))
    assert content(service, "run.py") == "mine()\n"
    assert content(service, "README.md") == "# Theirs\n"


def test_a_mistake_in_one_of_several_saves_none(service: Service, person: Client) -> None:
    wrong = {**opened(person, "manifest.json"), "content": '{"entrypoint": "run.py", "priority": 99}'}
    answer = person.post("/services/made/edit/", {**wrong, "open": "run.py"})
    answer = send(person, _carried(answer) | {"content": "print(3)\n"}, status=422)
    assert "priority" in Page(answer.content.decode()).text
    assert service.versions.count() == 1
    assert "print(3)" in _carried(answer)["content"][0]
    assert _carried(answer)["draft-path"] == ["manifest.json"]


def test_a_mistake_points_at_its_line(service: Service, person: Client) -> None:
    form = {**opened(person, "manifest.json"), "content": '{\n "entrypoint": "run.py",\n "priority": 99\n}'}
    shown = Page(send(person, form, status=422).content.decode())
    assert "manifest.json, line 3" in shown.text
    assert "&quot;priority&quot;: 99" in shown.html, "what was written is still there"
    shown = Page(send(person, {**form, "content": "{\n  oops\n}"}, status=422).content.decode())
    assert "line 2" in shown.text
    assert service.versions.count() == 1


def test_save_and_run_leads_to_the_run_form(service: Service, person: Client) -> None:
    form = {**opened(person, "run.py"), "content": "print(1)\n"}
    assert send(person, form, "run").url == "/services/made/run/"


def test_new_files_uploads_renames_and_deletes(service: Service, person: Client) -> None:
    page(person, "/services/made/edit/?new=1")
    send(person, {"path": "lib/more.py", "seen": "", "base": "1", "content": "x = 1\n"})
    send(person, {"path": "lib/more.py", "seen": "", "base": "1", "content": "x = 2\n"}, status=409)
    assert content(service, "lib/more.py") == "x = 1\n"

    def change(do: str, **more: Any) -> str:
        answer: Any = person.post("/services/made/edit/files/", {"do": do, **more}, follow=True)
        return Page(answer.content.decode()).text

    two = [SimpleUploadedFile("a.csv", b"1,2\n"), SimpleUploadedFile("run.py", b"raise\n")]
    assert "run.py was changed" in change("upload", files=two)
    two = [SimpleUploadedFile("a.csv", b"1,2\n"), SimpleUploadedFile("b.bin", b"\0\xff")]
    assert "Saved as v3" in change("upload", files=two, folder="data")
    assert "It is no text" in page(person, "/services/made/edit/?path=data/b.bin").text
    assert "no file was chosen" in change("upload")
    assert "no path inside the folder" in change("upload", files=SimpleUploadedFile("x", b""), folder="../up")

    seen = opened(person, "run.py")["seen"]
    assert "Saved as v4" in change("rename", path="run.py", to="main.py", seen=seen)
    assert '"entrypoint": "main.py"' in content(service, "manifest.json")
    assert "there is no file" in change("delete", path="run.py", seen="")
    seen = opened(person, "data/a.csv")["seen"]
    assert "Undo" in change("delete", path="data/a.csv", seen=seen)
    person.post("/services/made/edit/restore/", {"version": "4"})
    assert content(service, "data/a.csv") == "1,2\n"


def test_the_order_is_moved_without_javascript(service: Service, person: Client) -> None:
    for path in ("one.py", "two.py"):
        send(person, {"path": path, "seen": "", "base": "1", "content": "print()\n"})
    address = "/services/made/edit/order/"

    def press(move: str, scripts: list[str], do: str = "", status: int = 200) -> Any:
        seen = hidden(page(person, address).html, "seen")
        form = {"script": scripts, "seen": seen, **({"move": move} if move else {"do": do})}
        answer = person.post(address, form)
        assert answer.status_code == status
        return answer

    def listed(answer: Any) -> list[str]:
        return re.findall(r'name="script" value="([^"]*)"', answer.content.decode())

    assert listed(press("add:two.py", ["run.py"])) == ["run.py", "two.py"]
    assert listed(press("up:two.py", ["run.py", "two.py"])) == ["two.py", "run.py"]
    assert listed(press("down:two.py", ["two.py", "run.py"])) == ["run.py", "two.py"]
    assert listed(press("drop:run.py", ["run.py", "two.py"])) == ["two.py"]
    assert "execution_order" in Page(press("", ["two.py", "run.py"], "preview").content.decode()).text
    assert service.versions.count() == 3
    press("", ["two.py", "run.py"], "save", 302)
    service.refresh_from_db()
    assert service.version is not None
    assert service.version.manifest["scripts"] == ["two.py", "run.py"]
    press("", [], "save", 409)
    stale = {"script": ["run.py"], "seen": "0" * 64, "do": "save"}
    assert person.post(address, stale).status_code == 409


def test_remove_and_bring_back(service: Service, person: Client) -> None:
    answer: Any = person.post("/services/made/edit/remove/", follow=True)
    assert "Bring it back" in Page(answer.content.decode()).text
    service.refresh_from_db()
    assert not service.runs
    person.post("/services/made/edit/restore/", {"version": "1"})
    service.refresh_from_db()
    assert service.runs


def test_what_comes_from_git_is_read_only_and_copied(service: Service, person: Client) -> None:
    service.repository = service.project.repositories.create(source="/srv/elsewhere")
    service.save()
    shown = page(person, "/services/made/edit/")
    assert "comes from" in shown.text
    assert "textarea" not in shown.tags
    assert "/services/-/new/?copy=made" in page(person, "/services/made/files/").links
    form = {"path": "run.py", "seen": "", "base": "1", "content": ""}
    assert "comes from" in Page(send(person, form, status=409).content.decode()).text
    assert person.post("/services/made/edit/order/", {"do": "save", "script": "run.py"}).status_code == 409
    copied = {"project": "hand", "name": "copied", "starter": "copy"}
    assert person.post("/services/-/new/?copy=made", copied).status_code == 302
    copy = Service.objects.get(name="copied")
    assert copy.repository_id is None
    assert service.version is not None
    assert copy.version is not None
    assert version_files(copy.version) == version_files(service.version)


def test_files_are_downloaded_as_they_are(service: Service, person: Client) -> None:
    answer: Any = person.get("/services/made/files/download/?path=run.py")
    assert b"".join(answer.streaming_content).decode() == content(service, "run.py")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    page(person, "/services/made/files/download/?path=../x", 404)
    page(person, "/services/made/edit/?path=../x", 404)


def test_hostile_texts_are_text(service: Service, person: Client) -> None:
    send(
        person,
        {"path": "x.txt", "seen": "", "base": "1", "content": f"</textarea>{HOSTILE}", "message": HOSTILE},
    )
    for address in ("/services/made/edit/?path=x.txt", "/services/made/versions/"):
        assert not page(person, address).dangers
    answer = person.post("/services/made/edit/order/", {"script": HOSTILE, "move": f"add:{HOSTILE}"})
    assert not Page(answer.content.decode()).dangers


def test_only_maintainers_of_its_project_edit_it(service: Service, client: Client) -> None:
    other = Project.objects.create(name="other")
    for project, role, status in ((service.project, Role.OPERATOR, 403), (other, Role.OWNER, 404)):
        who = User.objects.create_user(f"u{status}")
        Membership.objects.filter(user=who).delete()
        Membership.objects.create(user=who, project=project, role=role)
        client.force_login(who)
        for address in ("edit/", "edit/order/", "edit/files/", "edit/restore/", "edit/remove/"):
            assert client.post(f"/services/made/{address}").status_code == status, address
    new = {"project": "hand", "name": "sneaky", "starter": "python"}
    answer = client.post("/services/-/new/", new)
    assert answer.status_code == 422, "an owner of another project"
    assert "no project of that name" in answer.content.decode()
    assert client.get("/services/-/new/?copy=made").status_code == 404
    assert not Service.objects.filter(name="sneaky").exists()


def test_what_a_browser_had_kept_is_restored_over_nobody(service: Service, person: Client) -> None:
    kept = {**opened(person, "run.py"), "content": "print('mine')\n"}
    fields = {f"draft-{name}": value for name, value in kept.items() if name != "content"}
    restored = {**opened(person, "README.md"), **fields, "draft-text": kept["content"], "open": "run.py"}
    shown = send(person, restored, "restore", 200).content.decode()
    assert "print(&#x27;mine&#x27;)" in shown
    assert "data-unsaved" in shown

    send(person, {**opened(person, "run.py"), "content": "print('theirs')\n"})
    late = send(person, restored, "restore", 409).content.decode()
    assert "What was changed meanwhile" in late
    assert "print(&#x27;theirs&#x27;)" in late
    again = {**restored, "path": "run.py", "content": kept["content"], "seen": hidden(late, "seen")}
    again = {name: value for name, value in again.items() if not name.startswith(("draft-", "open"))}
    send(person, again)
    assert content(service, "run.py") == "print('mine')\n"
