"""Options that several commands share, and the options that a command has because it has settings. Does no work."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Concatenate, TypeVar

import typer
import typer.core

from funnelcast.settings.catalogue import settings_of
from funnelcast.settings.load import load_settings
from funnelcast.settings.sections import Settings, StateSettings
from funnelcast.settings.setting import Setting
from producers.files.durable import make_private

S = TypeVar("S", bound=Settings)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else, on stdout.")]
FunnelsOption = Annotated[list[str] | None, typer.Option(help="A preset or a file; repeat for several.")]
TolerateOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND,...",
        help="Take what is refused: amount, cells, columns, copy, id, join, late, name, placeholder, time, all.",
    ),
]
OtherKafka = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Use this broker; default: an embedded one.")]
"""Not the setting: environment and file do not replace a part of the embedded stack."""
OtherRedis = Annotated[
    str | None, typer.Option(metavar="REDIS://HOST:PORT", help="Use this Redis or Valkey; default: an embedded one.")
]
_CONFIG = "config_file"
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings in TOML; default: funnelcast.toml of the working directory, if there is one.",
        rich_help_panel="Settings",
    ),
]


class WithBareOptions(typer.core.TyperCommand):
    """A command some of whose options may stand without their value: `bare` has the value that is meant."""

    bare: ClassVar[Mapping[str, str]] = {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See typer."""
        given: list[str] = []
        for number, argument in enumerate(args):
            following = args[number + 1 : number + 2]
            is_bare = argument in self.bare and (not following or following[0].startswith("-"))
            given += [argument, self.bare[argument]] if is_bare else [argument]
        return super().parse_args(ctx, given)


def with_settings(kind: type[S]) -> Callable[[Callable[Concatenate[S, ...], None]], Callable[..., None]]:
    """Gives a command a flag for each setting of `kind` and `--config`; it gets the loaded settings as first argument.

    Names, help, units and defaults of the flags are those of the fields.
    """

    def decorate(command: Callable[Concatenate[S, ...], None]) -> Callable[..., None]:
        flags = [each for each in settings_of(kind) if each.facts.has_flag]

        def run(**given: Any) -> None:
            values = {each.attribute: given.pop(each.attribute) for each in flags}
            settings = load_settings(kind, values, file=given.pop(_CONFIG))
            if isinstance(settings, StateSettings):
                make_private(settings.state_dir)
            command(settings, **given)

        _, *own = inspect.signature(command, eval_str=True).parameters.values()
        config = inspect.Parameter(_CONFIG, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigOption)
        parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
        run.__signature__ = inspect.Signature([*parameters, *map(_parameter, flags), config])  # type: ignore[attr-defined]
        run.__name__, run.__doc__, run.__annotations__ = command.__name__, command.__doc__, {}
        return run

    return decorate


def _parameter(setting: Setting) -> inspect.Parameter:
    """Never has a value of its own: None means that the flag was not given."""
    is_switch = setting.value_type is bool
    names = [f"{setting.flag}/--no-{setting.flag.removeprefix('--')}"] if is_switch else [setting.flag]
    default = "" if setting.default is False else setting.written(setting.default)
    option = typer.Option(
        *names,
        metavar=None if is_switch else setting.placeholder,
        help=setting.facts.help + rf" \[env: {setting.variable}]" + (rf" \[default: {default}]" if default else ""),
        show_default=False,
        rich_help_panel=setting.section,
    )
    annotation: Any = Annotated[bool | None, option] if is_switch else Annotated[str | None, option]
    return inspect.Parameter(setting.attribute, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
