"""Animals: four-legged ones from one plan with heads and tails of their own, and the others as drawn."""

from __future__ import annotations

import math
from types import SimpleNamespace as Plan
from typing import Any

from ..world import COLOURS, FIGURES
from .canvas import Colour, Frame, Point, shade
from .drawings import THINGS, draw, facts_of

PLANS = {kind: Plan(**plan) for kind, plan in FIGURES["plans"].items()}
GAITS, MOUTHS = FIGURES["gaits"], FIGURES["mouths"]


def animal(f: Frame, thing: dict[str, Any]) -> Point:
    """Draw any animal; returns where its mouth is, in the frame."""
    kind, action, fill = thing["kind"], thing["action"], COLOURS[thing["colour"]]
    if kind == "pig" and thing["colour"] == "pink":
        fill = (246, 160, 178)
    facts = facts_of(thing, fill)
    if kind not in PLANS:
        leap = kind == "rabbit" and action == "jumping"
        draw(f.sub(0, 0.34, 1.0, -18) if leap else f, THINGS[kind], fill, facts)
        return tuple(MOUTHS[kind])
    plan = PLANS[kind]
    if action == "sitting":
        draw(f, THINGS[f"sitting {kind}"], fill, facts)
        return _head(f, thing, plan, fill, (0.14, 0.66), (0.2, 0.82))
    f = f.sub(-plan.reach, 0.0, 1.0)  # the head reaches out in front
    lift = {"jumping": 0.26, "running": 0.08}.get(action, 0.0)
    belly = plan.leg if action != "lying" else plan.limb * 0.7
    front, rear = plan.length * 0.5, -plan.length * 0.5
    if lift:
        f = f.sub(0, lift, 1.0, -9 if action == "jumping" else 0)
    mid = belly + plan.girth * 0.5
    draw(f, THINGS[f"{kind} tail"], fill, facts, (rear, mid + plan.girth * 0.2))
    if action in GAITS:
        for k in (1, 3, 0, 2):
            x = (front - plan.girth * 0.28) if k < 2 else (rear + plan.girth * 0.24)
            tone = shade(fill, 0.78 if k in (1, 3) else 1.0)
            _leg(f, plan, kind, tone, (x, belly + plan.girth * 0.2), GAITS[action][k], k < 2)
            if k == 3:
                _body(f, thing, plan, fill, front, rear, belly)
    else:
        _body(f, thing, plan, fill, front, rear, belly)
        for x0, x1 in ((front - 0.12, front + 0.16), (rear + 0.06, rear + 0.34)):
            f.limb([(x0, plan.limb * 0.6), (x1, plan.limb * 0.5)], plan.limb, fill)
    neck = (front - plan.girth * 0.16, mid + plan.girth * 0.12)
    drop = 0.6 if action == "lying" else 1.0
    head = (front + plan.neck[0] * 0.7, mid + plan.girth * 0.3 + plan.neck[1] * drop)
    x, y = _head(f, thing, plan, fill, neck, head)
    return x - plan.reach, y + lift


def _head(f: Frame, thing: dict[str, Any], plan: Plan, fill: Colour, neck: Point, head: Point) -> Point:
    """The head, in units of its radius; returns where the mouth is."""
    (x, y), r = head, plan.head
    if hasattr(plan, "nape"):
        dx, dy, wide = plan.nape
        f.limb([neck, (x + r * dx, y + r * dy)], r * wide, fill, False)
    draw(f, THINGS[f"{thing['kind']} head"], fill, facts_of(thing, fill), head, r)
    return x + r * plan.mouth[0], y + r * plan.mouth[1]


def _leg(f: Frame, plan: Plan, kind: str, fill: Colour, top: Point, angle: float, fore: bool) -> None:
    a = math.radians(angle)
    length = top[1] - plan.limb * 0.35
    bend = math.radians(angle + (12 if fore else -16) * (1 if abs(angle) > 30 else 0.4))
    knee = (top[0] + math.sin(a) * length * 0.5, top[1] - math.cos(a) * length * 0.5)
    foot = (knee[0] + math.sin(bend) * length * 0.5, knee[1] - math.cos(bend) * length * 0.5)
    f.limb([top, knee], plan.limb * 1.25, fill)
    f.limb([knee, foot], plan.limb * 0.85, fill)
    if kind in ("horse", "cow", "pig"):
        f.oval(foot[0] + 0.01, foot[1] - 0.005, plan.limb * 0.62, plan.limb * 0.4, (60, 48, 44))
    else:
        tone = (52, 50, 54) if kind == "sheep" else fill
        f.oval(foot[0] + plan.limb * 0.3, foot[1], plan.limb * 0.72, plan.limb * 0.44, tone)


def _body(
    f: Frame, animal: dict[str, Any], plan: Plan, fill: Colour, front: float, rear: float, belly: float
) -> None:
    g, kind = plan.girth, animal["kind"]
    top = belly + g
    if kind == "sheep":
        draw(f, THINGS["wool"], fill)
        return
    thin = 0.16 if kind in ("dog", "horse", "cat") else -0.04
    shape = (
        (front + g * 0.12, top - g * 0.1),
        (front + g * 0.16, belly + g * 0.25),
        (front - g * 0.35, belly - g * 0.08),
        (0.02, belly + g * thin),
        (rear + g * 0.35, belly + g * 0.02),
        (rear - g * 0.1, belly + g * 0.3),
        (rear - g * 0.08, top - g * 0.12),
        (rear + g * 0.3, top + g * 0.06),
        (0.0, top - g * 0.06),
        (front - g * 0.3, top + g * 0.1),
    )
    f.blob(shape, fill)
    f.blob(tuple((x * 0.92, belly + (y - belly) * 0.45) for x, y in shape), shade(fill, 0.86), False)
    f.oval(0.02 * plan.length, top - g * 0.2, plan.length * 0.34, g * 0.1, shade(fill, 1.22), False)
    if animal.get("pattern") == "spotted":
        spot = (240, 238, 230) if sum(fill) < 330 else (60, 46, 40)
        for x, y, r in ((-0.34, 0.62, 0.19), (0.02, 0.74, 0.17), (0.3, 0.46, 0.2), (-0.1, 0.36, 0.13)):
            f.oval(x * plan.length, belly + g * y, g * r * 1.15, g * r * 0.95, spot, False)
    elif animal.get("pattern") == "striped":
        stripe = shade(fill, 0.5) if sum(fill) > 200 else (170, 170, 172)
        for x in (-0.32, -0.16, 0.0, 0.16):
            f.line(
                [(x * plan.length, top - g * 0.04), (x * plan.length + 0.02, belly + g * 0.42)], stripe, 0.035
            )
    if kind == "cow":
        f.oval(rear + 0.2, belly - 0.01, 0.085, 0.06, (244, 176, 176))
