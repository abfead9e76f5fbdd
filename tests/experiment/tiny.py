"""The smallest experiment that trains, and a study that runs it."""

from imtext.experiment import Constraint, Data, Experiment, Hinges, Joint, Pooled, Words, adam
from imtext.papers import intra_modal

PAPER = Experiment(
    data=Data(train=20, val=5, test=15),
    image=Pooled("efficientnet_lite0", size=64, crop=64, views=1),
    text=Words(min_count=2, length=20, dim=20),
    network=Joint(dim=32),
    loss=Hinges(all_epochs=1, constraint=Constraint(distance="cosine", reading="released_cosine")),
    recipe=adam(2, 3e-3, 10, cosine=True, captions_per_group=1),
    precision="64",
)


def study(runs_dir, seeds=(0,), tables="all", overrides=None, **more):
    """The intra-modal study of the notebook's parameters, in `runs_dir`."""
    given = {"profile": "smoke", "device": "cpu", "jobs": 1} | more
    return intra_modal.study(
        "picturebook", None, given["profile"], list(seeds), tables, given["device"], given["jobs"],
        str(runs_dir), overrides or {},
    )  # fmt: skip
