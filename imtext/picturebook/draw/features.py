"""The nameable features of settings: a fountain, a lighthouse, a stove. Each is one function on a frame."""

from __future__ import annotations

import random
from collections.abc import Callable

from . import fixtures
from .canvas import Canvas, Frame, shade
from .scenery import pine

STONE = (176, 174, 172)
WOOD = (140, 96, 58)


def _fountain(f: Frame) -> None:
    f.oval(0, 0.1, 0.62, 0.12, STONE)
    f.oval(0, 0.14, 0.52, 0.09, (110, 184, 220))
    f.rect(-0.07, 0.12, 0.07, 0.6, STONE)
    f.oval(0, 0.6, 0.3, 0.08, STONE)
    for dx in (-0.42, -0.2, 0.2, 0.42):
        f.line([(0, 0.98), (dx * 0.6, 0.96), (dx, 0.6), (dx * 1.1, 0.2)], (196, 228, 246), 0.035)


def _lamp_post(f: Frame) -> None:
    f.limb([(0, 0), (0, 0.84)], 0.035, (58, 62, 70))
    f.oval(0, 0.9, 0.16, 0.14, (255, 240, 170, 90), False)
    f.poly([(-0.05, 0.82), (0.05, 0.82), (0.075, 0.97), (-0.075, 0.97)], (255, 236, 160))
    f.poly([(-0.09, 0.96), (0.09, 0.96), (0, 1.03)], (58, 62, 70))


def _fence(f: Frame) -> None:
    for y in (0.35, 0.75):
        f.rect(-3.2, y - 0.08, 3.2, y + 0.08, (240, 236, 226))
    for k in range(9):
        x = -3.0 + k * 0.75
        f.poly([(x - 0.12, 0), (x + 0.12, 0), (x + 0.12, 0.95), (x, 1.1), (x - 0.12, 0.95)], (250, 248, 240))


def _flower_bed(f: Frame) -> None:
    f.oval(0, 0.3, 1.6, 0.42, (64, 128, 60))
    tones = ((232, 70, 90), (250, 210, 70), (240, 240, 250), (180, 90, 200))
    for k in range(14):
        x, y = -1.3 + k * 0.2, 0.42 + 0.22 * ((k * 7) % 5 - 2) / 2
        f.oval(x, y + 0.1, 0.15, 0.16, tones[k % 4], False)


def _pond(f: Frame) -> None:
    f.oval(0, 0.5, 2.0, 0.62, (214, 200, 150))
    f.oval(0, 0.5, 1.85, 0.52, (92, 164, 208))
    for x, y in ((-0.8, 0.6), (0.3, 0.36), (0.9, 0.62)):
        f.line([(x, y), (x + 0.5, y)], (206, 232, 244), 0.05)


def _palm(f: Frame) -> None:
    f.limb([(0, 0), (0.05, 0.4), (0.0, 0.8)], 0.05, (160, 116, 70))
    for dx, dy in ((-0.36, 0.02), (-0.26, 0.2), (0.0, 0.24), (0.28, 0.18), (0.36, 0.0)):
        f.blob(
            ((0, 0.8), (dx * 0.5, 0.86 + dy * 0.9), (dx, 0.72 + dy), (dx * 0.5, 0.78 + dy * 0.6)),
            (54, 146, 74),
        )
    f.oval(0.03, 0.77, 0.04, 0.04, (120, 80, 50))


def _lighthouse(f: Frame) -> None:
    f.oval(0, 0.03, 0.4, 0.08, (132, 124, 116))
    f.poly([(-0.14, 0.04), (0.14, 0.04), (0.085, 0.76), (-0.085, 0.76)], (250, 248, 244))
    for y in (0.14, 0.38, 0.62):
        w = 0.14 - y * 0.075
        f.rect(-w, y, w, y + 0.11, (214, 52, 48), False)
    f.rect(-0.075, 0.76, 0.075, 0.88, (255, 236, 150))
    f.poly([(-0.1, 0.88), (0.1, 0.88), (0, 1.0)], (60, 62, 72))


def _island(f: Frame) -> None:
    f.blob(((-1.2, 0), (-0.8, 0.4), (0.0, 0.6), (0.8, 0.36), (1.2, 0)), (110, 164, 96))
    f.blob(((-1.3, 0), (-0.9, 0.14), (0.9, 0.14), (1.3, 0), (0, -0.06)), (232, 206, 150))
    _palm(f.sub(0.1, 0.3, 0.9))


def _rocks(f: Frame) -> None:
    for x, w, h in ((-0.7, 0.5, 0.6), (0.6, 0.6, 0.7), (0.0, 0.6, 1.0)):
        f.blob(
            ((x - w, 0), (x - w * 0.8, h * 0.7), (x, h * 1.1), (x + w * 0.8, h * 0.75), (x + w, 0)),
            (140, 132, 126),
        )
        f.oval(x - w * 0.2, h * 0.7, w * 0.3, h * 0.12, (184, 178, 170), False)


def _mountain(f: Frame) -> None:
    for x, w, h, tone in ((0.5, 0.8, 0.76, (118, 130, 154)), (-0.2, 0.95, 1.0, (98, 110, 136))):
        f.poly([(x - w, 0), (x, h), (x + w, 0)], tone)
        f.poly([(x, h), (x + w, 0), (x + w * 0.3, 0)], shade(tone, 0.84), False)
        f.poly(
            [
                (x, h),
                (x - w * 0.3, h * 0.69),
                (x - w * 0.1, h * 0.76),
                (x + w * 0.06, h * 0.66),
                (x + w * 0.28, h * 0.72),
            ],
            (248, 250, 255),
            False,
        )


def _cabin(f: Frame) -> None:
    f.rect(-0.6, 0, 0.6, 0.56, (154, 98, 60))
    for y in (0.14, 0.28, 0.42):
        f.line([(-0.6, y), (0.6, y)], (116, 70, 42), 0.02)
    f.rect(0.3, 0.7, 0.44, 1.0, (130, 120, 116))
    f.poly([(-0.74, 0.54), (0.74, 0.54), (0.4, 0.94), (-0.4, 0.94)], (176, 64, 54))
    f.rect(-0.1, 0, 0.14, 0.36, (92, 58, 38))
    for x in (-0.42, 0.32):
        f.rect(x, 0.2, x + 0.18, 0.4, (255, 232, 150))


def _pines(f: Frame) -> None:
    c = f.canvas
    for dx, h in ((-0.5, 0.8), (0.5, 0.76), (0.0, 1.0)):
        px, py = f.at(dx, 0)
        pine(c, px / c.side, py / c.side, h * f.unit / c.side, True)


def _traffic_light(f: Frame) -> None:
    f.rect(-0.025, 0, 0.025, 0.6, (70, 72, 78))
    f.rect(-0.1, 0.56, 0.1, 1.0, (40, 42, 46))
    for y, tone in ((0.9, (235, 60, 50)), (0.78, (250, 200, 60)), (0.66, (70, 200, 90))):
        f.oval(0, y, 0.055, 0.055, tone, False)


def _shop(f: Frame) -> None:
    f.rect(-0.7, 0, 0.7, 0.95, (230, 214, 190))
    f.rect(-0.6, 0.1, 0.14, 0.56, (184, 220, 234))
    f.rect(0.24, 0, 0.54, 0.56, (120, 82, 60))
    for k in range(7):
        x = -0.77 + k * 0.22
        f.poly(
            [(x, 0.56), (x + 0.22, 0.56), (x + 0.2, 0.8), (x + 0.02, 0.8)],
            (214, 60, 60) if k % 2 else (252, 250, 244),
        )
    f.rect(-0.5, 0.83, 0.5, 0.92, (60, 96, 130))


def _hedge(f: Frame) -> None:
    for k in range(9):
        f.oval(-2.4 + k * 0.6, 0.5, 0.5, 0.55, (58, 126, 62))
    f.rect(-2.6, 0, 2.6, 0.5, (58, 126, 62), False)


def _moon(f: Frame) -> None:
    f.oval(0, 0.5, 0.8, 0.8, (255, 250, 210, 40), False)
    f.oval(0, 0.5, 0.5, 0.5, (252, 246, 208))
    for x, y, r in ((-0.16, 0.6, 0.1), (0.14, 0.38, 0.13), (0.18, 0.7, 0.06)):
        f.oval(x, y, r, r, (228, 220, 178), False)


def _tower(f: Frame) -> None:
    f.rect(-0.16, 0, 0.16, 0.82, (70, 74, 104))
    f.poly([(-0.2, 0.82), (0.2, 0.82), (0, 1.02)], (110, 60, 70))
    f.oval(0, 0.7, 0.1, 0.1, (255, 240, 190))
    f.line([(0, 0.76), (0, 0.7), (0.05, 0.7)], (40, 40, 50), 0.02)
    for y in (0.14, 0.34):
        f.rect(-0.05, y, 0.05, y + 0.12, (250, 214, 120))


def _barn(f: Frame) -> None:
    f.poly(
        [(-0.6, 0), (0.6, 0), (0.6, 0.54), (0.36, 0.84), (0, 1.0), (-0.36, 0.84), (-0.6, 0.54)], (190, 52, 46)
    )
    f.line([(-0.66, 0.52), (-0.38, 0.86), (0, 1.02), (0.38, 0.86), (0.66, 0.52)], (250, 246, 238), 0.05)
    f.rect(-0.22, 0, 0.22, 0.44, (250, 246, 238))
    f.rect(-0.18, 0.02, 0.18, 0.4, (150, 36, 34), False)
    f.line([(-0.18, 0.02), (0.18, 0.4)], (250, 246, 238), 0.03)
    f.line([(0.18, 0.02), (-0.18, 0.4)], (250, 246, 238), 0.03)


def _windmill(f: Frame) -> None:
    f.poly([(-0.2, 0), (0.2, 0), (0.11, 0.62), (-0.11, 0.62)], (236, 226, 206))
    f.poly([(-0.14, 0.62), (0.14, 0.62), (0, 0.78)], (150, 76, 60))
    for dx, dy in ((0.27, 0.27), (-0.27, 0.27), (0.27, -0.27), (-0.27, -0.27)):
        f.poly(
            [(0, 0.66), (dx, 0.66 + dy), (dx * 0.75 + dy * 0.2, 0.66 + dy * 0.75 - dx * 0.2)], (250, 248, 240)
        )


def _hay(f: Frame) -> None:
    f.oval(0, 0.5, 0.62, 0.5, (226, 188, 84))
    for r in (0.4, 0.26, 0.12):
        f.oval(0, 0.5, r * 1.24, r, (238, 204, 104))


def _log(f: Frame) -> None:
    f.limb([(-1.2, 0.5), (1.2, 0.5)], 0.8, (124, 86, 56))
    f.oval(1.25, 0.5, 0.26, 0.42, (214, 172, 118))
    f.oval(1.25, 0.5, 0.13, 0.22, (186, 140, 90))


def _mushrooms(f: Frame) -> None:
    for x, h in ((-0.5, 0.7), (0.46, 0.6), (0.0, 1.0)):
        f.rect(x - 0.1 * h, 0, x + 0.1 * h, h * 0.6, (246, 236, 214))
        f.blob(
            (
                (x - 0.42 * h, h * 0.5),
                (x - 0.3 * h, h * 0.9),
                (x, h * 1.08),
                (x + 0.3 * h, h * 0.9),
                (x + 0.42 * h, h * 0.5),
            ),
            (214, 44, 40),
        )
        for dx, dy in ((-0.16, 0.7), (0.12, 0.8), (0.2, 0.6)):
            f.oval(x + dx * h, dy * h, 0.06 * h, 0.05 * h, (252, 250, 244), False)


def _stream(f: Frame) -> None:
    f.blob(
        (
            (-0.5, 0.95),
            (0.3, 1.0),
            (0.1, 0.6),
            (1.2, 0.3),
            (1.8, -0.4),
            (0.2, -0.4),
            (-0.1, 0.2),
            (-0.9, 0.55),
        ),
        (98, 172, 210),
    )
    for x, y in ((-0.1, 0.6), (0.5, 0.1), (0.8, -0.1)):
        f.line([(x, y), (x + 0.3, y)], (214, 236, 246), 0.05)


def _dock(f: Frame) -> None:
    for x in (-0.7, -0.1, 0.5):
        f.rect(x - 0.05, -0.1, x + 0.05, 0.5, (98, 66, 42))
    f.poly([(-0.9, 0.34), (0.9, 0.34), (1.1, 0.6), (-0.7, 0.6)], (176, 126, 80))
    for k in range(6):
        f.line([(-0.7 + k * 0.3, 0.34), (-0.5 + k * 0.3, 0.6)], (124, 84, 52), 0.03)


def _reeds(f: Frame) -> None:
    for k in range(9):
        x = -0.6 + k * 0.15
        f.line([(x, 0), (x + 0.06 * ((k % 3) - 1), 0.75 + 0.06 * (k % 4))], (96, 140, 60), 0.03)
        if k % 2:
            f.limb([(x, 0.7), (x, 0.92)], 0.06, (122, 76, 44))


def _cactus(f: Frame) -> None:
    green = (74, 142, 84)
    f.limb([(0, 0.02), (0, 0.9)], 0.2, green)
    f.limb([(0, 0.36), (-0.26, 0.38), (-0.26, 0.66)], 0.13, green)
    f.limb([(0, 0.48), (0.26, 0.5), (0.26, 0.78)], 0.13, green)
    f.line([(0.0, 0.08), (0.0, 0.92)], shade(green, 1.4), 0.02)


def _pyramid(f: Frame) -> None:
    f.poly([(-0.95, 0), (-0.1, 1.0), (0.95, 0)], (232, 190, 118))
    f.poly([(-0.1, 1.0), (0.95, 0), (0.2, 0)], (196, 148, 86), False)
    for y in (0.25, 0.5, 0.75):
        f.line([(-0.95 + y * 0.85, y), (0.2 - y * 0.3, y)], (206, 160, 94), 0.015)


def _vultures(f: Frame) -> None:
    for x, y, w in ((-0.6, 0.3, 0.3), (0.1, 0.8, 0.36), (0.7, 0.4, 0.28)):
        f.line(
            [
                (x - w, y + w * 0.5),
                (x - w * 0.4, y + w * 0.6),
                (x, y),
                (x + w * 0.4, y + w * 0.6),
                (x + w, y + w * 0.5),
            ],
            (50, 44, 48),
            0.09,
        )


# name: (function, height, distance of its foot below the horizon)
FEATURES: dict[str, tuple[Callable[[Frame], None], float, float]] = {
    "fountain": (_fountain, 0.24, 0.10),
    "lamp post": (_lamp_post, 0.46, 0.10),
    "fence": (_fence, 0.11, 0.07),
    "flower bed": (_flower_bed, 0.10, 0.12),
    "pond": (_pond, 0.10, 0.13),
    "palm tree": (_palm, 0.52, 0.24),
    "lighthouse": (_lighthouse, 0.32, 0.015),
    "island": (_island, 0.11, 0.03),
    "rocks": (_rocks, 0.12, 0.22),
    "mountain": (_mountain, 0.34, 0.02),
    "cabin": (_cabin, 0.22, 0.05),
    "pine trees": (_pines, 0.40, 0.08),
    "traffic light": (_traffic_light, 0.44, 0.12),
    "shop": (_shop, 0.34, 0.03),
    "hedge": (_hedge, 0.11, 0.08),
    "moon": (_moon, 0.13, -0.40),
    "tower": (_tower, 0.50, 0.02),
    "hoop": (fixtures.hoop, 0.24, -0.26),
    "mirror": (fixtures.mirror, 0.42, -0.06),
    "wall bars": (fixtures.wall_bars, 0.48, 0.0),
    "clock": (fixtures.clock, 0.12, -0.42),
    "stove": (fixtures.stove, 0.30, 0.03),
    "refrigerator": (fixtures.refrigerator, 0.56, 0.03),
    "window": (fixtures.window, 0.28, -0.28),
    "painting": (fixtures.painting, 0.19, -0.34),
    "fireplace": (fixtures.fireplace, 0.34, 0.01),
    "bookcase": (fixtures.bookcase, 0.50, 0.02),
    "barn": (_barn, 0.28, 0.05),
    "windmill": (_windmill, 0.36, 0.04),
    "hay bale": (_hay, 0.15, 0.13),
    "log": (_log, 0.09, 0.14),
    "mushrooms": (_mushrooms, 0.13, 0.16),
    "stream": (_stream, 0.24, 0.28),
    "dock": (_dock, 0.16, 0.24),
    "reeds": (_reeds, 0.24, 0.27),
    "cactus": (_cactus, 0.34, 0.10),
    "pyramid": (_pyramid, 0.28, 0.03),
    "vultures": (_vultures, 0.10, -0.32),
}


def draw_features(c: Canvas, scene: dict, horizon: float, rng: random.Random) -> None:
    """Draw the features of a scene at their places."""
    for feature in scene["features"]:
        function, height, below = FEATURES[feature["name"]]
        c.member = 0
        with c.part(feature["id"]):
            function(c.frame(feature["x"], horizon + below, height * rng.uniform(0.92, 1.08)))
