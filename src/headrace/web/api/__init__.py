"""JSON routes, one file a noun. They read the request, call one service, and shape the answer; nothing is decided here."""
