"""JSON routes, one file a noun: read the request, call one service, shape the answer. Nothing is decided here."""
