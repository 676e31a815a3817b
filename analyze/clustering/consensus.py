"""One clustering from many of the same pictures: what most of them put together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyze.threads import one_thread

MOST_IN_PAIRS = 5000
"""Pictures with pairs that are counted; 100 MB. Beyond, memberships are clustered instead."""

N_STARTS = 10


def consensus(assignments: Sequence[np.ndarray], n_clusters: int, seed: int = 0) -> np.ndarray:
    """Join clusterings: pictures that are often together are together.

    How often each pair is together is a similarity, and its average-linkage clusters are the answer
    (Fred and Jain 2005). Beyond 5,000 pictures the rows of all memberships, one-hot, are clustered
    by KMeans, which looks for the same with memory for rows only (Topchy, Jain and Punch 2005).

    Parameters
    ----------
    assignments : sequence of ndarray of shape (n_images,), int
        Of any numbers of clusters; their numbers mean nothing.
    n_clusters : int
    seed : int
        Of KMeans, where there are many pictures.

    Returns
    -------
    ndarray of shape (n_images,), int
        Numbered by first picture.

    Raises
    ------
    ValueError
        Without a clustering, or where they are not of the same pictures.
    """
    if not len(assignments) or len({len(each) for each in assignments}) != 1:
        raise ValueError("a consensus is of clusterings of the same pictures, one at least")
    # pictures that every clustering treats alike are one point of some weight
    members = np.stack([np.unique(each, return_inverse=True)[1] for each in assignments], axis=1)
    alike, of_image, weights = np.unique(members, axis=0, return_inverse=True, return_counts=True)
    of_image = of_image.reshape(-1)
    n_clusters = min(n_clusters, len(alike))
    with one_thread():
        if len(members) <= MOST_IN_PAIRS:
            joined = _by_pairs(alike[of_image], n_clusters)
        else:
            joined = _by_memberships(alike, weights, n_clusters, seed)[of_image]
    return _in_order(joined)


def _by_pairs(members: np.ndarray, n_clusters: int) -> np.ndarray:
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    if len(members) < 2:
        return np.zeros(len(members), dtype=np.int64)
    apart = pdist(members, "hamming")  # the share of clusterings that part two pictures
    tree = linkage(apart, "average")
    found: np.ndarray = fcluster(tree, n_clusters, "maxclust")
    return found


def _by_memberships(
    members: np.ndarray, weights: np.ndarray, n_clusters: int, seed: int
) -> np.ndarray:
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import OneHotEncoder

    rows = OneHotEncoder(dtype=np.float32).fit_transform(members)
    model = KMeans(n_clusters, n_init=N_STARTS, random_state=seed)
    found: np.ndarray = model.fit(rows, sample_weight=weights).labels_
    return found


def _in_order(assignments: np.ndarray) -> np.ndarray:
    """Number clusters by their first picture."""
    _, first, numbered = np.unique(assignments, return_index=True, return_inverse=True)
    place = np.empty(len(first), dtype=np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    ordered: np.ndarray = place[numbered]
    return ordered
