"""The picture network, by the name that the frozen plan has for it."""

from dubcli.core.plain import PlainPictures

__all__ = ["PlainPictures"]
