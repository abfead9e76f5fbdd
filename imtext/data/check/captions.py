"""Captions: how many, how long, broken characters, captions that two images share, words never trained on."""

from __future__ import annotations

import html
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import ftfy
import numpy as np

from imtext.data.check.report import Finding, Section, plural, shorten, table, visible
from imtext.data.dataset import SPLITS, Dataset

# Only these characters can be trouble, so that 600,000 plain captions pass at once.
_SUSPECT = re.compile(r"[^\x20-\x7e]|&#?\w+;")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
# Letters are repaired; how somebody wrote quotes, ligatures and accents is left as it is.
_REPAIR = ftfy.TextFixerConfig(
    uncurl_quotes=False, fix_latin_ligatures=False, fix_character_width=False, normalization=None
)
_TROUBLES = {
    "mojibake": "text decoded with the wrong encoding",
    "replacement": "the replacement character U+FFFD: the text is lost",
    "byte-order-mark": "a byte-order mark inside the text",
    "control": "control or invisible characters",
    "entity": "HTML entities",
}
_UNSEEN = 10


def caption_section(dataset: Dataset) -> Section:
    """Captions per image and words per caption."""
    per_image = np.bincount(dataset.image_of_caption, minlength=dataset.n_images)
    words = np.array([len(caption.split()) for caption in dataset.captions])
    histogram = {int(k): int((per_image == k).sum()) for k in np.unique(per_image)}
    most = sorted(histogram.items(), key=lambda item: -item[1])[:6]
    shown = ", ".join(f"{k} for {plural(count, 'image')}" for k, count in sorted(most))
    if len(histogram) > len(most):
        shown += ", others for fewer"
    spread = {"min": int(per_image.min()), "mean": float(per_image.mean()), "max": int(per_image.max())}
    facts = {
        "per_image": spread,
        "histogram": {str(k): count for k, count in histogram.items()},
        "images_without": histogram.get(0, 0),
        "words": {"min": int(words.min()), "median": float(np.median(words)), "max": int(words.max())},
    }
    lines = (
        f"per image: {per_image.min()} to {per_image.max()}, mean {per_image.mean():.2f} ({shown})",
        f"words in a caption: {words.min()} to {words.max()}, median {np.median(words):g}",
    )
    return Section("captions", "Captions", lines, facts)


def troubles_of(caption: str) -> list[str]:
    """Which kinds of broken characters a caption has.

    >>> troubles_of("a man\u00e2\u20ac\u2122s dog &amp; cat"), troubles_of("plain")
    (['mojibake', 'entity'], [])
    """
    if not _SUSPECT.search(caption):
        return []
    found = []
    if ftfy.fix_encoding(caption) != caption:
        found.append("mojibake")
    if "\ufffd" in caption:
        found.append("replacement")
    if "\ufeff" in caption:
        found.append("byte-order-mark")
    if _CONTROL.search(caption.replace("\ufeff", "")) and "mojibake" not in found:
        found.append("control")
    if html.unescape(caption) != caption:
        found.append("entity")
    return found


def repaired(caption: str) -> str:
    """The caption as it was probably meant, by ftfy; what is lost stays lost.

    >>> repaired("a man\u00e2\u20ac\u2122s dog &lt;3")
    'a man’s dog <3'
    """
    # The tables of Sentences/ and .token files hold HTML beside angle brackets: unescape in any case.
    text = html.unescape(ftfy.fix_text(caption, _REPAIR))
    return " ".join(_CONTROL.sub("", text).split())


def encoding_section(dataset: Dataset) -> Section:
    """Captions with broken characters, each with what it was probably meant to be."""
    found: dict[str, list[int]] = defaultdict(list)
    for i, caption in enumerate(dataset.captions):
        for trouble in troubles_of(caption):
            found[trouble].append(i)
    findings = tuple(
        Finding(
            "remark",
            trouble,
            f"{plural(len(found[trouble]), 'caption')} with {about}",
            tuple(_before_after(dataset.captions[i]) for i in found[trouble]),
        )
        for trouble, about in _TROUBLES.items()
        if found[trouble]
    )
    total = len({i for rows in found.values() for i in rows})
    facts = {"captions": total, **{trouble: len(found[trouble]) for trouble in _TROUBLES}}
    parts = [f"{trouble} {len(found[trouble]):,}" for trouble in _TROUBLES if found[trouble]]
    line = f"{plural(total, 'caption')} with broken characters" + (f" ({', '.join(parts)})" if parts else "")
    return Section("encoding", "Characters", (line,), facts, findings)


def _before_after(caption: str) -> str:
    return f"{shorten(caption, 300)} -> {shorten(repaired(caption), 300)}"


def _plain(caption: str) -> str:
    """A caption without case, and without the full stop at its end."""
    return caption.casefold().rstrip(" .")


def shared_section(dataset: Dataset) -> Section:
    """Captions that stand with several images, case and final full stop aside: no model tells those apart."""
    owners: dict[str, set[int]] = defaultdict(set)
    for caption, image in zip(dataset.captions, dataset.image_of_caption.tolist(), strict=True):
        owners[_plain(caption)].add(image)
    across: list[str] = []
    captions = Counter(map(_plain, dataset.captions))
    groups, splits = dataset.group_of_image, dataset.split_of_image
    within = 0
    for caption, images in owners.items():
        rows = sorted(images)
        if len(set(groups[rows].tolist())) > 1:
            here = set(splits[rows].tolist())
            across += [caption] if len(here) > 1 else []
            within += len(here) == 1
    facts = {"across_splits": len(across), "within_splits": within}
    findings = ()
    if across:
        across.sort(key=lambda caption: -captions[caption])
        text = f"{plural(len(across), 'caption')} shared by images of different splits"
        findings = (Finding("remark", "shared-captions", text, tuple(across)),)
    line = (
        f"the same caption with several images: {len(across):,} different ones across splits, "
        f"{within:,} within one"
    )
    return Section("shared_captions", "Shared captions", (line,), facts, findings)


def vocabulary_section(dataset: Dataset, tokenize: Callable[[str], list[str]]) -> Section:
    """Words of val and test that no training caption holds."""
    splits = dataset.split_of_image[dataset.image_of_caption].tolist()
    words: dict[str, Counter[str]] = defaultdict(Counter)
    for caption, split in zip(dataset.captions, splits, strict=True):
        words[split].update(tokenize(caption))
    facts: dict[str, Any] = {
        split: {"types": len(words[split]), "tokens": words[split].total()}
        for split in SPLITS
        if words[split]
    }
    if not words["train"] or len(facts) < 2:
        only = ", ".join(f"{split}: {plural(each['types'], 'word')}" for split, each in facts.items())
        return Section("vocabulary", "Vocabulary", (f"{only}; nothing to compare",), facts)
    rows = [("train", f"{facts['train']['types']:,}", "", "")]
    lines = []
    for split in ("val", "test"):
        if split in facts:
            facts[split] |= _unseen(words[split], words["train"])
            rows.append(_row(split, facts[split]))
            top = ", ".join(
                f"{visible(word)} {count}" for word, count in facts[split]["most_frequent_unseen"]
            )
            lines.append(f"not in train, most frequent in {split}: {top or 'none'}")
    header = ("split", "words", "not in train", "of all its running words")
    return Section("vocabulary", "Vocabulary", (*table(header, rows), *lines), facts)


def _row(split: str, fact: Mapping[str, Any]) -> tuple[str, str, str, str]:
    share = fact["unseen_tokens"] / max(1, fact["tokens"])
    return split, f"{fact['types']:,}", f"{fact['unseen_types']:,}", f"{share:.2%}"


def _unseen(words: Counter[str], train: Counter[str]) -> dict[str, Any]:
    unseen = Counter({word: count for word, count in words.items() if word not in train})
    return {
        "unseen_types": len(unseen),
        "unseen_tokens": unseen.total(),
        "most_frequent_unseen": [[word, count] for word, count in unseen.most_common(_UNSEEN)],
    }
