"""`python -m wizardtpu_client` is `wizardtpu-client`."""

from __future__ import annotations

import sys

from wizardtpu_client.cli import main

sys.exit(main())
