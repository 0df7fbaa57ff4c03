"""The version, by itself: no stage runs again because of a new one."""

VERSION = "0.3.0"
