"""What is done to find out, one file for each thing that is looked at. A probe never voids what was not given."""
