"""The kernel dialect and its text form."""
