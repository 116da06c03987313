"""Models on plain arrays: configs in the unit cube in, predictions out. They know nothing else of the package."""
