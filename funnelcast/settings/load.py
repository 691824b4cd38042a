"""Loads settings: flag, environment, file, a stack that runs here, default: the first that has it. Every mistake is
named at once."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from funnelcast.settings.catalogue import all_settings, settings_of
from funnelcast.settings.errors import SettingsError
from funnelcast.settings.running import running
from funnelcast.settings.sections import Settings
from funnelcast.settings.setting import PREFIX, Setting
from schemas.explain import did_you_mean

FILE: Final = "funnelcast.toml"
FILE_VARIABLE: Final = PREFIX + "CONFIG"
_LIKENESS: Final = 0.8
_OUR_OWN: Final = ("KAFKA_", "REDIS_")
"""What a connection needs: a misspelt name of these would leave it without TLS or a login."""
_SERVICE: Final = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_[A-Z]+(_[A-Z]+)?)?)$")
"""What Kubernetes adds to a pod for every service, here one that is called `funnelcast-kafka`."""
COMPOSE_ONLY: Final = frozenset({"WORKERS", "PARTITIONS"})
"""Of docker-compose.yml's own variables those that would be taken for a setting of one process."""
S = TypeVar("S", bound=Settings)


class Written(NamedTuple):
    """A value as it was written, and where."""

    raw: object
    place: str
    """`--port`, `FUNNELCAST_COLLECTOR__PORT` or `funnelcast.toml: collector.port`."""


@dataclass(frozen=True, slots=True)
class _Sources:
    """What was written anywhere."""

    flags: Mapping[str, object]
    variables: Mapping[str, str]
    path: Path | None
    file: Mapping[str, Any]
    running_path: Path | None = None
    running: Mapping[str, Any] = field(default_factory=dict)
    """Of a stack that was started here."""

    def written(self, setting: Setting) -> Written | None:
        """What decides: the first source that has it. An empty variable is not set."""
        if (raw := self.flags.get(setting.attribute)) is not None:
            return Written(raw, setting.flag)
        if text := self.variables.get(setting.variable):
            return Written(text, setting.variable)
        table = self.file.get(setting.process, {}) if setting.process else self.file
        if isinstance(table, dict) and setting.name in table:
            return Written(table[setting.name], f"{self.path}: {setting.key}")
        if not setting.process and setting.name in self.running:
            return Written(self.running[setting.name], f"{self.running_path}: {setting.key}")
        return None

    def mistakes(self) -> list[str]:
        """Names that nothing reads."""
        return [*_unknown_keys(self.path, self.file), *_unknown_variables(self.variables)]


def load_settings(
    kind: type[S],
    flags: Mapping[str, object] | None = None,
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> S:
    """The settings of `kind`. `flags` by attribute, None: not given. Without `file`: the one that FUNNELCAST_CONFIG
    names, or else funnelcast.toml of the working directory. What none of them says, a stack says that was started here
    and runs. Raises SettingsError with a line for every mistake.
    """
    sources = _sources(flags or {}, file, variables=os.environ if environment is None else environment)
    if kind.joins_running:
        sources = _with_running(sources)
    mistakes, values, places = sources.mistakes(), dict[str, Any](), dict[str, str]()
    for setting in settings_of(kind):
        written = sources.written(setting)
        if written is None:
            continue
        places[setting.key] = written.place
        try:
            values[setting.attribute] = setting.read(written.raw)
        except ValueError as error:
            mistakes.append(f"{written.place}: {error}")
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return kind(**values, sources=places)


def _sources(flags: Mapping[str, object], file: Path | None, *, variables: Mapping[str, str]) -> _Sources:
    path = _path_of(file, variables)
    return _Sources(flags, variables, path, {} if path is None else _read(path))


def _with_running(sources: _Sources) -> _Sources:
    """And what a stack says that runs in the state directory."""
    state_dir = all_settings()["state_dir"]
    written = sources.written(state_dir)
    stack = running(Path(str(written.raw)) if written is not None else state_dir.default)
    return sources if stack is None else replace(sources, running_path=stack[0], running=stack[1])


def _path_of(file: Path | None, variables: Mapping[str, str]) -> Path | None:
    """Raises SettingsError where a file is named that does not exist."""
    named = file or (Path(variables[FILE_VARIABLE]) if variables.get(FILE_VARIABLE) else None)
    if named is None:
        return Path(FILE) if Path(FILE).is_file() else None
    if not named.is_file():
        raise SettingsError(f"{named}: there is no such file; leave --config and {FILE_VARIABLE} away, or write one")
    return named


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from None


def _unknown_keys(path: Path | None, written: Mapping[str, Any]) -> Iterator[str]:
    if not written:
        return
    known = all_settings()
    tables = {setting.process for setting in known.values() if setting.process}
    for name, value in written.items():
        if name in tables and not isinstance(value, dict):
            yield f"{path}: {name}: must be a table; write [{name}] and its settings below"
            continue
        keys = [f"{name}.{inner}" for inner in value] if name in tables else [name]
        for key in keys:
            if key not in known:
                yield f"{path}: {key}: unknown setting; remove it{_meant(key, tables)}"


def _meant(key: str, tables: set[str]) -> str:
    """The setting that may have been meant: a similar name, or the same name in another table."""
    last = key.rpartition(".")[2]
    moved = [known for known in all_settings() if known.rpartition(".")[2] == last]
    if moved:
        return f" (did you mean {' or '.join(map(repr, moved))}?)"
    return did_you_mean(key, [*all_settings(), *tables])


def _unknown_variables(variables: Mapping[str, str]) -> Iterator[str]:
    """Names that are meant for us and that nothing reads. Others may share the prefix (compose, Kubernetes): of their
    kind of name only what is nearly one of ours is refused."""
    ours = {name: text for name, text in variables.items() if name.startswith(PREFIX)}
    if not ours:
        return
    known = sorted({setting.variable.removeprefix(PREFIX) for setting in all_settings().values()} | {"CONFIG"})
    flat = [name for name in known if "__" not in name]
    for variable, text in ours.items():
        name = variable.removeprefix(PREFIX)
        if name in known:
            continue
        if "__" in name or (name.startswith(_OUR_OWN) and not _SERVICE.search(name)):
            meant = _moved(name, known) or did_you_mean(name, known)
            yield f"{variable}: unknown setting; unset it{_prefixed(meant)}"
        elif meant := _nearly(name, flat) or _joined(name, known, value=text) or _of_a_process(name, known, value=text):
            yield f"{variable}: unknown setting; unset it{_prefixed(meant)}"


def _moved(name: str, known: Sequence[str]) -> str:
    """`EXPORTER__TARGETS`, which is `TARGETS`."""
    last = name.rpartition("__")[2]
    return f" (did you mean '{last}'?)" if last != name and last in known else ""


def _nearly(name: str, flat: Sequence[str]) -> str:
    """`KAKFA`; not `KAFKA_PORT`, which may be of a service by that name."""
    is_longer = any(name.startswith(f"{each}_") for each in flat)
    return "" if is_longer else did_you_mean(name, flat, likeness=_LIKENESS)


def _joined(name: str, known: Sequence[str], *, value: str) -> str:
    """`COLLECTOR_PORT`; not where Kubernetes sets it to the address of a service."""
    meant = [each for each in known if each.replace("__", "_") == name and "://" not in value]
    return f" (did you mean {meant[0]!r}?)" if meant else ""


def _of_a_process(name: str, known: Sequence[str], *, value: str) -> str:
    """`EVERY`, a setting of one process without the process; not what is one of compose's, or a service's address."""
    if name in COMPOSE_ONLY or "://" in value:
        return ""
    meant = [f"'{each}'" for each in known if each.endswith(f"__{name}")]
    return f" (did you mean {' or '.join(meant)}?)" if meant else ""


def _prefixed(meant: str) -> str:
    return re.sub(r"'(?=\w)", f"'{PREFIX}", meant)
