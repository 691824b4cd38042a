"""The collector's table of paths: which endpoint or page a method of a path has. Values and a look-up."""

from __future__ import annotations

from dataclasses import dataclass

from producers.formats.port import Endpoint, Format, Page
from producers.ingest.checks import Ingest


@dataclass(frozen=True, slots=True)
class EventRoute:
    """One method of one path that takes events. `label` is its name in metrics."""

    label: str
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class PageRoute:
    """One method of one path that answers without events."""

    label: str
    page: Page


Route = EventRoute | PageRoute


class Routes:
    """By path and method. An exact path wins over one that ends in `*`, and a longer one over a shorter one."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        self._prefixes: dict[str, dict[str, Route]] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self.labels_at_start: list[str] = []
        """Routes whose metrics exist before their first request."""

    def add_format(self, client: Format, ingest: Ingest) -> None:
        """Serve everything of a format."""
        for endpoint in client.endpoints(ingest):
            self.add(endpoint)
        for page in client.pages:
            self.add_page(page)

    def add(self, endpoint: Endpoint) -> None:
        """Serve an endpoint at its paths."""
        for path in endpoint.paths:
            label = path.label or path.path
            self._put(path.methods, path.path, route=EventRoute(label, endpoint))
            self._endpoints.setdefault(label, endpoint)
            if path.is_shown_at_start and label not in self.labels_at_start:
                self.labels_at_start.append(label)

    def add_page(self, page: Page) -> None:
        """Serve a page; by HEAD too, where it is one for GET."""
        methods = f"{page.methods} HEAD" if "GET" in page.methods else page.methods
        self._put(methods, page.path, route=PageRoute(page.path, page))

    def _put(self, methods: str, path: str, *, route: Route) -> None:
        table = self._prefixes if path.endswith("*") else self._exact
        row = table.setdefault(path.rstrip("*"), {})
        for method in methods.split():
            if method in row:
                raise ValueError(f"{method} {path} is served twice")
            row[method] = route

    def methods_of(self, path: str) -> dict[str, Route] | None:
        """The methods of a path, None where there is nothing. A slash at the end makes no difference."""
        row = self._exact.get(path)
        if row is None and path[-1:] == "/":
            row = self._exact.get(path.rstrip("/") or "/")
        if row is None:
            prefix = max((prefix for prefix in self._prefixes if path.startswith(prefix)), key=len, default=None)
            row = None if prefix is None else self._prefixes[prefix]
        return row

    def endpoint_of(self, label: str) -> Endpoint | None:
        """The endpoint whose requests go by this label, None where there is none."""
        return self._endpoints.get(label)

    def paths(self) -> list[str]:
        """Every path, prefixes with their star."""
        return sorted([*self._exact, *(f"{prefix}*" for prefix in self._prefixes)])
