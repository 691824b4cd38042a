"""Names and codes of dimension values and loss reasons: a partition's copy of the registers kept by the store.

Register 0 holds loss reasons, register i the values of dimension i (from 1). Code 0 is `unknown`, 1 `other`, from 2 on
the names in the order in which they came first (or in which the definition lists them). A real value called so has a
name of its own (`schemas.names.name_of`). Assigning new codes is the store's business: it alone is the same for all
partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from schemas.counters import CODE_OTHER, CODE_UNKNOWN, OTHER, REASONS, UNKNOWN
from schemas.names import clean_value, name_of
from streams.core.plan import REASON_CAP, Plan

FIRST_CODE = 2
"""Of the first name; `unknown` and `other` come before."""


class Register:
    """One list of names, perhaps with a fixed set of them."""

    def __init__(self, cap: int, listed: Sequence[str] | None) -> None:
        self.cap = cap
        self.listed = None if listed is None else [name_of(text) for text in listed]
        self.codes: dict[str, int] = {UNKNOWN: CODE_UNKNOWN, OTHER: CODE_OTHER}
        self.is_full = listed is not None
        for number, name in enumerate(self.listed or ()):
            self.codes[name] = FIRST_CODE + number
        self.known = set(self.codes.values())

    def code(self, raw: object) -> int | str:
        """Code of a raw value, or its cleaned name where the store must be asked first."""
        name = clean_value(raw)
        code = self.codes.get(name)
        if code is None:
            if not self.is_full:
                return name
            return CODE_OTHER
        return code

    def admit(self, name: str, code: int) -> None:
        """Take over what the store decided about a name."""
        if code == CODE_OTHER:
            self.is_full = True
            return
        if self.codes.setdefault(name, code) != code:
            raise ValueError(f"register: {name!r} has the codes {self.codes[name]} and {code}; the state is damaged")
        self.known.add(code)
        if len(self.codes) - FIRST_CODE >= self.cap:
            self.is_full = True


class FunnelRegisters:
    """All registers of one funnel version."""

    def __init__(self, plan: Plan) -> None:
        self.all = [Register(REASON_CAP, None)]
        self.all += [Register(dimension.codes, dimension.values) for dimension in plan.dimensions]
        no_codes = plan.score_mask | plan.touch_mask
        self._places = [
            (register, shift, (1 << width) - 1)
            for register, shift, width in zip(self.all[1:], plan.shifts, plan.widths, strict=True)
            if not no_codes >> shift & 1
        ]

    def knows(self, code: int, reason: int) -> bool:
        """Whether all names of an event are here: those of one that another partition sends may have come there
        first."""
        return reason in self.all[REASONS].known and all(
            code >> shift & mask in register.known for register, shift, mask in self._places
        )


def name_of_code(names: Mapping[int, str], code: int) -> str:
    """What is shown for a code of a register, whose names these are; one that is not among them is `other`."""
    if code in (CODE_UNKNOWN, CODE_OTHER):
        return UNKNOWN if code == CODE_UNKNOWN else OTHER
    return names.get(code, OTHER)


def values_of(plan: Plan, code: int, name: Callable[[int, int], str]) -> dict[str, str]:
    """Value of each dimension in the code of an event; `name` is asked with a register and a code of it."""
    places = zip(plan.dimensions, plan.shifts, plan.widths, strict=True)
    return {
        dimension.name: name(number, code >> shift & (1 << width) - 1)
        for number, (dimension, shift, width) in enumerate(places, start=1)
    }


class Registers:
    """The registers of every funnel_id of a worker; shared by its partitions."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.funnels = {plan.funnel_id: FunnelRegisters(plan) for plan in plans}

    def listed(self, funnel_id: str) -> dict[tuple[int, str], str]:
        """Declared values, to be registered in this order before anything else."""
        numbered = self._numbered(funnel_id)
        return {(number, name): name for number, register in numbered for name in register.listed or ()}

    def caps(self, funnel_id: str) -> dict[int, int]:
        """How many names each register takes."""
        return {number: register.cap for number, register in self._numbered(funnel_id)}

    def _numbered(self, funnel_id: str) -> list[tuple[int, Register]]:
        return list(enumerate(self.funnels[funnel_id].all))

    def load(self, funnel_id: str, codes: Mapping[tuple[int, str], int]) -> None:
        """Take over (register, name) -> code as the store has them. Raises ValueError where they contradict."""
        registers = self.funnels[funnel_id].all
        for (register, name), code in codes.items():
            registers[register].admit(name, code)
