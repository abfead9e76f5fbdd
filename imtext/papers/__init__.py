"""One module a paper: its study, and what only this paper needs. Settings and rows stand in its notebook."""
