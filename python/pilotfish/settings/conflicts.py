"""What no setting can say of itself alone: references, sums, names and addresses must agree with each other.

Works on whatever parts are readable, so that these mistakes are reported together with the others and not
after them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pilotfish.methods import known_unary
from pilotfish.settings import address
from pilotfish.settings.routing import Route, Version
from pilotfish.settings.tls import ListenerTls

PLANES = ("grpcio", "native")
"""The data planes there are."""

_WHOLE_PPM = 1_000_000


@dataclass(frozen=True)
class Conflict:
    """One thing that does not agree: where, the value there, and what is wrong with its remedy."""

    path: tuple[str | int, ...]
    value: Any
    what: str


def conflicts(
    *,
    plane: str | None,
    interceptors: Sequence[str] = (),
    listen: str | None,
    tls: ListenerTls | None = None,
    admin: str | None,
    names: Sequence[str],
    versions: Mapping[str, Version],
    routes: Mapping[int, Route],
    unary_methods: Sequence[str] = (),
) -> list[Conflict]:
    """All conflicts. ``names`` has every version, ``versions`` and ``routes`` only those that can be read."""
    return [
        *_plane(plane, interceptors),
        *_addresses(listen, admin, versions),
        *_client_certificates(plane, tls),
        *(conflict for name, version in versions.items() for conflict in _own_certificate(name, version)),
        *_route_names(routes),
        *(conflict for index, route in routes.items() for conflict in _route(index, route, names)),
        *(conflict for index, route in routes.items() for conflict in _copied(index, route, unary_methods)),
    ]


def _plane(plane: str | None, interceptors: Sequence[str]) -> Iterator[Conflict]:
    if plane == "native" and interceptors:
        what = "the native plane runs no interceptors; write plane: grpcio, or leave them out"
        yield Conflict(("interceptors",), tuple(interceptors), what)


def _addresses(listen: str | None, admin: str | None, versions: Mapping[str, Version]) -> Iterator[Conflict]:
    taken: list[tuple[str, str]] = []
    if listen is not None:
        taken.append(("listen", listen))
    if admin is not None:
        yield from _taken(("admin",), admin, taken, "choose another port")
        taken.append(("admin", admin))
    for name, version in versions.items():
        path = ("versions", name, "upstream")
        yield from _taken(path, version.upstream, taken, "give the address of the model server")
        taken.append((f"versions.{name}.upstream", version.upstream))


def _client_certificates(plane: str | None, tls: ListenerTls | None) -> Iterator[Conflict]:
    if tls is None:
        return
    if tls.client_ca is None and tls.forward_client_certificate:
        path = ("tls", "forward_client_certificate")
        yield Conflict(path, True, "no certificate is asked for; add client_ca, or leave it out")
    if plane == "grpcio" and tls.client_ca is not None and not tls.require_client_certificate:
        path = ("tls", "require_client_certificate")
        what = "grpcio asks every client or none; write true, leave client_ca out, or write plane: native"
        yield Conflict(path, False, what)


def _own_certificate(name: str, version: Version) -> Iterator[Conflict]:
    tls = version.tls
    if tls is None or (tls.certificate is None) == (tls.key is None):
        return
    given, other = ("key", "certificate") if tls.certificate is None else ("certificate", "key")
    path = ("versions", name, "tls", given)
    yield Conflict(
        path, str(getattr(tls, given)), f"is nothing without the other; add {other}, or leave both out"
    )


def _taken(
    path: tuple[str, ...], value: str, taken: list[tuple[str, str]], remedy: str
) -> Iterator[Conflict]:
    for owner, other in taken:
        if address.same(value, other):
            yield Conflict(path, value, f"is the same address as {owner}; {remedy}")
            return


def _route_names(routes: Mapping[int, Route]) -> Iterator[Conflict]:
    first: dict[str, int] = {}
    for index, route in routes.items():
        if route.name in first:
            what = f"routes[{first[route.name]}] has this name already; give each route its own"
            yield Conflict(("routes", index, "name"), route.name, what)
        first.setdefault(route.name, index)


def _route(index: int, route: Route, names: Sequence[str]) -> Iterator[Conflict]:
    base = ("routes", index)
    yield from _known((*base, "stable"), route.stable, names)
    seen = {route.stable}
    for position, candidate in enumerate(route.candidates):
        path = (*base, "candidates", position, "version")
        yield from _known(path, candidate.version, names)
        if candidate.version in seen:
            yield Conflict(path, candidate.version, "is in this route already; name each version once")
        seen.add(candidate.version)
    total = sum(candidate.weight_ppm for candidate in route.candidates)
    if total > _WHOLE_PPM:
        what = f"the weights of the candidates add up to {total}; keep them at 1000000 or below"
        yield Conflict((*base, "candidates"), total, what)
    if route.shadow is not None:
        shadow = (*base, "shadow", "version")
        yield from _known(shadow, route.shadow.version, names)
        if route.shadow.version == route.stable:
            yield Conflict(shadow, route.shadow.version, "answers this route already; shadow another version")


def _copied(index: int, route: Route, unary_methods: Sequence[str]) -> Iterator[Conflict]:
    """A stream would have to be kept without bound: it would never be copied, and nobody be told."""
    known = known_unary(unary_methods)
    for position, method in enumerate(route.shadow.methods if route.shadow else ()):
        if method not in known:
            what = "is copied only if it has one request and one response; then name it in unary_methods too"
            yield Conflict(("routes", index, "shadow", "methods", position), method, what)


def _known(path: tuple[str | int, ...], name: str, names: Sequence[str]) -> Iterator[Conflict]:
    if name in names:
        return
    close = get_close_matches(name, names, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else f"write one of {', '.join(names)}, or define it"
    yield Conflict(path, name, f"no such version; {remedy}")
