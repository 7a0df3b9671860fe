"""What journeys through the console have in common: screens, services, waiting for what others do meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acceptance.client import Client
from tests.browser.servers import until

# Every page at both widths in both themes: test_screens.py.
SCREENS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 850}, "color_scheme": "light"},
    "phone": {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark", "has_touch": True},
}


def write(folder: Path, name: str, manifest: dict[str, Any], script: str, **more: Any) -> None:
    """A service of a project's folder."""
    service = folder / name
    service.mkdir(parents=True, exist_ok=True)
    (service / "manifest.json").write_text(json.dumps(manifest))
    (service / "run.py").write_text(script)
    for file, content in more.items():
        (service / f"{file}.json").write_text(json.dumps(content))


def added(api: Client, project: str, folder: Path) -> str:
    """The folder as a project of the platform, synchronised; its name."""
    api.post("/api/v1/projects/", {"name": project, "source": str(folder)})
    synced(api, project)
    return project


def synced(api: Client, project: str) -> None:
    """What is in the project's folder by now is what the platform has."""
    api.post(f"/api/v1/projects/{project}/sync/")


def seen_at(page: Any, address: str, selector: str) -> None:
    """A page of what others write meanwhile: opened again until it shows that."""

    def there() -> bool:
        page.goto(address)
        return bool(page.locator(selector).count())

    until(page, there)


def by_menu(page: Any, *names: str) -> None:
    """Go to a page as people do: by the menu, which on a phone is opened first, then by links of the page."""
    if page.url == "about:blank":
        page.goto("/")
    menu = page.get_by_role("button", name="Menu")
    if menu.is_visible():
        menu.click()
    page.get_by_role("navigation", name="Main").get_by_role("link", name=names[0], exact=True).click()
    for name in names[1:]:
        page.get_by_role("main").get_by_role("link", name=name, exact=True).first.click()
