"""The provider at the other end of the line: requests in bytes, its answer in bytes, or silence."""

from typing import TYPE_CHECKING

from play import answers, requests, views
from play.requests import Request
from play.words import LATE
from proof.simulation.choices import Post
from proof.simulation.runtime import OK, TIME_OVER

if TYPE_CHECKING:
    from proof.simulation.world import Simulation

LANDS_MS = 100_000
"""A POST lands within this time of its last byte, or never."""


def exchange(sim: "Simulation", raw: bytes, seconds: float | None) -> bytes | None:
    """A whole request: the bytes of its answer; None: the connection is reset. Raises TimeoutError."""
    request, actor = Request.parse(raw), sim.runtime.actor
    if request.method == "GET":
        return _shown(sim, request, sim.runtime.pause("the view", seconds), seconds)
    post = Post(actor.invocation, request, sim.runtime.now + LANDS_MS)
    sim.posts.append(post)
    how = sim.runtime.pause("the answer", seconds)
    if how in ("never lands", TIME_OVER, "late"):
        if how == "never lands":
            sim.posts.remove(post)
        _hang(sim, how, seconds)
    answer = land(sim, post, _usual(sim) if how == OK else how)
    return _whole(sim, answer, seconds)


def _usual(sim: "Simulation") -> str:
    return "success" if sim.quiet else sim.config.usual


def _hang(sim: "Simulation", how: str, seconds: float | None) -> None:
    if how != TIME_OVER:
        sim.runtime.pause("the silence of the provider", seconds, waiting=True)
    raise TimeoutError


def _whole(sim: "Simulation", answer: bytes | None, seconds: float | None) -> bytes | None:
    if answer is not None and answer.startswith(LATE):
        _hang(sim, "late", seconds)
    return answer


def land(sim: "Simulation", post: Post, name: str) -> bytes | None:
    if post in sim.posts:
        sim.posts.remove(post)
    void = requests.read_void(sim.projects, post.request)
    if isinstance(void, requests.Invalid):
        return answers.refusal(void.why) if void.why in answers.REFUSALS else None
    return answers.land(sim.bank, void, name, post.actor.name)[0]


def _shown(sim: "Simulation", request: Request, how: str, seconds: float | None) -> bytes | None:
    if how == TIME_OVER:
        raise TimeoutError
    found = requests.read_query(sim.projects, request)
    if isinstance(found, requests.Invalid):
        return answers.refusal(found.why)
    project, order, method = found
    query = views.Query(sim.bank, project, order, method, projects=tuple(sim.projects))
    return _whole(sim, views.show(query, "whole" if how == OK else how), seconds)
