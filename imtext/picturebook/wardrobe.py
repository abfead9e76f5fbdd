"""What a pedestrian can look like: colours, garments, hair, bags and how often each is seen."""

from __future__ import annotations

from dataclasses import dataclass

from .world import COLOURS, HAIR, RGB

PALETTE: dict[str, RGB] = {
    **{name: COLOURS[name] for name in ("red", "orange", "yellow", "green", "blue", "purple", "pink")},
    **{name: COLOURS[name] for name in ("brown", "black", "white", "gray", "turquoise")},
    "navy": (30, 40, 92),
    "light blue": (150, 198, 240),
    "beige": (224, 206, 172),
    "maroon": (124, 24, 46),
    "olive": (104, 112, 52),
}
HAIR_RGB: dict[str, RGB] = {**HAIR, "white": (232, 232, 230)}
DENIM: dict[str, RGB] = {
    "blue": (58, 92, 156),
    "navy": (38, 52, 96),
    "light blue": (136, 170, 212),
    "black": (44, 44, 50),
    "gray": (120, 124, 132),
}
LIGHT = ("white", "yellow", "light blue", "beige", "pink", "turquoise", "orange")  # takes dark stripes

CLOTH: dict[str, float] = {
    "black": 0.15,
    "white": 0.14,
    "blue": 0.10,
    "gray": 0.10,
    "red": 0.09,
    "navy": 0.06,
    "green": 0.06,
    "pink": 0.06,
    "light blue": 0.05,
    "yellow": 0.05,
    "brown": 0.04,
    "purple": 0.04,
    "orange": 0.04,
    "beige": 0.04,
    "maroon": 0.03,
    "olive": 0.03,
    "turquoise": 0.03,
}
DARK_CLOTH = {"black": 0.34, "gray": 0.17, "navy": 0.15, "beige": 0.10, "brown": 0.09, "olive": 0.06} | {
    "white": 0.06,
    "red": 0.03,
    "blue": 0.05,
}
SHOE_CLOTH = {"black": 0.28, "white": 0.26, "brown": 0.10, "gray": 0.10, "red": 0.08, "blue": 0.08} | {
    "pink": 0.04,
    "beige": 0.04,
    "green": 0.03,
    "orange": 0.03,
    "yellow": 0.03,
}


@dataclass(frozen=True)
class Garment:
    """An upper garment: sleeves (0 none, 1 short, 2 long), hem (height above ground), patterns, colours."""

    sleeves: int
    hem: float
    patterns: dict[str, float]
    colours: dict[str, float]
    opens: float = 0.0  # share that is worn open over an inner shirt
    collar: bool = False


_PRINTED = {"plain": 0.52, "striped": 0.2, "print": 0.28}
TOPS: dict[str, Garment] = {
    "t-shirt": Garment(1, 0.465, _PRINTED, CLOTH),
    "polo": Garment(1, 0.465, {"plain": 0.7, "striped": 0.3}, CLOTH, collar=True),
    "shirt": Garment(2, 0.455, {"plain": 0.46, "checked": 0.32, "striped": 0.22}, CLOTH, 0.18, True),
    "blouse": Garment(2, 0.47, {"plain": 0.62, "dotted": 0.2, "striped": 0.18}, CLOTH),
    "sweater": Garment(2, 0.455, {"plain": 0.7, "striped": 0.3}, CLOTH),
    "hoodie": Garment(2, 0.455, {"plain": 0.76, "print": 0.24}, CLOTH),
    "jacket": Garment(2, 0.45, {"plain": 1.0}, CLOTH, 0.5, True),
    "coat": Garment(
        2, 0.29, {"plain": 0.9, "checked": 0.1}, {**DARK_CLOTH, "red": 0.09, "pink": 0.05}, 0.4, True
    ),
    "suit": Garment(2, 0.43, {"plain": 1.0}, {"black": 0.4, "gray": 0.3, "navy": 0.3}, 1.0, True),
    "vest": Garment(0, 0.455, {"plain": 1.0}, CLOTH, 0.0),
    "tank top": Garment(0, 0.47, {"plain": 0.75, "striped": 0.25}, CLOTH),
    "dress": Garment(1, 0.275, {"plain": 0.6, "dotted": 0.16, "striped": 0.14, "checked": 0.1}, CLOTH),
}
WEARS: dict[str, dict[str, float]] = {
    "man": {"t-shirt": 0.24, "polo": 0.1, "shirt": 0.2, "sweater": 0.08, "hoodie": 0.1, "jacket": 0.15}
    | {"coat": 0.05, "suit": 0.06, "vest": 0.04, "tank top": 0.02},
    "woman": {"t-shirt": 0.2, "blouse": 0.12, "shirt": 0.08, "sweater": 0.1, "hoodie": 0.05, "jacket": 0.13}
    | {"coat": 0.1, "vest": 0.03, "tank top": 0.05, "dress": 0.14},
    "boy": {"t-shirt": 0.45, "polo": 0.1, "sweater": 0.1, "hoodie": 0.2, "jacket": 0.15},
    "girl": {"t-shirt": 0.35, "sweater": 0.12, "hoodie": 0.12, "jacket": 0.13, "dress": 0.28},
}
LOWERS: dict[str, dict[str, float]] = {
    "man": {"trousers": 0.48, "jeans": 0.32, "shorts": 0.2},
    "woman": {"trousers": 0.26, "jeans": 0.28, "shorts": 0.12, "skirt": 0.24, "leggings": 0.1},
    "boy": {"trousers": 0.36, "jeans": 0.28, "shorts": 0.36},
    "girl": {"trousers": 0.24, "jeans": 0.22, "shorts": 0.2, "skirt": 0.26, "leggings": 0.08},
}
LOWER_COLOURS: dict[str, dict[str, float]] = {
    "trousers": DARK_CLOTH,
    "jeans": {"blue": 0.46, "navy": 0.2, "light blue": 0.14, "black": 0.12, "gray": 0.08},
    "shorts": {**DARK_CLOTH, "blue": 0.14, "red": 0.07, "green": 0.05},
    "skirt": {**CLOTH, "black": 0.3},
    "leggings": {"black": 0.5, "gray": 0.2, "navy": 0.15, "purple": 0.08, "pink": 0.07},
}
SHOES: dict[str, dict[str, float]] = {
    "man": {"trainers": 0.54, "shoes": 0.26, "boots": 0.1, "sandals": 0.1},
    "woman": {"trainers": 0.4, "shoes": 0.14, "boots": 0.17, "sandals": 0.14, "heels": 0.15},
    "boy": {"trainers": 0.76, "boots": 0.1, "sandals": 0.14},
    "girl": {"trainers": 0.6, "boots": 0.14, "sandals": 0.16, "shoes": 0.1},
}
STYLES: dict[str, dict[str, float]] = {
    "man": {"short": 0.6, "shaved": 0.12, "bald": 0.06, "curly": 0.12, "long": 0.05, "bun": 0.05},
    "woman": {"long": 0.32, "ponytail": 0.26, "bob": 0.16, "bun": 0.12, "short": 0.07, "curly": 0.07},
    "boy": {"short": 0.74, "shaved": 0.1, "curly": 0.16},
    "girl": {"long": 0.3, "ponytail": 0.3, "bob": 0.16, "braids": 0.24},
}
HAIR_COLOURS = {"black": 0.42, "brown": 0.28, "blond": 0.16, "red": 0.07, "gray": 0.05, "white": 0.02}
BAGS: dict[str, dict[str, float]] = {
    "man": {"": 0.4, "backpack": 0.3, "shoulder bag": 0.12, "briefcase": 0.06, "suitcase": 0.06}
    | {"shopping bag": 0.06},
    "woman": {"": 0.28, "backpack": 0.16, "handbag": 0.22, "shoulder bag": 0.18, "suitcase": 0.06}
    | {"shopping bag": 0.1},
    "boy": {"": 0.5, "backpack": 0.44, "shopping bag": 0.06},
    "girl": {"": 0.46, "backpack": 0.36, "shoulder bag": 0.12, "shopping bag": 0.06},
}
BAG_CLOTH = {"black": 0.28, "brown": 0.16, "red": 0.1, "blue": 0.1, "gray": 0.08, "white": 0.06} | {
    "green": 0.05,
    "pink": 0.05,
    "beige": 0.05,
    "yellow": 0.04,
    "purple": 0.03,
}
HATS = {"cap": 0.52, "beanie": 0.28, "sunhat": 0.2}
ITEMS = {"phone": 0.46, "umbrella": 0.22, "cup": 0.12, "bottle": 0.1, "book": 0.1}
ITEM_CLOTH = {
    "phone": {"black": 1.0},
    "umbrella": {**CLOTH, "black": 0.3},
    "cup": {"white": 0.6, "brown": 0.2, "green": 0.2},
    "bottle": {"blue": 0.4, "green": 0.3, "red": 0.3},
    "book": {"red": 0.3, "blue": 0.3, "white": 0.2, "brown": 0.2},
}
