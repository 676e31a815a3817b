"""How vectors are computed: runtimes, precision, batch size, device, and how near they are."""
