"""The domain of Ferris in plain Python: values in, decisions out. No framework, no clock of its own."""
