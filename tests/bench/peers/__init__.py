"""Run by the interpreter of the environment for comparison; nothing here imports the project's own packages."""
