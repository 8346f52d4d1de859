"""What people see: the served pages and the command line. Imports jobs and core."""
