"""Criteria: in what order the channels of a group go (`table.CRITERIA`)."""
