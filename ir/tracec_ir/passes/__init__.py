"""Passes: functions from `Func` to `Func`."""
