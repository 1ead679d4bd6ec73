"""SQLite whose writers of one process queue instead of polling the file's lock."""
