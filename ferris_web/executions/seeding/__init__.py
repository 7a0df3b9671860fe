"""A platform that has been in use for a month, made at once: for measuring pages and queries, never for production.

`catalog` makes the services, `history` what they did, `bulk` writes the rows. `manage.py seed_large` is the way in.
"""
