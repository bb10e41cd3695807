"""A build as steps that run side by side and that a later run goes on from."""
