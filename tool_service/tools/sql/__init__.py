"""`sql`: statements run while the script is still being decoded, and are committed when its call is sealed."""
