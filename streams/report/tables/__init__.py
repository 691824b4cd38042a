"""What people read in a terminal, one module for each answer. Lays out what is computed elsewhere; computes nothing."""
