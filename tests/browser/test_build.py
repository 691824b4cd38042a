"""The built files are those of the source, and their types hold."""

from __future__ import annotations

import subprocess
from pathlib import Path

from producers.snippet.builds import FILES

HERE = Path(__file__).parent
BUILT = HERE.parents[1] / "producers" / "snippet" / "built"
USE = """
import { consent, flush, identify, init, page, reset, track, type Options } from './funnelcast';
const options: Options = { key: 'k', host: 'https://collect.example.com', consent: 'pending', params: 'q' };
init(options); page({ a: 1 }); track('x'); identify('u', { email: 'a@example.com' }); identify(null);
consent('granted'); reset(); flush(); window.funnelcast.track('y', { n: 1 }); funnelcast.page();
// @ts-expect-error there is no such state
consent('maybe');
// @ts-expect-error a key is needed
init({ host: 'https://collect.example.com' });
"""


def test_built_files_are_those_of_the_source(tmp_path: Path) -> None:
    subprocess.run(["node", "build.mjs", "snippet", str(tmp_path)], cwd=HERE, check=True)
    for name in FILES:
        built, committed = (tmp_path / name).read_bytes(), (BUILT / name).read_bytes()
        assert built == committed, f"{name} is old: npm --prefix tests/browser run snippet"


def test_types_hold_where_they_are_used(tmp_path: Path) -> None:
    (tmp_path / "funnelcast.d.ts").write_bytes((BUILT / "funnelcast.d.ts").read_bytes())
    (tmp_path / "use.ts").write_text(USE)
    compiler = HERE / "node_modules" / "typescript" / "bin" / "tsc"
    flags = ["--noEmit", "--strict", "--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler"]
    done = subprocess.run(["node", str(compiler), *flags, "use.ts"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
