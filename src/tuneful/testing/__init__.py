"""What algorithms of others can be tested with."""
