"""What formats that are written alike share: how their calls are read, and how they are spelled."""
