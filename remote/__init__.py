"""The commands of `manage.py` against a platform elsewhere, through its REST API.

`FERRIS_URL` names the platform, `FERRIS_TOKEN` is a token of it. Only Python's standard library is used, so that a
laptop needs nothing but the repository and Python.
"""
