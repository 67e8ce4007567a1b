"""Pure helpers that would fit any program."""
