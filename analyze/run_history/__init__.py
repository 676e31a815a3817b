"""Run folders of the workspace, read again."""
