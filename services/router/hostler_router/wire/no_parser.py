"""What connections that are gone have in place of their parsers.

A connection has its parser, and that has methods of the connection: a ring, some four kilobytes large, that stays until the collector comes by,
which for a connection that lived a while may be after many thousands of others.
"""

from typing import Final

import httptools

NO_REQUEST: Final = httptools.HttpRequestParser(object())
NO_RESPONSE: Final = httptools.HttpResponseParser(object())
