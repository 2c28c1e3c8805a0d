"""What the page is measured and tested with: a decoder that says what it was told, behind the real gateway."""
