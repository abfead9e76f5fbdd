"""What a picturebook scene can hold: kinds of thing with their colours, sizes and actions."""

from __future__ import annotations

from dataclasses import dataclass

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (214, 40, 46),
    "orange": (245, 135, 31),
    "yellow": (250, 210, 40),
    "green": (52, 150, 62),
    "blue": (38, 92, 205),
    "purple": (128, 60, 170),
    "pink": (246, 132, 178),
    "brown": (122, 76, 42),
    "black": (38, 38, 42),
    "white": (246, 246, 242),
    "gray": (142, 144, 150),
    "turquoise": (40, 188, 190),
    "tan": (208, 168, 112),
}
BRIGHT = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "turquoise")
CLOTH = (
    "red",
    "blue",
    "black",
    "white",
    "green",
    "yellow",
    "pink",
    "orange",
    "gray",
    "purple",
    "brown",
    "turquoise",
)
PAINT = ("red", "blue", "white", "yellow", "green", "black", "gray", "orange", "turquoise", "purple", "pink")
HAIR: dict[str, RGB] = {
    "black": (34, 30, 32),
    "brown": (98, 62, 36),
    "blond": (232, 198, 106),
    "red": (176, 78, 32),
    "gray": (176, 176, 180),
}
SKIN: tuple[RGB, ...] = (
    (250, 214, 184),
    (238, 192, 152),
    (214, 160, 116),
    (168, 114, 76),
    (122, 80, 54),
    (92, 60, 42),
)


@dataclass(frozen=True)
class Kind:
    """One kind of thing: Entities type, size in adult heights, colours, actions, largest count."""

    type: str
    height: float
    width: float
    colours: tuple[str, ...] = ()
    actions: tuple[str, ...] = ("standing",)
    most: int = 1
    sizes: bool = False
    patterns: tuple[str, ...] = ()


_FUR = ("black", "white", "brown", "gray", "tan")
_WALK = ("standing", "walking", "running", "jumping", "sitting", "waving", "dancing")
_KID = (*_WALK, "crouching")

KINDS: dict[str, Kind] = {
    "man": Kind("people", 1.0, 0.46, actions=_WALK, most=3),
    "woman": Kind("people", 0.96, 0.44, actions=_WALK, most=3),
    "boy": Kind("people", 0.74, 0.40, actions=_WALK, most=4),
    "girl": Kind("people", 0.72, 0.40, actions=_WALK, most=4),
    "dog": Kind(
        "animals",
        0.50,
        0.70,
        _FUR,
        ("standing", "running", "jumping", "sitting", "lying"),
        4,
        True,
        ("plain", "spotted"),
    ),
    "cat": Kind(
        "animals",
        0.42,
        0.52,
        ("black", "white", "gray", "orange", "brown"),
        ("standing", "walking", "sitting", "lying"),
        3,
        True,
        ("plain", "striped"),
    ),
    "horse": Kind(
        "animals",
        0.95,
        1.20,
        ("brown", "black", "white", "gray", "tan"),
        ("standing", "running", "walking"),
        2,
    ),
    "cow": Kind(
        "animals",
        0.72,
        0.98,
        ("brown", "black", "white"),
        ("standing", "walking"),
        3,
        False,
        ("plain", "spotted"),
    ),
    "sheep": Kind("animals", 0.52, 0.62, ("white", "black", "gray"), ("standing", "walking"), 4, True),
    "pig": Kind(
        "animals",
        0.44,
        0.62,
        ("pink", "black", "brown"),
        ("standing", "walking"),
        4,
        True,
        ("plain", "spotted"),
    ),
    "elephant": Kind("animals", 0.92, 1.22, ("gray",), ("standing", "walking"), 2, True),
    "rabbit": Kind("animals", 0.38, 0.34, ("white", "brown", "gray", "black"), ("sitting", "jumping"), 4),
    "duck": Kind("animals", 0.34, 0.38, ("yellow", "white", "brown"), ("standing", "walking"), 4),
    "bird": Kind(
        "animals", 0.34, 0.46, ("red", "blue", "yellow", "black", "white", "green"), ("standing", "flying"), 4
    ),
    "car": Kind("vehicles", 0.47, 1.02, PAINT, ("parked", "driving"), 2, True),
    "bus": Kind(
        "vehicles", 0.74, 1.36, ("red", "yellow", "blue", "green", "orange", "white"), ("parked", "driving")
    ),
    "truck": Kind("vehicles", 0.70, 1.24, PAINT, ("parked", "driving")),
    "tractor": Kind(
        "vehicles", 0.80, 0.98, ("red", "green", "blue", "orange", "yellow"), ("parked", "driving")
    ),
    "bicycle": Kind("vehicles", 0.56, 0.88, PAINT, ("parked",), 2),
    "scooter": Kind("vehicles", 0.60, 0.52, PAINT, ("parked",)),
    "boat": Kind(
        "vehicles", 0.90, 0.86, ("red", "blue", "white", "yellow", "green", "orange"), ("sailing",), 2, True
    ),
    "sled": Kind("vehicles", 0.22, 0.62, ("red", "blue", "brown", "green", "yellow"), ("standing",)),
    "skateboard": Kind("vehicles", 0.14, 0.44, BRIGHT, ("standing",)),
    "surfboard": Kind("other", 0.80, 0.26, BRIGHT, ("standing",), 2),
    "ball": Kind("other", 0.24, 0.24, (*BRIGHT, "white"), ("lying",), 4, True, ("plain", "striped")),
    "frisbee": Kind("other", 0.12, 0.28, BRIGHT, ("lying",)),
    "balloon": Kind("other", 0.68, 0.28, BRIGHT, ("floating",), 4),
    "kite": Kind("other", 0.56, 0.48, BRIGHT, ("floating",), 3, True),
    "umbrella": Kind("other", 0.62, 0.62, (*BRIGHT, "black", "white"), ("standing",), 2, True),
    "bench": Kind("other", 0.42, 0.86, ("brown", "green", "red", "gray", "blue", "white"), ("standing",)),
    "chair": Kind("other", 0.58, 0.40, PAINT, ("standing",), 3),
    "table": Kind("other", 0.44, 0.86, ("brown", "white", "red", "green", "black"), ("standing",)),
    "sofa": Kind("other", 0.50, 1.06, PAINT, ("standing",)),
    "lamp": Kind("other", 0.84, 0.32, (*BRIGHT, "white"), ("standing",), 2),
    "plant": Kind(
        "other", 0.56, 0.36, ("red", "blue", "brown", "white", "black", "yellow"), ("standing",), 2, True
    ),
    "television": Kind("other", 0.48, 0.66, ("black", "gray", "white"), ("standing",)),
    "tent": Kind("other", 0.72, 1.00, BRIGHT, ("standing",), 2),
    "campfire": Kind("other", 0.42, 0.42, (), ("burning",), 2),
    "box": Kind("other", 0.36, 0.42, ("brown", "white", "red", "blue", "green"), ("standing",), 3, True),
    "bucket": Kind("other", 0.30, 0.30, BRIGHT, ("standing",), 3),
    "basket": Kind("other", 0.34, 0.40, ("brown", "tan", "white"), ("standing",), 2),
    "suitcase": Kind("other", 0.42, 0.40, PAINT, ("standing",), 3, True),
    "sandcastle": Kind("other", 0.46, 0.56, (), ("standing",), 2, True),
    "snowman": Kind("other", 0.72, 0.44, (), ("standing",), 3, True),
    "hydrant": Kind("other", 0.40, 0.28, ("red", "yellow", "blue", "green", "orange"), ("standing",)),
    "mailbox": Kind("other", 0.58, 0.30, ("red", "blue", "green", "white", "yellow"), ("standing",)),
    "sign": Kind("other", 0.84, 0.34, ("red", "yellow", "green", "blue"), ("standing",)),
    "flag": Kind("other", 0.90, 0.46, (*BRIGHT, "white", "black"), ("standing",), 3),
    "guitar": Kind("instruments", 0.56, 0.22, ("red", "brown", "black", "blue", "white"), ("standing",)),
    "drum": Kind("instruments", 0.34, 0.38, ("red", "blue", "yellow", "green"), ("standing",), 2),
    "book": Kind("other", 0.16, 0.22, ("red", "blue", "green", "black", "yellow"), ("lying",)),
    "barbell": Kind("other", 0.26, 0.90, ("black", "gray", "red", "blue"), ("lying",)),
    "cake": Kind("other", 0.30, 0.32, ("pink", "white", "brown", "yellow"), ("standing",)),
    "flowers": Kind("other", 0.34, 0.28, ("red", "yellow", "pink", "purple", "white", "blue"), ("standing",)),
    "stick": Kind("other", 0.06, 0.36, ("brown",), ("lying",)),
}
PEOPLE = ("man", "woman", "boy", "girl")

# Shadow-casting objects that something may sit on, with the height of the seat in adult heights.
SEATS: dict[str, float] = {"bench": 0.25, "chair": 0.27, "sofa": 0.25, "box": 0.34, "table": 0.43}

CLOTHES: dict[str, tuple[str, ...]] = {
    "man": ("shirt", "jacket", "sweater", "shirt", "vest"),
    "woman": ("shirt", "dress", "sweater", "jacket", "dress"),
    "boy": ("shirt", "shirt", "jacket", "sweater"),
    "girl": ("dress", "shirt", "dress", "jacket"),
}
HATS = ("cap", "helmet", "beanie", "sunhat")
EXTRAS = ("backpack", "scarf", "sunglasses", "beard")


def seat_height(kind: str) -> float:
    """Height of the seat of a piece of furniture, in adult heights.

    >>> seat_height("box") > seat_height("bench")
    True
    """
    return SEATS[kind]
