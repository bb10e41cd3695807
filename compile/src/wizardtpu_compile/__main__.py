"""`wizardtpu-compile`, and `python -m wizardtpu_compile`."""

from __future__ import annotations

from wizardtpu_compile.interruption import clean_up_when_ended, ends_at_once


def main() -> None:
    with ends_at_once():
        from wizardtpu_compile.cli.main import main as run  # noqa: PLC0415 -- loading it takes a while
    clean_up_when_ended()
    run()


if __name__ == "__main__":
    main()
