"""The console's views, one module per kind of thing."""
