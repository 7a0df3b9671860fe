"""The platform on one machine: a supervisor and its two processes, web and engine.

The composition of everything, and so the only package that may import both the gateway and the executor.
"""
