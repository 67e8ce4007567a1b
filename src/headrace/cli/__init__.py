"""The command line: one file per command, each importing what it needs only when it runs, so that help is quick.

Everything but `serve` is a client: the files belong to the running server, so a command always speaks HTTP to it.
"""
