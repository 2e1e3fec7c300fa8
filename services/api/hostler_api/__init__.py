"""The api: takes wishes about jobs over HTTP and writes them to the log as events."""
