"""The version, by itself, so that a new one makes no stage run again."""

VERSION = "0.2.0"
