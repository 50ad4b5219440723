"""What all long work shares: workers (local processes or Dask), shards, the log of outcomes, progress."""
