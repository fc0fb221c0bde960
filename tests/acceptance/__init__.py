"""What refstore promises of size and of accidents, held against real servers and real kills."""
