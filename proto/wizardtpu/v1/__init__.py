"""Version 1 of the wire: messages and service stubs, generated from generation.proto."""
