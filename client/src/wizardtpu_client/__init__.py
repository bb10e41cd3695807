"""Client of wizardtpud."""
