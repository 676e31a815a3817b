"""What a user types in an editor: mypy, which reads this file too, sees types and not Any."""

from typing import assert_type

import numpy as np

from analyze import (
    Execution,
    ExplanationMethods,
    ExplanationSpec,
    HeadClassifier,
    HeadSpec,
    NeighborIndex,
    Plan,
    RobustnessSpec,
    TrainingSpec,
    agree,
    analyze_embeddings,
    assess_head,
    assess_robustness,
    audit,
    cluster,
    compare,
    explain,
    interactive_map,
    load_head,
    one_nn_accuracy,
    parse_steps,
    rank,
    reduce,
    report,
    retrieve,
    train_head,
)
from analyze.auditing.audit import Audit
from analyze.clustering.clustering import Clustering
from analyze.clustering.result import Analysis
from analyze.comparison.ranking.result import Ranking
from analyze.comparison.result import Comparison
from analyze.explanation.reporting.explained import Explanations
from analyze.head.results import HeadAssessment
from analyze.measures.agreement import Agreement
from analyze.neighbors.indexes.exact_search import OneNearest
from analyze.neighbors.retrieval_result import Retrieval
from analyze.reduction.reduction import Reduced, Step
from analyze.reporting.report import Report as Page
from analyze.robustness.result import Robustness
from extract import (
    BackboneOptions,
    Catalog,
    CatalogSource,
    EmbeddingSet,
    ManifestColumns,
    Options,
    Workspace,
    __version__,
    embed,
    export_embeddings,
    extract_embeddings,
    list_folder,
    list_imagefolder,
    list_manifest,
    load_backbone,
    read_embeddings,
)
from extract.backbones.registry import Backbone
from extract.pipeline.extraction import Report
from extract.sklearn import EmbeddingExtractor

# pictures into vectors
assert_type(__version__, str)
assert_type(Workspace.find("shop"), Workspace)
catalog = list_folder("photos")
assert_type(catalog, Catalog)
assert_type(list_imagefolder("photos"), Catalog)
assert_type(list_manifest("shop.csv", ManifestColumns(label="kind")), Catalog)
backbone = load_backbone("efficientnet_lite0")
assert_type(backbone, Backbone)
assert_type(extract_embeddings(catalog, backbone, "vectors.h5", options=Options()), Report)
source, chosen = CatalogSource(catalog="shop"), BackboneOptions(model=["efficientnet_lite0"])
assert_type(embed(source=source, backbones=chosen), EmbeddingSet)
embeddings = read_embeddings("cache/embeddings/demo/efficientnet_lite0-30a92371.h5")
assert_type(embeddings, EmbeddingSet)
assert_type(embeddings.vectors, np.ndarray)
assert_type(embeddings[:5], EmbeddingSet)
assert_type(export_embeddings(embeddings, "vectors.npz", "npz"), tuple[str, ...])
own = EmbeddingSet.from_arrays([[0.0, 1.0], [1.0, 0.0]], ids=["a", "b"], labels=["cup", "hat"])
assert_type(own, EmbeddingSet)
extractor = EmbeddingExtractor("efficientnet_lite0", folder="photos")
assert_type(extractor.fit(["0.jpg"]), EmbeddingExtractor)
assert_type(extractor.transform(["0.jpg"]), np.ndarray)

# vectors into answers
assert_type(parse_steps("pca:50"), tuple[Step, ...])
reduced = reduce(embeddings, "pca:2")
assert_type(reduced, Reduced)
clusters = cluster(reduced, 7)
assert_type(clusters, Clustering)
assert_type(agree(embeddings, clusters), Agreement)
assert_type(one_nn_accuracy(embeddings), OneNearest)
assert_type(NeighborIndex(embeddings), NeighborIndex)
assert_type(analyze_embeddings(embeddings), Analysis)
assert_type(compare({"own": own}, execution=Execution(n_jobs=2)), Comparison)
assert_type(rank([own]), Ranking)
assert_type(retrieve(own, level=["cup", "hat"]), Retrieval)
assert_type(audit(embeddings), Audit)
assert_type(report("shop", language="fr"), Page)
assert_type(interactive_map(reduced, clusters), Page)
head = train_head(embeddings, head=HeadSpec(width=64), training=TrainingSpec(epochs=9))
assert_type(head, HeadClassifier)
assert_type(head.predict(embeddings), np.ndarray)
assert_type(load_head("head.json"), HeadClassifier)
assert_type(assess_head(embeddings, plan=Plan(n_folds=5)), HeadAssessment)
assert_type(assess_robustness(embeddings, spec=RobustnessSpec(("noise",))), Robustness)
wanted, methods = ExplanationSpec("cluster", clusters=7), ExplanationMethods(["gradcam"])
assert_type(explain(embeddings, wanted, methods=methods), Explanations)
