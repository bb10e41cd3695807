"""wizardtpud: keeps one compiled code model resident and streams its answers over gRPC."""
