"""Which pictures with which labels: folders, manifests, image folders, the demo."""
