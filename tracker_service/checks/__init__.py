"""Check HTTP endpoints on cron schedules, shared between workers."""
