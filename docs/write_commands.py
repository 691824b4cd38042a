"""Writes docs/commands.md: every command with its options, variables, defaults and examples.

Run `python docs/write_commands.py` after an option was changed. A test compares the committed page with what this
script writes. It imports the commands and runs none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from funnelcast.cli import COMMANDS, GROUPS, OPERATE, load_command
from funnelcast.help_text import value_word
from funnelcast.settings.catalogue import all_settings

PAGE = Path(__file__).resolve().parent / "commands.md"
TOP = """# Commands

Written by `python docs/write_commands.py` from the commands themselves, so it is what `--help` says.

`funnelcast COMMAND --help` shows the same in a terminal; `funnelcast --install-completion` teaches your shell.
With `--json` a command that answers prints one document on stdout and nothing else.
Exit codes: 0 done, 1 the answer is no, 2 wrong use or a bad file, 70 needs a human, 75 try again; 130 after Ctrl-C.

"""
SHARED = """## Settings of the installation

Many commands take these; [operations.md](operations.md#configuration) says where else they can stand.

"""
HEAD = "| Option | Meaning | Variable | Default |\n|---|---|---|---|\n"
_FACT = re.compile(r"\s*\\?\[(env|default): ([^\]]*)\]")


class Option(NamedTuple):
    """One option or argument as a row."""

    names: str
    text: str
    variable: str
    default: str

    def __str__(self) -> str:
        cells = (
            f"`{self.names}`",
            self.text,
            self.variable and f"`{self.variable}`",
            self.default and f"`{self.default}`",
        )
        return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |\n"


def page() -> str:
    """The page as it should be."""
    groups = {**GROUPS, OPERATE: [name for name in COMMANDS if not any(name in names for names in GROUPS.values())]}
    parts = [TOP, *_contents(groups)]
    for group, names in groups.items():
        parts.append(f"## {group}\n\n")
        for name in names:
            parts += _command([name], load_command(name))
    return "".join([*parts, *_shared()]).rstrip() + "\n"


def _contents(groups: dict[str, Any]) -> Iterator[str]:
    yield "| Command | |\n|---|---|\n"
    for names in groups.values():
        for name in names:
            yield f"| [{name}](#{name}) | {COMMANDS[name][1]} |\n"
    yield "\n"


def _command(names: list[str], command: Any) -> Iterator[str]:
    if hasattr(command, "commands"):
        yield f"### {' '.join(names)}\n\n{COMMANDS[names[0]][1]}\n\n"
        for name, inner in command.commands.items():
            yield from _command([*names, name], inner)
        return
    yield f"{'#' * (len(names) + 2)} {' '.join(names)}\n\n{_prose(command.help or '')}\n\n"
    given = [each for each in command.params if each.name != "help" and not each.hidden]
    own = [_option(each) for each in given if not _is_shared(each)]
    if own:
        yield HEAD + "".join(map(str, own)) + "\n"
    shared = [f"`{each.opts[0]}`" for each in given if _is_shared(each)]
    if shared:
        yield f"[Settings of the installation](#settings-of-the-installation): {', '.join(shared)}.\n\n"
    yield from _examples(command.epilog or "")


def _is_shared(parameter: Any) -> bool:
    return parameter.name == "config_file" or any(
        each.flag in parameter.opts and not each.process for each in all_settings().values() if each.facts.has_flag
    )


def _option(parameter: Any) -> Option:
    text = parameter.help or ""
    facts = dict(_FACT.findall(text))
    return Option(
        _names(parameter), _FACT.sub("", text).strip(), facts.get("env", ""), facts.get("default", _default(parameter))
    )


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return value_word(parameter)
    return f"{', '.join([*parameter.opts, *parameter.secondary_opts])} {value_word(parameter)}".strip()


def _default(parameter: Any) -> str:
    default = parameter.default
    if callable(default) or default is None or default == () or default is ... or parameter.required:
        return ""
    if parameter.is_flag:
        return str((parameter.opts if default else parameter.secondary_opts or [""])[0])
    return str(default)


def _examples(epilog: str) -> Iterator[str]:
    """Of `Examples:  a  ·  b`."""
    text = re.sub(r"\s+", " ", epilog).strip()
    if text:
        examples = re.sub(r"^Examples?: ", "", text).replace("\\[", "[").split(" · ")
        yield "```sh\n" + "\n".join(each.strip() for each in examples) + "\n```\n\n"


def _prose(text: str) -> str:
    return text.strip().replace("\\[", "[").replace("<", "&lt;")


def _shared() -> Iterable[str]:
    yield SHARED + HEAD
    for each in all_settings().values():
        if not each.process:
            name = f"{each.flag} {each.placeholder}".strip() if each.facts.has_flag else each.key
            name = each.flag if each.value_type is bool and each.facts.has_flag else name
            yield str(Option(name, each.facts.help, each.variable, each.written(each.default) if each.default else ""))
    yield str(Option("--config FILE", "Settings in TOML.", "FUNNELCAST_CONFIG", "funnelcast.toml"))


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
