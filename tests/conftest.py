"""Property tests search anew on a developer's machine and replay the same cases in CI.

A new failure belongs to whoever finds it, with its example, not to the next change.
"""

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
