"""What can be done with studies from a command line."""
