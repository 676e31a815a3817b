"""What the libraries need to be told about this machine: processor, memory allocation."""
