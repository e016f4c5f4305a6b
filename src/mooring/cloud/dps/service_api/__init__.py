"""The DPS service API over HTTPS: enrollments, groups, registration records."""
