"""What is proven about the service beside its tests."""
