"""TPUs driven by the vendor's Python interface, sophon-sail: it comes with the vendor's SDK, not from an index."""

from wizardtpud.device.sail.library import SailLibrary
from wizardtpud.device.sail.runtime import SailRuntime

__all__ = ["SailLibrary", "SailRuntime"]
