"""The `wizardtpud` command."""

from __future__ import annotations

import asyncio
import os
import sys

from wizardtpud.errors import DeviceHungError, WizardtpudError
from wizardtpud.model.bundle import Bundle
from wizardtpud.observability import logging
from wizardtpud.service.arguments import parse
from wizardtpud.service.configuration import Configuration
from wizardtpud.service.progress_log import ProgressLog


def main() -> None:
    """Runs the daemon; exits with 1 and one line that names the cause and the cure when it cannot."""
    try:
        configuration = parse(sys.argv[1:], os.environ)
        logging.configure(configuration.log_level, configuration.log_format)
        bundle = Bundle.open(configuration.bundle, ProgressLog("checking the bundle"))
        asyncio.run(_serve(configuration, bundle))
    except WizardtpudError as error:
        print(f"wizardtpud: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


async def _serve(configuration: Configuration, bundle: Bundle) -> None:
    # gRPC's core would write into our log, in a style of its own. It looks at this once, when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from wizardtpud.service.daemon import Daemon  # noqa: PLC0415

    try:
        await Daemon(configuration, bundle).run()
    except DeviceHungError as error:
        print(f"wizardtpud: {error}", file=sys.stderr, flush=True)
        os._exit(1)  # asyncio and the interpreter would wait for threads that wait for the device


if __name__ == "__main__":
    main()
