"""Forward passes on several devices of this machine: a process for each, one run, one writer."""
