"""The header of a packed person, bit by bit: the one place that knows what lies where.

A packed person is `header | base | tail` (`streams.core.person`). The header answers what the fast paths ask without
unpacking the rest. It follows from the rest, but for the status: it says what is booked for the last entry, which
depends on the watermark of that time, so it is remembered. A status that time alone has changed since is not written
with the person: the partition remembers until when everything is booked, and `as_of` says what that made of a person.

    bits       63 ....................... 16  15 ............ 8  7 ............ 0
    last_word  last_at: newest kept event     flags              passed
    start_word started_at: journey's start    chunks: sealed pieces of the history
    entry_word entered_at: last entry         orders: distinct orders, at most MANY_ORDERS
    base_bytes (32 bits) length of the base
    first_code code of the journey's first event    (both codes as wide as `Plan.wire` says)
    entry_code code of the last entry

    flags      7 DEALS | 6 LINKED | 5 CHANGES | 4 SEVERAL | 3 FOR_LIFE | 2 HAS_AMOUNT | 1 0 status
               (OPEN, STALLED or RESOLVED)

Where the flag LINKED is set, the bytes of the base end with the link: `higher key | linked_at u64 | seen u64 | length
of the key u16`.

`passed` is the stage of the last entry of the journey under way, plus 1. It is 0 without such a journey; both codes and
`started_at` and `entered_at` are then 0 too. Integers are little-endian, times are epoch milliseconds.

A person with DEALS has several journeys under way, and no fast paths. There `passed` is 1 while anything is,
`started_at` belongs to the one that ends last, `entered_at` says when the next of all their last entries changes by
itself (all bits set for never), and the status is OPEN while any will; both codes are 0.

A call costs as much as ten shifts. So `deadline` and `wake` here, `step` and `inorder`, through which nearly every
event passes, and the booking of deadlines (`deadlines`, `outcomes`) write `last_word >> FLAGS_SHIFT & STATUS_MASK`
themselves, with the names from here. All others call `status_of` and its like.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from schemas.times import DAY_MS
from streams.core.plan import INFINITE, RESOLVED, STALLED, Plan, Status
from streams.core.wire import wire_code

Words: TypeAlias = tuple[int, int, int, int, int, int]
"""last_word, start_word, entry_word, base_bytes, first_code, entry_code; a plan with wide codes has bytes for codes."""

AT_SHIFT: Final = 16
"""Where the time of each of the three words starts."""
FLAGS_SHIFT: Final = 8
FLAGS_MASK: Final = 0xFF
PASSED_MASK: Final = 0xFF
COUNT_MASK: Final = 0xFFFF
"""Of chunks and orders."""
BELOW_AT: Final = 0xFFFF
"""Everything of a word but its time."""

STATUS_MASK: Final = 3
HAS_AMOUNT: Final = 4
"""The open entry has an amount (an `open_value` is booked)."""
FOR_LIFE: Final = 8
"""The person has orders or refunds: never dropped."""
SEVERAL: Final = 16
"""The journey under way has more than one entry (several may be of one instant)."""
CHANGES: Final = 32
"""What an older event means may depend on a newer one (`streams.core.person.Person.has_changes`)."""
LINKED: Final = 64
"""The id belongs to a higher one, who gets its events."""
SILENCE_MS: Final = 400 * DAY_MS
"""A link ends when nothing was heard of its id for longer."""
DEALS: Final = 128
"""The person's events are parted by deals (`streams.core.deals`), and the header means something else."""
MANY_ORDERS: Final = 0xFFFF
"""The header counts distinct orders up to here."""


_LINK_END: Final = Struct("<QQH")


class Link(NamedTuple):
    """The higher id that a person belongs to."""

    higher: bytes
    """Its person key."""
    linked_at: int
    """When the record was received that linked them."""
    seen: int
    """When the id, or a repetition of the claim, was heard of last."""


class Header(NamedTuple):
    """The part of the header that follows from the history."""

    last_at: int = 0
    passed: int = 0
    started_at: int = 0
    entered_at: int = 0
    first_code: int = 0
    entry_code: int = 0
    has_amount: bool = False
    orders: int = 0
    has_several: bool = False

    @property
    def flags(self) -> int:
        """Flags that follow from this."""
        return HAS_AMOUNT * self.has_amount | SEVERAL * self.has_several


def pack_header(plan: Plan, header: Header, *, flags: int, chunks: int, base_bytes: int) -> bytes:
    """Header bytes; `flags` are the status and FOR_LIFE."""
    return plan.header.pack(
        header.last_at << AT_SHIFT | (flags | header.flags) << FLAGS_SHIFT | header.passed,
        header.started_at << AT_SHIFT | chunks,
        header.entered_at << AT_SHIFT | min(header.orders, MANY_ORDERS),
        base_bytes,
        wire_code(plan, header.first_code),
        wire_code(plan, header.entry_code),
    )


def words_of(plan: Plan, packed: bytes) -> Words:
    """The fields of a packed person's header."""
    return plan.header.unpack_from(packed)


def base_of(plan: Plan, packed: bytes) -> bytes:
    """The bytes of the base."""
    start = plan.header.size
    words = words_of(plan, packed)
    end = start + words[3]
    return packed[start : end - len(_link_bytes(packed, end)) if flags_of(words[0]) & LINKED else end]


def tail_of(plan: Plan, packed: bytes) -> bytes:
    """The bytes of the tail."""
    return packed[plan.header.size + words_of(plan, packed)[3] :]


def is_linked(packed: bytes) -> bool:
    """Whether a packed person is linked to a higher id."""
    return bool(packed[FLAGS_SHIFT // 8] & LINKED)


def pack_link(link: Link | None) -> bytes:
    """What the bytes of the base end with."""
    if link is None:
        return b""
    return link.higher + _LINK_END.pack(link.linked_at, link.seen, len(link.higher))


def linked_alone(plan: Plan, link: Link) -> bytes:
    """The packed form of an id of which nothing is kept but its link."""
    packed = pack_link(link)
    flags = RESOLVED | LINKED
    return pack_header(plan, Header(), flags=flags, chunks=0, base_bytes=len(packed)) + packed


def link_of(plan: Plan, packed: bytes) -> Link | None:
    """The link of a packed person."""
    words = plan.header.unpack_from(packed)
    if not words[0] >> FLAGS_SHIFT & LINKED:
        return None
    end = plan.header.size + words[3] - _LINK_END.size
    linked_at, seen, size = _LINK_END.unpack_from(packed, end)
    return Link(packed[end - size : end], linked_at, seen)


def with_link(plan: Plan, packed: bytes, link: Link) -> bytes:
    """The packed form of a linked person with another link to the same id."""
    end = plan.header.size + words_of(plan, packed)[3]
    changed = pack_link(link)
    return packed[: end - len(changed)] + changed + packed[end:]


def _link_bytes(packed: bytes, end: int) -> bytes:
    """Those of a link that ends there."""
    size = _LINK_END.unpack_from(packed, end - _LINK_END.size)[2]
    return packed[end - _LINK_END.size - size : end]


def with_chunks(plan: Plan, packed: bytes, chunks: int) -> bytes:
    """The packed form with another number of sealed chunks."""
    last_word, start_word, entry_word, base_bytes, first_code, entry_code = words_of(plan, packed)
    start_word = start_word & ~COUNT_MASK | chunks
    header = plan.header.pack(last_word, start_word, entry_word, base_bytes, first_code, entry_code)
    return header + packed[plan.header.size :]


def flags_of(last_word: int) -> int:
    """All flags, the status among them."""
    return last_word >> FLAGS_SHIFT & FLAGS_MASK


def status_of(last_word: int) -> Status:
    """What is booked for the last entry: OPEN, STALLED or RESOLVED."""
    return last_word >> FLAGS_SHIFT & STATUS_MASK


def passed_of(last_word: int) -> int:
    """Stage of the last entry + 1; 0 without a journey under way."""
    return last_word & PASSED_MASK


def last_at(last_word: int) -> int:
    """Time of the newest kept event."""
    return last_word >> AT_SHIFT


def started_at(start_word: int) -> int:
    """When the journey under way began."""
    return start_word >> AT_SHIFT


def chunks_of(start_word: int) -> int:
    """How many sealed chunks belong to the person."""
    return start_word & COUNT_MASK


def entered_at(entry_word: int) -> int:
    """When the last entry was made."""
    return entry_word >> AT_SHIFT


def deadline(plan: Plan, words: Words) -> int:
    """When the last entry is abandoned: at its own time or with the journey's window. Wants a journey under way."""
    last_word, start_word, entry_word, _, _, _ = words
    own = (entry_word >> AT_SHIFT) + plan.abandon[(last_word & PASSED_MASK) - 1]
    return min(own, (start_word >> AT_SHIFT) + plan.window)


def as_of(plan: Plan, packed: bytes, booked_until: int) -> bytes:
    """A stored person with the status that is booked, where every deadline before that time is.

    Of a person with deals the status is written each time.
    """
    words = words_of(plan, packed)
    status, flags = status_of(words[0]), flags_of(words[0])
    if status == RESOLVED or flags & DEALS or not passed_of(words[0]):
        return packed
    if booked_until > deadline(plan, words):
        status = RESOLVED
    elif booked_until > entered_at(words[2]) + plan.stall[passed_of(words[0]) - 1]:
        status = STALLED
    last_word = words[0] & ~(STATUS_MASK << FLAGS_SHIFT) | status << FLAGS_SHIFT
    return plan.word.pack(last_word) + packed[plan.word.size :]


def is_forgotten(plan: Plan, packed: bytes, horizon: int) -> bool:
    """Whether a person has nothing at or after the horizon, no journey under way and nothing for life.

    With deals a person counts until one `lead_in` behind the horizon, and longer by as long as its score may count.
    """
    last_word, start_word, _, _, _, _ = words_of(plan, packed)
    horizon -= plan.lead_in
    if flags_of(last_word) & FOR_LIFE or last_at(last_word) >= horizon - plan.score_life:
        return False
    return not passed_of(last_word) or started_at(start_word) + plan.window < horizon


def wake(plan: Plan, packed: bytes) -> int:
    """The watermark beyond which a packed person has to be looked at; INFINITE for never."""
    words: Words = plan.header.unpack_from(packed)
    last_word, start_word, entry_word, base_bytes, _, _ = words
    status, passed = last_word >> FLAGS_SHIFT & STATUS_MASK, last_word & PASSED_MASK
    if last_word >> FLAGS_SHIFT & LINKED:
        return _wake_of_linked(plan, packed, words)
    end = (start_word >> AT_SHIFT) + plan.window
    if status != RESOLVED and last_word >> FLAGS_SHIFT & DEALS:
        return entry_word >> AT_SHIFT
    if status != RESOLVED:  # the last entry stalls or is abandoned by itself
        return min((entry_word >> AT_SHIFT) + plan.change[status][passed], end)
    is_folded = len(packed) == plan.header.size + base_bytes and not start_word & COUNT_MASK
    if not passed and is_folded and last_word >> FLAGS_SHIFT & FOR_LIFE:
        return INFINITE  # all that is left are its orders, and they stay
    # Then it is folded, or forgotten.
    return max((last_word >> AT_SHIFT) + plan.score_life, end if passed else 0) + plan.keep + plan.lead_in


def _wake_of_linked(plan: Plan, packed: bytes, words: Words) -> int:
    """When a linked person has to be looked at: because of the history it has kept, or because its link ends."""
    link = link_of(plan, packed)
    assert link is not None  # noqa: S101 - the flag is set
    without = plan.header.pack(words[0] & ~(LINKED << FLAGS_SHIFT), *words[1:]) + packed[plan.header.size :]
    ends = link.seen + SILENCE_MS
    is_folded = len(packed) == plan.header.size + words[3] and not words[1] & COUNT_MASK
    has_history = passed_of(words[0]) or not is_folded
    return min(wake(plan, without), ends) if has_history else ends
