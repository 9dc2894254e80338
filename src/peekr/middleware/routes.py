"""The route of an HTTP request as a template, found the way Starlette's router finds it.

The template is wanted before the application runs, so that every span inside carries it, and a
router tells it only afterwards, if at all. So the routes are asked here what they would match, in
their order: their own `matches` decides. Nothing of Starlette or FastAPI is imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Optional, cast

__all__ = ["Resolution", "layers", "resolve", "told"]

_FULL, _PARTIAL = 2, 1
_CONVERTOR = re.compile(r"\{([^{}:]+):[^{}]*\}")
_MAX_LAYERS = 64
_MAX_MOUNTS = 16


class Resolution(NamedTuple):
    """What the routes say.

    Attributes:
        is_known: Whether there were routes to ask.
        template: `/users/{id}`, mounts included; None where no route matches.
    """

    is_known: bool
    template: Optional[str]


def layers(app: Any) -> Iterator[Any]:
    """An ASGI application and what it wraps, from the outside in, by the customary `.app`."""
    for _ in range(_MAX_LAYERS):
        if app is None:
            return
        yield app
        app = getattr(app, "app", None)


def resolve(app: Any, scope: Any) -> Resolution:
    """The template of the route that the application will choose for a request.

    Costs what the application's own routing costs.

    Args:
        app: The application, or middleware around it.
        scope: The request's ASGI scope; it is not changed.
    """
    routes = _routes_of(app)
    if routes is None:
        routes = _routes_of(scope.get("app"))
    if routes is None:
        return Resolution(False, None)
    found = _search(routes, dict(scope), 0)
    return Resolution(True, None if found is None else _mounted_at(scope) + found)


def told(scope: Any) -> Optional[str]:
    """The template that the application has left in the scope once it has chosen a route."""
    template = scope.get("path_template")  # Litestar
    if not isinstance(template, str):
        route = scope.get("route")
        template = getattr(route, "path_format", None) or getattr(route, "path", None)
        if not isinstance(template, str):
            return None
        template = _mounted_at(scope) + template
    return _plain(template)


def _routes_of(app: Any) -> Optional[list[Any]]:
    for layer in layers(app):
        routes = getattr(layer, "routes", None)
        if isinstance(routes, list):
            return cast("list[Any]", routes)
    return None


def _search(routes: Iterable[Any], scope: dict[str, Any], depth: int) -> Optional[str]:
    """The template of the first route that matches whole, else of the first that does but for the
    method."""
    partial = None
    for route in _each(routes):
        match, child = route.matches(scope)
        kind = getattr(match, "value", match)
        if kind == _FULL:
            return _template(route, {**scope, **child}, depth)
        if kind == _PARTIAL and partial is None:
            partial = route
    return None if partial is None else _template(partial, scope, depth)


def _each(routes: Iterable[Any]) -> Iterator[Any]:
    """The routes; in the place of a router that FastAPI includes as a whole, those of it."""
    for route in routes:
        included = getattr(route, "effective_route_contexts", None)
        if callable(included):
            yield from cast("Iterable[Any]", included())
        else:
            yield route


def _template(route: Any, scope: dict[str, Any], depth: int) -> Optional[str]:
    route = getattr(route, "starlette_route", None) or route
    path = getattr(route, "path", None)
    inside = getattr(route, "_base_app", None) or getattr(route, "app", None)
    if hasattr(route, "path_regex") and hasattr(route, "methods"):
        return _plain(getattr(route, "path_format", None) or path or "")
    # What is left is mounted: an application with routes of its own, or one without.
    own = _plain(path) if isinstance(path, str) else ""
    routes = _routes_of(inside)
    if routes is None:
        return own or None
    if depth >= _MAX_MOUNTS:
        return None
    found = _search(routes, scope, depth + 1)
    return None if found is None else own + found


def _mounted_at(scope: Any) -> str:
    """The template of where the application is mounted; empty where it is not.

    What the server's own root path adds is no part of a route.
    """
    outermost = scope.get("app_root_path")
    mount: str = scope.get("root_path") or ""
    if not isinstance(outermost, str) or not mount.startswith(outermost):
        return ""
    parameters = cast("dict[str, Any]", scope.get("path_params") or {})
    names = {str(value): name for name, value in parameters.items()}
    pieces = mount[len(outermost) :].split("/")
    return "/".join(f"{{{names[piece]}}}" if piece in names else piece for piece in pieces)


def _plain(template: str) -> str:
    """`/users/{id:int}` as `/users/{id}`."""
    return _CONVERTOR.sub(r"{\1}", template) or "/"
