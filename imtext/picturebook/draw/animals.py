"""Animals: four-legged ones from one plan with their own heads and tails, and the birds."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace as Plan
from typing import Any

from ..world import COLOURS, FIGURES
from .canvas import Colour, Frame, Point, shade
from .heads import HEADS, eye

PLANS = {kind: Plan(**plan) for kind, plan in FIGURES["plans"].items()}
GAITS = FIGURES["gaits"]


def four_legged(f: Frame, animal: dict[str, Any], rng: random.Random, action: str | None = None) -> Point:
    """Draw a dog, cat, horse, cow, sheep, pig or elephant; returns where its mouth is, in the frame."""
    kind, action = animal["kind"], action or animal["action"]
    plan, fill = PLANS[kind], COLOURS[animal["colour"]]
    if kind == "pig" and animal["colour"] == "pink":
        fill = (246, 160, 178)
    if action == "sitting":
        return _sitting(f, animal, plan, fill)
    f = f.sub(-plan.reach, 0.0, 1.0)  # the head reaches out in front
    lift = {"jumping": 0.26, "running": 0.08}.get(action, 0.0)
    belly = plan.leg if action != "lying" else plan.limb * 0.7
    front, rear = plan.length * 0.5, -plan.length * 0.5
    if action in ("jumping", "running"):
        f = f.sub(0, lift, 1.0, -9 if action == "jumping" else 0)
    mid = belly + plan.girth * 0.5
    _tail(f, kind, fill, (rear, mid + plan.girth * 0.2), action)
    legs = GAITS.get(action)
    if legs:
        for k in (1, 3, 0, 2):
            x = (front - plan.girth * 0.28) if k < 2 else (rear + plan.girth * 0.24)
            _leg(
                f,
                plan,
                kind,
                shade(fill, 0.78 if k in (1, 3) else 1.0),
                (x, belly + plan.girth * 0.2),
                legs[k],
                k < 2,
            )
            if k == 3:
                _body(f, animal, plan, fill, front, rear, belly)
    else:
        _body(f, animal, plan, fill, front, rear, belly)
        for x0, x1 in ((front - 0.12, front + 0.16), (rear + 0.06, rear + 0.34)):
            f.limb([(x0, plan.limb * 0.6), (x1, plan.limb * 0.5)], plan.limb, fill)
    neck = (front - plan.girth * 0.16, mid + plan.girth * 0.12)
    drop = 0.6 if action == "lying" else 1.0
    head = (front + plan.neck[0] * 0.7, mid + plan.girth * 0.3 + plan.neck[1] * drop)
    mouth = HEADS[kind](f, animal, plan, fill, neck, head)
    return mouth[0] - plan.reach, mouth[1] + lift


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
        wool = fill
        for t in range(9):
            a = math.tau * t / 9
            f.oval(
                math.cos(a) * plan.length * 0.4,
                belly + g * 0.5 + math.sin(a) * g * 0.36,
                g * 0.27,
                g * 0.25,
                wool,
            )
        f.oval(0, belly + g * 0.5, plan.length * 0.46, g * 0.47, wool, False)
        for x, y in ((-0.2, 0.6), (0.02, 0.36), (0.2, 0.68), (-0.1, 0.84), (-0.3, 0.34)):
            f.oval(x, belly + g * y, g * 0.1, g * 0.08, shade(wool, 0.86), False)
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


def _tail(f: Frame, kind: str, fill: Colour, base: Point, action: str) -> None:
    x, y = base
    if kind == "dog":
        up = 0.3 if action != "lying" else 0.1
        f.limb([(x + 0.04, y), (x - 0.12, y + up * 0.6), (x - 0.16, y + up)], 0.075, fill)
    elif kind == "cat":
        path = [(x + 0.04, y), (x - 0.14, y + 0.06), (x - 0.2, y + 0.26), (x - 0.14, y + 0.42)]
        f.limb(path if action != "lying" else [(x, 0.1), (x - 0.18, 0.05), (x - 0.02, 0.03)], 0.07, fill)
    elif kind == "horse":
        hair = shade(fill, 0.5) if sum(fill) > 300 else (24, 22, 24)
        f.blob(
            (
                (x + 0.06, y + 0.04),
                (x - 0.08, y + 0.05),
                (x - 0.17, y - 0.18),
                (x - 0.12, y - 0.42),
                (x - 0.03, y - 0.2),
            ),
            hair,
        )
    elif kind == "pig":
        f.limb([(x, y), (x - 0.09, y + 0.07), (x - 0.04, y + 0.12), (x - 0.11, y + 0.16)], 0.04, fill)
    elif kind == "sheep":
        f.oval(x - 0.02, y - 0.04, 0.08, 0.09, fill)
    else:
        f.limb([(x + 0.02, y), (x - 0.07, y - 0.12), (x - 0.07, y - 0.36)], 0.035, shade(fill, 0.9))
        f.oval(x - 0.07, y - 0.38, 0.035, 0.06, shade(fill, 0.5))


def _sitting(f: Frame, animal: dict[str, Any], plan: Plan, fill: Colour) -> Point:
    """A dog or cat on its haunches."""
    tail = (
        [(-0.24, 0.08), (-0.46, 0.1), (-0.52, 0.26)]
        if animal["kind"] == "cat"
        else [(-0.24, 0.1), (-0.46, 0.2)]
    )
    f.limb(tail, 0.075, fill)
    f.limb([(0.12, 0.4), (0.17, 0.05)], plan.limb, shade(fill, 0.78))
    f.blob(
        (
            (-0.34, 0.02),
            (-0.36, 0.26),
            (-0.14, 0.6),
            (0.08, 0.78),
            (0.28, 0.66),
            (0.26, 0.36),
            (0.12, 0.1),
            (0.0, 0.0),
        ),
        fill,
    )
    f.oval(-0.14, 0.15, 0.2, 0.16, shade(fill, 0.9))
    f.oval(0.02, 0.035, 0.13, 0.045, fill)
    if animal.get("pattern") == "spotted":
        for x, y in ((-0.16, 0.42), (0.04, 0.5), (-0.2, 0.2)):
            f.oval(x, y, 0.065, 0.055, (240, 238, 230) if sum(fill) < 330 else (60, 46, 40), False)
    elif animal.get("pattern") == "striped":
        for y in (0.3, 0.42, 0.54):
            f.line([(-0.3 + y * 0.4, y), (-0.06 + y * 0.2, y - 0.03)], shade(fill, 0.5), 0.035)
    f.limb([(0.18, 0.46), (0.23, 0.06)], plan.limb, fill)
    f.oval(0.26, 0.04, 0.075, 0.042, fill)
    return HEADS[animal["kind"]](f, animal, plan, fill, (0.14, 0.66), (0.2, 0.82))


def rabbit(f: Frame, animal: dict[str, Any], rng: random.Random, action: str | None = None) -> Point:
    """A rabbit, on the ground or in a leap."""
    fill = COLOURS[animal["colour"]]
    if (action or animal["action"]) == "jumping":
        f = f.sub(0, 0.34, 1.0, -18)
        f.limb([(-0.2, 0.16), (-0.46, 0.02)], 0.12, shade(fill, 0.9))
        f.limb([(0.2, 0.16), (0.4, 0.06)], 0.09, shade(fill, 0.9))
    f.oval(-0.4, 0.2, 0.1, 0.1, shade(fill, 1.5))
    f.blob(((-0.4, 0.02), (-0.42, 0.3), (-0.16, 0.5), (0.16, 0.44), (0.3, 0.2), (0.24, 0.0)), fill)
    f.oval(-0.16, 0.16, 0.19, 0.16, shade(fill, 0.9))
    f.oval(-0.06, 0.03, 0.17, 0.045, fill)
    for dx, tilt in ((0.16, 12), (0.28, -6)):
        f.oval(dx - 0.04, 0.8, 0.06, 0.22, fill, angle=tilt)
        f.oval(dx - 0.04, 0.8, 0.028, 0.16, (240, 170, 176), False, tilt)
    f.oval(0.24, 0.5, 0.19, 0.16, fill)
    f.oval(0.42, 0.48, 0.035, 0.028, (226, 120, 130), False)
    eye(f, 0.29, 0.54, 0.03, sum(fill) < 260)
    return 0.42, 0.44


def duck(f: Frame, animal: dict[str, Any], rng: random.Random, action: str | None = None) -> Point:
    """A duck on its feet."""
    fill = COLOURS[animal["colour"]]
    spread = 0.09 if (action or animal["action"]) == "walking" else 0.03
    for dx in (-spread, spread):
        f.limb([(dx, 0.2), (dx * 1.7, 0.04), (dx * 1.7 + 0.1, 0.03)], 0.05, (240, 140, 30))
    f.blob(
        ((-0.58, 0.52), (-0.36, 0.22), (0.1, 0.12), (0.4, 0.3), (0.36, 0.52), (0.0, 0.52), (-0.34, 0.5)), fill
    )
    f.blob(((-0.3, 0.46), (-0.24, 0.26), (0.1, 0.24), (0.18, 0.44)), shade(fill, 0.82))
    f.limb([(0.28, 0.42), (0.33, 0.74)], 0.18, fill, False)
    head = (40, 120, 70) if animal["colour"] == "brown" else fill
    f.oval(0.35, 0.82, 0.17, 0.16, head)
    f.blob(((0.46, 0.86), (0.72, 0.8), (0.7, 0.72), (0.46, 0.74)), (242, 148, 34))
    eye(f, 0.41, 0.87, 0.03, sum(head) < 300)
    return 0.7, 0.75


def bird(f: Frame, animal: dict[str, Any], rng: random.Random, action: str | None = None) -> Point:
    """A songbird on its feet or on the wing."""
    fill = COLOURS[animal["colour"]]
    flying = (action or animal["action"]) == "flying"
    if not flying:
        for dx in (-0.04, 0.08):
            f.limb([(dx, 0.24), (dx, 0.03), (dx + 0.1, 0.02)], 0.035, (210, 130, 50))
    else:
        f.blob(((0.1, 0.5), (-0.1, 1.15), (-0.42, 1.25), (-0.3, 0.6)), shade(fill, 0.7))
    f.poly([(-0.3, 0.44), (-0.78, 0.3), (-0.76, 0.48), (-0.3, 0.6)], shade(fill, 0.7))
    f.blob(
        ((-0.46, 0.5), (-0.2, 0.22), (0.2, 0.2), (0.42, 0.48), (0.36, 0.78), (0.1, 0.74), (-0.2, 0.66)), fill
    )
    f.oval(0.12, 0.36, 0.19, 0.13, shade(fill, 1.45), False)
    f.oval(0.32, 0.74, 0.2, 0.19, fill)
    f.poly([(0.48, 0.8), (0.72, 0.72), (0.48, 0.66)], (244, 166, 40))
    if flying:
        f.blob(((0.12, 0.52), (0.16, 1.12), (-0.2, 1.42), (-0.36, 0.9), (-0.2, 0.5)), shade(fill, 0.86))
    else:
        f.blob(((-0.42, 0.44), (-0.1, 0.66), (0.16, 0.56), (0.0, 0.38)), shade(fill, 0.72))
    eye(f, 0.38, 0.79, 0.045, sum(fill) < 300)
    return 0.7, 0.7


def animal(f: Frame, thing: dict[str, Any], rng: random.Random, action: str | None = None) -> Point:
    """Draw any animal; returns where its mouth is."""
    if thing["kind"] in PLANS:
        return four_legged(f, thing, rng, action)
    return {"rabbit": rabbit, "duck": duck, "bird": bird}[thing["kind"]](f, thing, rng, action)
