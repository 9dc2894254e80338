"""Model calls as spans: what all providers share, and a folder for each of them."""
