"""Where a picturebook scene can be: twelve settings, and what is found and done in each."""

from __future__ import annotations

from dataclasses import dataclass

from .world import RGB


@dataclass(frozen=True)
class Setting:
    """A place: indoors or out, horizon (from the top), skies, nameable features, what is found there."""

    indoor: bool
    horizon: float
    skies: tuple[str, ...]
    features: tuple[str, ...]
    deeds: tuple[str, ...]
    animals: tuple[str, ...]
    vehicles: tuple[str, ...]
    objects: tuple[str, ...]


_SUNNY = ("sunny", "sunny", "sunny", "cloudy", "cloudy", "sunset", "rainy")
_PLAY = (
    "throw:ball",
    "throw:frisbee",
    "kick:ball",
    "hold:balloon",
    "fly:kite",
    "hold:umbrella",
    "ride:bicycle",
    "ride:skateboard",
    "ride:scooter",
    "hold:ball",
    "hold:flowers",
    "walk:dog",
    "carry:basket",
    "hold:flag",
)

SETTINGS: dict[str, Setting] = {
    "park": Setting(
        False,
        0.50,
        _SUNNY,
        ("fountain", "lamp post", "fence", "flower bed", "pond"),
        (*_PLAY, "sit:bench", "play:guitar", "read:book"),
        ("dog", "dog", "cat", "bird", "rabbit", "duck"),
        ("bicycle", "scooter"),
        ("bench", "kite", "balloon", "ball", "basket", "umbrella", "flowers", "sign", "frisbee"),
    ),
    "beach": Setting(
        False,
        0.42,
        _SUNNY,
        ("palm tree", "lighthouse", "island", "rocks"),
        (
            "throw:ball",
            "throw:frisbee",
            "kick:ball",
            "hold:umbrella",
            "fly:kite",
            "carry:surfboard",
            "carry:bucket",
            "hold:ball",
            "walk:dog",
            "ride:horse",
            "read:book",
            "sit:chair",
        ),
        ("dog", "dog", "bird", "horse"),
        ("boat", "boat"),
        ("umbrella", "surfboard", "bucket", "sandcastle", "ball", "chair", "kite", "flag", "basket"),
    ),
    "snow": Setting(
        False,
        0.50,
        ("sunny", "cloudy", "snowing", "snowing"),
        ("mountain", "cabin", "pine trees", "fence"),
        ("ride:sled", "throw:ball", "walk:dog", "hold:flag", "hold:balloon", "carry:sled", "ride:horse"),
        ("dog", "dog", "horse", "rabbit", "cat", "bird"),
        ("sled", "tractor"),
        ("snowman", "snowman", "sled", "flag", "tent", "sign", "box"),
    ),
    "street": Setting(
        False,
        0.50,
        _SUNNY,
        ("traffic light", "shop", "lamp post", "hedge"),
        (
            "ride:bicycle",
            "ride:scooter",
            "ride:skateboard",
            "hold:umbrella",
            "carry:suitcase",
            "walk:dog",
            "hold:balloon",
            "hold:flowers",
            "play:guitar",
            "carry:basket",
            "sit:bench",
            "hold:flag",
            "kick:ball",
        ),
        ("dog", "cat", "bird"),
        ("car", "car", "bus", "truck", "bicycle", "scooter"),
        ("hydrant", "mailbox", "sign", "bench", "suitcase", "box", "flag", "balloon"),
    ),
    "night": Setting(
        False,
        0.52,
        ("starry",),
        ("moon", "lamp post", "fountain", "tower"),
        (
            "hold:umbrella",
            "walk:dog",
            "ride:bicycle",
            "ride:skateboard",
            "play:guitar",
            "hold:balloon",
            "carry:suitcase",
            "hold:flag",
            "sit:bench",
            "hold:flowers",
        ),
        ("dog", "cat", "cat", "rabbit"),
        ("car", "bus", "truck", "car"),
        ("campfire", "hydrant", "mailbox", "bench", "sign", "balloon", "box", "tent", "flag"),
    ),
    "gym": Setting(
        True,
        0.62,
        (),
        ("hoop", "mirror", "wall bars", "clock"),
        (
            "lift:barbell",
            "lift:barbell",
            "throw:ball",
            "hold:ball",
            "kick:ball",
            "sit:bench",
            "hold:flag",
            "sit:box",
        ),
        ("dog", "cat"),
        (),
        ("ball", "barbell", "bench", "box", "flag", "drum", "chair"),
    ),
    "kitchen": Setting(
        True,
        0.66,
        (),
        ("stove", "refrigerator", "window", "clock"),
        (
            "carry:cake",
            "hold:cake",
            "hold:flowers",
            "carry:basket",
            "hold:balloon",
            "sit:chair",
            "carry:box",
            "read:book",
        ),
        ("cat", "dog", "cat"),
        (),
        ("table", "chair", "basket", "plant", "box", "cake", "bucket", "flowers", "balloon"),
    ),
    "living room": Setting(
        True,
        0.66,
        (),
        ("window", "painting", "fireplace", "bookcase"),
        (
            "sit:sofa",
            "sit:sofa",
            "sit:chair",
            "read:book",
            "play:guitar",
            "hold:balloon",
            "hold:cake",
            "hold:flowers",
            "carry:box",
            "carry:suitcase",
        ),
        ("cat", "cat", "dog", "rabbit"),
        (),
        ("sofa", "lamp", "plant", "television", "table", "chair", "box", "drum", "balloon", "guitar"),
    ),
    "field": Setting(
        False,
        0.46,
        _SUNNY,
        ("barn", "fence", "windmill", "hay bale", "mountain"),
        (
            "ride:horse",
            "ride:horse",
            "walk:dog",
            "fly:kite",
            "carry:basket",
            "carry:bucket",
            "throw:frisbee",
            "hold:flowers",
            "hold:umbrella",
            "kick:ball",
        ),
        ("horse", "cow", "sheep", "pig", "dog", "rabbit", "duck"),
        ("tractor", "tractor", "truck"),
        ("kite", "basket", "bucket", "tent", "sign", "flowers", "ball"),
    ),
    "forest": Setting(
        False,
        0.52,
        ("sunny", "cloudy", "rainy"),
        ("log", "mushrooms", "stream", "cabin"),
        (
            "ride:bicycle",
            "ride:horse",
            "walk:dog",
            "carry:basket",
            "hold:umbrella",
            "play:guitar",
            "read:book",
            "hold:flag",
            "hold:balloon",
        ),
        ("dog", "rabbit", "bird", "elephant", "cat", "horse"),
        ("bicycle",),
        ("tent", "campfire", "basket", "sign", "box", "flag", "guitar"),
    ),
    "lake": Setting(
        False,
        0.44,
        ("sunny", "cloudy", "sunset", "rainy"),
        ("mountain", "dock", "reeds", "cabin"),
        (
            "walk:dog",
            "hold:umbrella",
            "throw:ball",
            "fly:kite",
            "carry:bucket",
            "ride:bicycle",
            "sit:chair",
            "play:guitar",
            "throw:frisbee",
            "read:book",
        ),
        ("duck", "duck", "dog", "bird", "elephant"),
        ("boat", "boat", "bicycle"),
        ("tent", "campfire", "chair", "umbrella", "bucket", "basket", "bench"),
    ),
    "desert": Setting(
        False,
        0.46,
        ("sunny", "sunny", "sunset"),
        ("cactus", "rocks", "pyramid", "vultures"),
        (
            "ride:horse",
            "ride:bicycle",
            "carry:suitcase",
            "hold:umbrella",
            "hold:flag",
            "play:guitar",
            "walk:dog",
            "hold:balloon",
        ),
        ("horse", "elephant", "dog", "bird"),
        ("truck", "car", "bus"),
        ("tent", "campfire", "sign", "suitcase", "box", "flag", "umbrella"),
    ),
}


@dataclass(frozen=True)
class Place:
    """A place: how high the ground reaches, variants of (above, far ground, near ground), texture, roof."""

    horizon: float
    tones: tuple[tuple[RGB, RGB, RGB], ...]
    grain: float
    indoor: bool = False


PLACES: dict[str, Place] = {
    "street": Place(
        0.5,
        (
            ((176, 170, 160), (128, 130, 136), (104, 106, 114)),
            ((160, 172, 184), (140, 138, 134), (116, 114, 112)),
            ((188, 160, 140), (120, 122, 130), (98, 100, 108)),
        ),
        6,
    ),
    "wall": Place(
        0.72,
        (
            ((186, 116, 92), (168, 164, 156), (150, 146, 140)),
            ((206, 198, 182), (150, 148, 144), (130, 128, 126)),
            ((164, 172, 176), (176, 170, 160), (158, 152, 144)),
        ),
        7,
    ),
    "park": Place(
        0.44,
        (((150, 190, 206), (132, 176, 96), (88, 142, 66)), ((196, 208, 210), (150, 168, 92), (108, 134, 60))),
        10,
    ),
    "corridor": Place(
        0.6,
        (
            ((222, 220, 210), (184, 176, 162), (160, 150, 136)),
            ((204, 212, 214), (150, 160, 166), (124, 134, 142)),
            ((228, 214, 192), (142, 120, 100), (118, 98, 80)),
        ),
        3,
        True,
    ),
    "crossing": Place(
        0.4,
        (((170, 176, 184), (112, 114, 120), (90, 92, 98)), ((196, 186, 172), (122, 120, 120), (98, 96, 98))),
        6,
    ),
    "shop": Place(
        0.68,
        (
            ((104, 84, 70), (176, 170, 162), (154, 148, 142)),
            ((70, 96, 92), (160, 160, 158), (138, 138, 138)),
            ((136, 62, 58), (168, 158, 146), (144, 136, 126)),
        ),
        5,
    ),
    "station": Place(
        0.56,
        (
            ((200, 206, 204), (164, 166, 164), (140, 142, 142)),
            ((178, 190, 200), (182, 176, 160), (158, 150, 136)),
        ),
        4,
        True,
    ),
    "car park": Place(
        0.46,
        (
            ((184, 196, 206), (132, 132, 136), (112, 112, 116)),
            ((190, 184, 172), (144, 140, 136), (122, 118, 116)),
        ),
        6,
    ),
    "stairs": Place(
        0.34,
        (
            ((198, 190, 178), (188, 184, 176), (158, 152, 144)),
            ((166, 172, 180), (170, 172, 176), (142, 144, 150)),
        ),
        5,
    ),
}
