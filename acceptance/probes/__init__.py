"""What is done to find out, one file for each thing that is examined. A probe never voids what was not given."""
