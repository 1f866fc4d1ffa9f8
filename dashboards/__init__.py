"""Shows: what the command line and the pages say of a study, read from the store alone."""
