"""What was launched, and what became of it. Imports core; knows Panel only in the worker's page."""
