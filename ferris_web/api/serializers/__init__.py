"""What goes in and out of the REST API, by what it is about."""
