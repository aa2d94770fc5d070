"""The one place that says which roci this is; the distribution's metadata is made from it."""

VERSION = "0.1.0"
