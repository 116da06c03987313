"""What runs a study: sessions of processes on a store, decisions, attempts, workers."""
