"""What the commands do, for programs: functions over an open layout that return values. See `docs/api.md`."""
