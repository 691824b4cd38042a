"""Every shipped dashboard is one by Grafana's own types."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.deployed import ROOT

HERE = Path(__file__).parent
TYPES = """
import type { AnnotationQuery, Dashboard, VariableModel } from '@grafana/schema';
// In JSON an enum is its text.
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
  : T extends (infer Item)[] ? Plain<Item>[] : { [Key in keyof T]: Plain<T[Key]> };
// Prometheus' data source reads `expr` of an annotation; the SDK writes the defaults of `auto` for every variable.
type Written = Omit<Dashboard, 'annotations' | 'templating'> & {
  annotations?: { list?: (AnnotationQuery & { expr?: string })[] };
  templating?: { list?: (VariableModel & { auto?: boolean; auto_min?: string; auto_count?: number })[] };
};
export type Board = Plain<Written>;
"""
FLAGS = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "es2022"]


def checked(directory: Path, boards: dict[str, str]) -> str:
    """What the compiler says of dashboards."""
    (directory / "node_modules").symlink_to(HERE / "node_modules")
    (directory / "board.ts").write_text(TYPES)
    for name, text in boards.items():
        (directory / f"{name}.ts").write_text(
            f"import type {{ Board }} from './board';\nconst board: Board = {text};\n"
        )
    compiler = HERE / "node_modules" / "typescript" / "bin" / "tsc"
    command = ["node", str(compiler), *FLAGS, "--moduleResolution", "bundler", *(f"{name}.ts" for name in boards)]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True).stdout


def test_dashboards_are_what_grafana_declares(tmp_path: Path) -> None:
    boards = {path.stem: path.read_text() for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")}
    assert checked(tmp_path, boards) == ""


def test_what_grafana_does_not_declare_is_found(tmp_path: Path) -> None:
    board = (ROOT / "deploy/grafana/dashboards/funnel.json").read_text()
    wrong = board.replace('"graphTooltip": 1', '"graphTooltip": "shared"')
    assert "DashboardCursorSync" in checked(tmp_path, {"funnel": wrong})
