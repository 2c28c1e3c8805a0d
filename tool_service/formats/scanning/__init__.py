"""What formats are read with: the frame of a turn, markers, lexers, values."""
