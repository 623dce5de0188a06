"""Many files by one codec: what is to be done, one file of it, several processes, several machines."""
