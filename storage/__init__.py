"""Remembers: records, the SQL store and its migrations, artifact files."""
