"""The one moment that is written into everything whose time must not matter."""

LAYER_TIME = 315532800
"""1980-01-01T00:00:00Z, in seconds since 1970: the earliest time that every archive format can hold."""
