"""One module per paper: its tables as data, and what runs them."""
