"""Work in processes of its own: decoding pictures that are sent, backbones, deadlines."""
