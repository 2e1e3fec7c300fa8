"""Runs a transcription server: `python -m hostler_speech LAUNCH.json`."""

import os
import sys

from hostler_speech.process import main

if __name__ == "__main__":
    # The interpreter's own ending would wait for the library's threads.
    os._exit(main(sys.argv[1]))
