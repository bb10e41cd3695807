"""The compiler's exceptions; the text of each is meant for a person, its class decides the exit code."""

from __future__ import annotations


def reason(error: OSError) -> str:
    """What the operating system refused, without its number."""
    cause = error.strerror or str(error)
    return f"{error.filename}: {cause}" if error.filename else cause


class CompileError(Exception):
    """Root of everything the compiler raises on purpose."""

    exit_code = 1


class CheckpointError(CompileError):
    """A checkpoint is missing something, damaged, or of another kind."""


class OptionError(CompileError):
    """An option, or a combination of options and checkpoint, makes no sense."""

    exit_code = 2


class OutputError(CompileError):
    """The bundle cannot be written where it was asked for."""


class VerificationError(CompileError):
    """The networks that were written do not compute what they should."""


class ToolchainError(CompileError):
    """The vendor's compiler is missing, incomplete, or failed."""


class StepError(CompileError):
    """A step of a build failed; what was finished before it is kept."""
