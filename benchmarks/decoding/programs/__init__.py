"""One program for each decoder; see `benchmarks.decoding` for what they say."""
