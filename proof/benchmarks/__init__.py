"""`make bench`: this service and what a user would pick instead, doing the same work side by side in one run."""
