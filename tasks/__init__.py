"""The executor: claims executions and runs their scripts. Knows the log and the object store by their ports,
the platform's records only through the control API."""
