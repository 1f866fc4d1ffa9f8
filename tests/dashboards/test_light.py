"""Pages and commands that only read must not wait for torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "dashboards").rglob("*.py")]
MODULES = sorted(".".join(path.parts) for path in FILES if path.stem != "__init__")


def test_no_view_imports_torch_or_sql() -> None:
    code = f"import sys; import {', '.join(MODULES)}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    tops = {name.partition(".")[0] for name in ran.stdout.split()}
    assert not tops & {"torch", "sqlalchemy", "onnx", "onnxruntime", "scipy", "searcher", "learners", "slimfront"}
    assert {"dashboards.front", "dashboards.report.page"} <= set(ran.stdout.split())


def test_views_do_without_figures_and_templates() -> None:
    views = [name for name in MODULES if name.count(".") == 1]
    code = f"import sys; import {', '.join(views)}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"plotly", "jinja2"} & set(ran.stdout.split())
