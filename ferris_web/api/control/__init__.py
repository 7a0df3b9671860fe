"""What executors call, and what scripts call through them. Plain views: they are on the path of every execution."""
