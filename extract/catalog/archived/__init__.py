"""Catalogues of pictures that lie in archives: zip, tar shards, parquet."""
