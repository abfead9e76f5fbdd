"""Whether the ``id`` of one's own data is the person of an image, as in CUHK-PEDES and its followers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from imtext.data.own_columns import Table, counted


def group_by_id(tables: Sequence[tuple[Table, str | None]]) -> list[str]:
    """Keep what stands under ``id`` as the groups of the rows, or take it from them; a note on either.

    It is a group where every image has one ``id``, several images share one, and none is in two splits. An
    ``id`` of its own for each image or caption is no group, and nothing to speak of.
    """
    rows = [(row, split) for table, split in tables if table.by_id for row in table.rows]
    ids_of_image, images_of_id, splits_of_id = defaultdict(set), defaultdict(set), defaultdict(set)
    for row, split in rows:
        ids_of_image[row.image].add(row.group)
        images_of_id[row.group].add(row.image)
        splits_of_id[row.group].add(split or row.split)
    if not any(len(images) > 1 for images in images_of_id.values()):
        why = ""
    elif None in images_of_id:
        why = "some rows have none"
    elif any(len(ids) > 1 for ids in ids_of_image.values()):
        why = "an image has several"
    elif any(len(splits) > 1 for splits in splits_of_id.values()):
        why = "one is in several splits"
    else:
        count = f"{counted(len(images_of_id), 'group')} of {counted(len(ids_of_image), 'image')}"
        return [f"images with the same 'id' are one group: {count}; columns={{'group': None}} undoes it"]
    for table, _ in tables:
        if table.by_id:
            table.rows = [row._replace(group=None) for row in table.rows]
    return [f"'id' is no group of images ({why}); columns={{'group': 'id'}} makes it one"] if why else []
