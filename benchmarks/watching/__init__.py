"""What the page is measured and tested with: completions that are made up, and a gateway that tells of them."""
