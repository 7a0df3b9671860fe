"""Folders of services, made on the spot as a user would keep them."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class SourceFolder:
    """A folder of services, as a user keeps one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def service(self, name: str, manifest: Any = None, **files: Any) -> Path:
        """Write one service: `run_py="..."` becomes run.py, values that are not text become JSON."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        if manifest is not None:
            files["manifest_json"] = manifest
        files.setdefault("run_py", "print('hello')\n")
        for key, content in files.items():
            path = folder / ".".join(key.rsplit("_", 1))
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                path.write_text(content if isinstance(content, str) else json.dumps(content))
        return folder

    def remove(self, name: str) -> None:
        shutil.rmtree(self.root / name)

    def git(self, *arguments: str) -> str:
        """Run git in the folder, as a user with a name."""
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]
        command = ["git", *who, *arguments]
        return subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True).stdout

    def commit(self, subject: str = "change") -> str:
        """Commit all there is; the id."""
        if not (self.root / ".git").exists():
            self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)
        return self.git("rev-parse", "HEAD").strip()
