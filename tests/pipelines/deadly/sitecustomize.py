"""Every Python of a cluster with this folder on its path dies of an image with a certain word in it.

It stands for a decoder that crashes, or memory that runs out: nothing that the program could catch.
"""

import os
import signal

WORD = b"DEADLY"

try:
    from PIL import Image
except ImportError:
    pass
else:
    harmless = Image.open

    def deadly(file, *words, **more):
        if hasattr(file, "getvalue") and WORD in file.getvalue():
            os.kill(os.getpid(), signal.SIGKILL)
        return harmless(file, *words, **more)

    Image.open = deadly
