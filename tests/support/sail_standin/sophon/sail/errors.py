"""Exceptions: none of them is another one's base."""

from __future__ import annotations


class SailDeviceError(Exception): ...


class SailTensorError(Exception): ...


class SailEngineError(Exception): ...


class SailUnknownError(Exception): ...


class MemoryError(Exception): ...  # noqa: A001 - sail's own


class DataTypeError(Exception): ...


class NotSupport(Exception): ...  # noqa: N818 - sail's own
