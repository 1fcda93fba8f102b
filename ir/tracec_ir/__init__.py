"""The typed IR: types, op table, functions, text form, passes and the reference interpreter."""
