"""What takes long: the closure, mutants; each night and before a release."""
