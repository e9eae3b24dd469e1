"""The domain: what is known of a void and what follows, and one file for each outside system."""
