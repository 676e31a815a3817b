"""What picture files tell before they are decoded: headers, colors, kinds."""
