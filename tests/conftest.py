"""For every test: Hypothesis without a clock, and the same examples each time in CI."""

import os

from hypothesis import settings

settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("project")
