"""The closed lists of reasons for which an event is rejected, or accepted and not counted by a funnel.

The same string is the API field, the metric label, the dead-letter header and the heading in docs/api.md.
"""

from __future__ import annotations

from enum import StrEnum


class RejectReason(StrEnum):
    """Why one event was not accepted. Nothing else of its batch is affected."""

    MALFORMED_JSON = "malformed_json"
    NOT_AN_OBJECT = "not_an_object"
    WRONG_TYPE = "wrong_type"
    MISSING_ID = "missing_id"
    MISSING_NAME = "missing_name"
    MISSING_PERSON = "missing_person"
    UNKNOWN_NAME = "unknown_name"
    ID_TOO_LONG = "id_too_long"
    NAME_TOO_LONG = "name_too_long"
    INVALID_TIME = "invalid_time"
    EVENT_TOO_LARGE = "event_too_large"
    TOO_DEEP = "too_deep"
    NOT_ALLOWED = "not_allowed"
    UNSUPPORTED_TYPE = "unsupported_type"
    UNKNOWN_STAGE = "unknown_stage"
    TEST_EVENT = "test_event"

    # of a whole request: nothing of it could be read, and it counts as one event
    BODY_TOO_LARGE = "body_too_large"
    TOO_MANY_EVENTS = "too_many_events"
    BODY_TIMEOUT = "body_timeout"
    BAD_ENCODING = "bad_encoding"
    BAD_SEQUENCE = "bad_sequence"
    BAD_KEY = "bad_key"
    REVOKED_KEY = "revoked_key"
    WRONG_ORIGIN = "wrong_origin"
    BAD_SIGNATURE = "bad_signature"
    STALE_DELIVERY = "stale_delivery"
    WRONG_CONTENT_TYPE = "wrong_content_type"


class UncountedReason(StrEnum):
    """Why a funnel does not count an accepted event: the header of its record in the late topic."""

    LATE = "late"
    """Too late for the funnel."""
    TOO_MANY_OF_PERSON = "too_many_of_person"
    """Its person has as many events in the funnel's window as one person may have."""
