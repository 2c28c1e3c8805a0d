"""`local_news`: the validation example of the paper."""
