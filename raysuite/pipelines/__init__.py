"""The Ray programs, one a job."""

import os

# Ray reads these when it is imported, so they are set before any module here imports it; the user's own values win.
# Token authentication is on for everything we start, or connect to.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Workers without a GPU keep the variables that name GPUs as they are, which Ray will soon do by itself.
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# Ray Tune would end a search for a trial that fails before its first score; its row has the reason, others go on.
os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
