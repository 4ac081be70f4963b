"""``raysuite tune``: a search by Ray Tune, its resume, and what follows from it."""

import os

# Ray Tune would answer Ctrl-C by ending as if all were done; here the command ends, and the same one goes on.
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
# Everything that is worth keeping is in the rows of the trials.
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
