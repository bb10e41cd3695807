"""TPUs, and the vendor's simulator of one: networks of a bmodel run by libbmrt on device memory."""

from wizardtpud.device.bmrt.library import BmrtLibrary
from wizardtpud.device.bmrt.runtime import BmrtRuntime

__all__ = ["BmrtLibrary", "BmrtRuntime"]
