"""The process of one `whisper` replica: the transcription server of `hostler_speech`, in this interpreter.

The local backend starts it as `python -I whisper_server.py LAUNCH.json`, with the replica's key in the environment, like the other
kinds.
"""

import os
import sys

from hostler_speech.process import main

if __name__ == "__main__":
    # The interpreter's own ending would wait for the library's threads.
    os._exit(main(sys.argv[1]))
