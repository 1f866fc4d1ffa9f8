"""Pages and commands that only read must not wait for torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (ROOT / "dashboards").glob("*.py") if path.stem != "__init__")


def test_no_view_imports_torch_or_sql() -> None:
    code = f"import sys; import {', '.join(f'dashboards.{name}' for name in MODULES)}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    tops = {name.partition(".")[0] for name in ran.stdout.split()}
    assert not tops & {"torch", "sqlalchemy", "onnx", "onnxruntime", "scipy", "searcher", "learners", "slimfront"}
    assert "dashboards.front" in ran.stdout.split()
