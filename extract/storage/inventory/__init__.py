"""What is stored in the workspace, and its removal."""
