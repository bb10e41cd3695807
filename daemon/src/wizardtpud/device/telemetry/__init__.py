"""What devices say of themselves: the driver's files, the vendor's libraries, and how both come together."""

from wizardtpud.device.telemetry.library_readings import LibraryReadings
from wizardtpud.device.telemetry.telemetry import Telemetry, telemetry_of
from wizardtpud.observability.device_reading import DeviceReading

__all__ = ["DeviceReading", "LibraryReadings", "Telemetry", "telemetry_of"]
