"""Loading pictures side by side: in threads, in processes, on a GPU."""
