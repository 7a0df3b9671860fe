"""SQL steps: a script is a Jinja template whose values are bound; `__main__` is the process that runs one."""
