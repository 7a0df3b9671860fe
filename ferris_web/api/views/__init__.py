"""The REST API's views: each turns HTTP into one call of a service or selector."""
