"""The wire of wizardtpud."""
