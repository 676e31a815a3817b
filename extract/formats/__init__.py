"""What the files of picture formats say before they are decoded: headers, colors, kinds."""
