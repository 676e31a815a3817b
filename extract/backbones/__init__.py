"""Backbones: the registry, timm and transformers models, weights, pooling, fine-tuning."""
