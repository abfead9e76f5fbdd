"""The larger commands of ``imtext``: data and runs. Heavy modules are imported where a command needs them."""
