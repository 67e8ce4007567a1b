"""The console: pages for people, made on the server. Nothing is decided here; the features decide, for every door."""
