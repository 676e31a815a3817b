"""The steps of docs/Dockerfile without docker: environment, wheel, another user, the main job."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import site
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[2]
DOCKERFILE = PROJECT / "docs/Dockerfile"


def measure(folder: Path, from_index: bool) -> None:
    """Print how long each step takes; a step that fails ends with what it printed."""
    if os.geteuid() != 0:
        sys.exit("only root becomes another user: type it as root, or build the image with docker")
    text = DOCKERFILE.read_text()
    user = int(re.search(r"useradd --uid (\d+)", text)[1])  # type: ignore[index]
    environment = dict(re.findall(r"(\w+)=(/work\S*)", text))
    with tempfile.TemporaryDirectory(prefix="container-", dir=folder) as made:
        root = Path(made)
        root.chmod(0o755)
        work, python = root / "work", root / "env/bin/python"
        work.mkdir()
        os.chown(work, user, user)
        there = {"PATH": os.defpath} | {
            name: value.replace("/work", str(work), 1) for name, value in environment.items()
        }
        step(
            "wheel",
            [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", root, PROJECT],
        )
        left_out = shutil.ignore_patterns("site-packages", "test", "__pycache__")
        shutil.copytree(sys.base_prefix, root / "python", symlinks=True, ignore=left_out)
        step("environment", [root / "python/bin/python3", "-m", "venv", root / "env"])
        (wheel,) = root.glob("*.whl")
        if from_index:
            step("install", [python, "-m", "pip", "install", "-q", f"{wheel}[fast]"])
        else:
            step("install", [python, "-m", "pip", "install", "-q", "--no-deps", wheel])
            share_packages(python)
        for command in ("extract", "analyze"):
            run = [python, "-m", command]
            step(command, run, user=user, group=user, extra_groups=[], cwd=work, env=there)
        step("writes elsewhere", ["touch", root / "env/x"], fails=True, user=user, group=user)
        print(*sorted(path.name for path in (work / "results/latest").iterdir()))


def share_packages(python: Path) -> None:
    """Let an environment see what is installed here, but for the project itself."""
    found = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"],
        capture_output=True,
        text=True,
        check=True,
    )
    packages = [path for path in sys.path if path.endswith("-packages") and Path(path).is_dir()]
    lines = "\n".join(dict.fromkeys([*packages, *site.getsitepackages()]))
    Path(found.stdout.strip(), "shared.pth").write_text(lines + "\n")


def step(name: str, words: list[object], *, fails: bool = False, **how: object) -> None:
    """Run a step and print its seconds."""
    began = time.monotonic()
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, **how)  # type: ignore[call-overload]
    print(f"{name:<20} {time.monotonic() - began:6.1f} s", flush=True)
    if (done.returncode != 0) != fails:
        sys.exit(f"{name} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--from-index", action="store_true", help="install dependencies anew")
