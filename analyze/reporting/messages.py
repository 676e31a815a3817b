"""Every text of the page in English and French, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Language = Literal["en", "fr"]

MESSAGES: dict[str, tuple[str, str]] = {
    # the head of the page
    "title": ("Report on {catalog}", "Rapport sur {catalog}"),
    "skip": ("Skip to the main content", "Aller au contenu"),
    "sections": ("Sections", "Sections"),
    "n_images": ("{n} pictures", "{n} images"),
    "n_images_one": ("1 picture", "1 image"),
    "in_short": ("In short", "En bref"),
    "no_script": (
        "Maps and pictures need JavaScript, which is turned off here.",
        "Les cartes et les images ont besoin de JavaScript, désactivé ici.",
    ),
    # three sentences
    "headline_run": (
        "The first sentence is of run {run} ({setting}, seed {seed}).",
        "La première phrase porte sur l'exécution {run} ({setting}, graine {seed}).",
    ),
    "headline_other": (
        "Other runs of these vectors give another {metric}: {low}.",
        "D'autres exécutions sur ces vecteurs s'en écartent ({metric}) : {low}.",
    ),
    "headline_others": (
        "The {n} other runs of these vectors disagree: their {metric} is from {low} to {high}.",
        "Les {n} autres exécutions sur ces vecteurs ne concordent pas ({metric}) : de {low} à "
        "{high}.",
    ),
    "n_seeds": ("mean of {n} seeds", "moyenne de {n} graines"),
    "random_answer": (
        "The weights of {model} are random, so its vectors know nothing of pictures: nothing below "
        "says anything about this catalogue.",
        "Les poids du modèle {model} sont aléatoires, ses vecteurs ne savent donc rien des "
        "images : rien de ce qui suit ne dit quoi que ce soit de ce catalogue.",
    ),
    "found_answer": (
        "Without labels, {n_clusters} clusters of {model} ({steps}, seed {seed}) agree with the "
        "{n_classes} classes (level {level}) at an adjusted Rand index (ARI) of {ari}, and "
        "{accuracy} of the pictures lie in the cluster matched to their class.",
        "Sans étiquettes, {n_clusters} clusters du modèle {model} ({steps}, graine {seed}) "
        "concordent avec les {n_classes} classes (niveau {level}) à un indice de Rand ajusté "
        "(ARI) de {ari}, et {accuracy} des images sont dans le cluster associé à leur classe.",
    ),
    "unlabelled_answer": (
        "{n_clusters} clusters of {model} were found (silhouette {silhouette}); the catalogue has "
        "no labels to compare them with, so look at the maps and at the pictures of each cluster.",
        "{n_clusters} clusters du modèle {model} ont été trouvés (silhouette {silhouette}) ; le "
        "catalogue n'a pas d'étiquettes auxquelles les comparer : regardez les cartes et les "
        "images de chaque cluster.",
    ),
    "no_clusters_answer": (
        "The {n} pictures are not clustered yet.",
        "Les {n} images ne sont pas encore regroupées en clusters.",
    ),
    "no_clusters_answer_one": ("There is 1 picture alone.", "Il n'y a qu'une image."),
    "one_backbone_answer": (
        "Only {model} is stored, so whether another backbone would be better is not known.",
        "Seul {model} est enregistré : on ne sait pas si un autre modèle serait meilleur.",
    ),
    "not_compared_answer": (
        "The {n} backbones are shown side by side, but whether one is better has not been tested.",
        "Les {n} modèles sont montrés côte à côte, mais aucun test n'a dit si l'un est meilleur.",
    ),
    "better_answer": (
        "Of {n} backbones {a} is best by ARI ({steps}): {difference} over {b} ({low} to {high}, "
        "95 %).",
        "Des {n} modèles, {a} est le meilleur selon l'ARI ({steps}) : {difference} de plus que {b} "
        "({low} à {high}, 95 %).",
    ),
    "alike_answer": (
        "Of {n} backbones {a} has the highest ARI ({steps}), but it cannot be distinguished from "
        "{b}: {difference} ({low} to {high}, 95 %).",
        "Des {n} modèles, {a} a l'ARI le plus élevé ({steps}), mais on ne peut le distinguer de "
        "{b} : {difference} ({low} à {high}, 95 %).",
    ),
    "highest_answer": (
        "Of {n} backbones {a} has the highest ARI ({steps}, {value}); too few pictures or seeds "
        "for an interval.",
        "Des {n} modèles, {a} a l'ARI le plus élevé ({steps}, {value}) ; trop peu d'images ou de "
        "graines pour un intervalle.",
    ),
    "findings_answer_one": (
        "The audit lists 1 finding to look at, “{most}”.",
        "L'audit liste 1 point à vérifier, « {most} ».",
    ),
    "findings_answer": (
        "The audit lists {n} findings to look at, most of them “{most}” ({n_most}).",
        "L'audit liste {n} points à vérifier, surtout « {most} » ({n_most}).",
    ),
    "confused_answer": (
        "Most often confused are {a} and {b} ({n} pictures).",
        "Les plus confondues sont {a} et {b} ({n} images).",
    ),
    "confused_answer_one": (
        "Most often confused are {a} and {b} (1 picture).",
        "Les plus confondues sont {a} et {b} (1 image).",
    ),
    "not_confused_answer": (
        "No two classes are confused: each cluster matched to a class holds that class alone.",
        "Aucune paire de classes n'est confondue : chaque cluster associé ne contient que sa "
        "classe.",
    ),
    "nothing_to_mend_answer": (
        "What to mend is not known without labels or an audit.",
        "Ce qu'il faut corriger n'est pas connu sans étiquettes ni audit.",
    ),
    "random_mend_answer": (
        "What to mend cannot be seen by random weights.",
        "Des poids aléatoires ne montrent pas ce qu'il faut corriger.",
    ),
    "few_answer_one": (
        "With 1 picture there is nothing to compare.",
        "Avec 1 image, il n'y a rien à comparer.",
    ),
    "few_answer": (
        "With {n} pictures, differences of a few pictures are chance.",
        "Avec {n} images, un écart de quelques images relève du hasard.",
    ),
    # what is missing
    "missing": ("Not computed yet", "Pas encore calculé"),
    "missing_how": (
        "This page shows what the commands stored. Type these, then make the report again:",
        "Cette page montre ce que les commandes ont enregistré. Tapez celles-ci, puis refaites le "
        "rapport :",
    ),
    "missing_clusters": ("clusters of {model}", "clusters du modèle {model}"),
    "missing_map": (
        "a t-SNE map of {model} (principal components are shown)",
        "une carte t-SNE de {model} (les composantes principales sont montrées)",
    ),
    "missing_compare": (
        "scores with intervals, and which backbone is better",
        "scores avec intervalles, et quel modèle est meilleur",
    ),
    "missing_retrieval": ("how good look-ups are", "la qualité des recherches"),
    "missing_head": (
        "a classifier, and labels that look wrong",
        "un classifieur, et les étiquettes douteuses",
    ),
    "missing_explain": ("what the model looks at", "ce que regarde le modèle"),
    "missing_audit": (
        "copies, outliers and suspected labels to mend",
        "copies, images atypiques et étiquettes douteuses à corriger",
    ),
    "missing_pictures": ("the pictures", "les images"),
    # scores
    "scores": ("Do clusters agree with classes?", "Les clusters concordent-ils avec les classes ?"),
    "scores_how": (
        "Adjusted Rand index: 1 is perfect agreement, 0 is chance. In brackets the 95 % interval "
        "over pictures, after ± the standard deviation over seeds.",
        "Indice de Rand ajusté : 1 est un accord parfait, 0 le hasard. Entre parenthèses "
        "l'intervalle à 95 % sur les images, après ± l'écart-type sur les graines.",
    ),
    "one_run_how": (
        "From one seed each, so without intervals.",
        "Une seule graine chacun, donc sans intervalles.",
    ),
    "backbone": ("backbone", "modèle"),
    "seed": ("seed {seed}", "graine {seed}"),
    "seeds": ("seeds {first} to {last}", "graines {first} à {last}"),
    "setting": ("setting", "réglage"),
    "ari": ("ARI", "ARI"),
    "ami": ("AMI", "AMI"),
    "matched_accuracy": ("matched accuracy", "exactitude après appariement"),
    "one_nn_accuracy": ("1-NN accuracy", "exactitude 1-NN"),
    "silhouette": ("silhouette", "silhouette"),
    # maps
    "maps": ("Maps", "Cartes"),
    "maps_how": (
        "Each point is a picture: the more alike two look, the closer they are. How far apart "
        "distant groups are means little. Maps are turned to fit the first one.",
        "Chaque point est une image : plus deux images se ressemblent, plus elles sont proches. La "
        "distance entre groupes éloignés ne veut pas dire grand-chose. Les cartes sont tournées "
        "pour s'ajuster à la première.",
    ),
    "color_by": ("Color", "Couleur"),
    "find": ("Find a picture", "Chercher une image"),
    "lasso": ("Lasso", "Lasso"),
    "show_all": ("Show all", "Tout montrer"),
    "zoom_in": ("Zoom in", "Agrandir"),
    "zoom_out": ("Zoom out", "Réduire"),
    "map_of": (
        "Map of {n} pictures by {model}. Arrow keys move it, + and - zoom.",
        "Carte de {n} images selon {model}. Les flèches la déplacent, + et - zooment.",
    ),
    "chosen": ("{n} pictures chosen", "{n} images choisies"),
    "chosen_one": ("1 picture chosen", "1 image choisie"),
    "chosen_none": (
        "Draw around points with the lasso to list them.",
        "Entourez des points avec le lasso pour en faire la liste.",
    ),
    "copy_ids": ("Copy ids", "Copier les identifiants"),
    "save_csv": ("Save as CSV", "Enregistrer en CSV"),
    "clear": ("Clear", "Effacer"),
    "copied": ("Copied", "Copié"),
    "not_listed": ("gray: {n} more", "gris : {n} autres"),
    "noise": ("noise", "bruit"),
    "cluster": ("cluster {n}", "cluster {n}"),
    "clusters_of": ("clusters of {model}", "clusters du modèle {model}"),
    "n_more": ("and {n} more", "et {n} de plus"),
    "no_picture": ("no picture", "pas d'image"),
    "principal": ("principal components", "composantes principales"),
    "random": ("random weights", "poids aléatoires"),
    "no_plane": (
        "no map: the rows do not span a plane",
        "pas de carte : les lignes n'engendrent pas un plan",
    ),
    # confusion
    "confusion": ("Confusion matrices", "Matrices de confusion"),
    "confusion_how": (
        "Classes down, the clusters matched to them across, in one order for all backbones. Open a "
        "cell to see its pictures.",
        "Les classes en lignes, les clusters associés en colonnes, dans un même ordre pour tous "
        "les modèles. Ouvrez une case pour voir ses images.",
    ),
    "in_cell": (
        "{n} pictures of {a} in {b}",
        "{n} images de {a} dans {b}",
    ),
    "in_cell_one": ("1 picture of {a} in {b}", "1 image de {a} dans {b}"),
    "close": ("Close", "Fermer"),
    # clusters
    "clusters": ("Clusters", "Clusters"),
    "clusters_how": (
        "The most central pictures of each cluster, its most doubtful ones (nearly in another "
        "cluster), and the words that set the names of its products apart (TF-IDF).",
        "Les images les plus centrales de chaque cluster, les plus douteuses (presque dans un "
        "autre cluster), et les mots qui distinguent les noms de ses produits (TF-IDF).",
    ),
    "central": ("central", "centrales"),
    "doubtful": ("doubtful", "douteuses"),
    "matched_to": ("matched to {name}", "associé à {name}"),
    "show_more": ("Show more", "En montrer plus"),
    # pairs
    "pairs": ("Most confused classes", "Classes les plus confondues"),
    "pairs_how": (
        "Pictures of one class in the cluster matched to the other, by {model}.",
        "Images d'une classe dans le cluster associé à l'autre, selon {model}.",
    ),
    "of_in": ("{n} of {a} with {b}", "{n} de {a} avec {b}"),
    # trees
    "trees": ("How alike groups are", "Ressemblance des groupes"),
    "trees_how": (
        "Average linkage of the cosine distances of mean vectors, by {model}: groups that join "
        "further to the right are more alike.",
        "Lien moyen des distances cosinus des vecteurs moyens, selon {model} : plus deux groupes "
        "se rejoignent à droite, plus ils se ressemblent.",
    ),
    "tree_classes": ("Classes", "Classes"),
    "tree_clusters": ("Clusters", "Clusters"),
    # what other commands found
    "ranking": ("Which backbone?", "Quel modèle ?"),
    "retrieval": ("How good look-ups are", "Qualité des recherches"),
    "head": ("Classifier", "Classifieur"),
    "robustness": ("What spoiled pictures cost", "Ce que coûtent les images dégradées"),
    "robustness_how": (
        "How often the original of a corrupted picture is found first (recall@1), mean of the "
        "severities.",
        "Part des images dégradées dont l'original est trouvé en premier (rappel@1), moyenne des "
        "sévérités.",
    ),
    "corruption": ("corruption", "dégradation"),
    "loses_most": (
        "{model} loses most by {family}: the original is found first for {value} of the pictures.",
        "{model} perd le plus avec la dégradation « {family} » : l'original est trouvé en premier "
        "pour {value} des images.",
    ),
    "loses_hardly": (
        "{model} loses hardly anything by any of these corruptions.",
        "{model} ne perd presque rien avec ces dégradations.",
    ),
    "family_noise": ("noise", "bruit"),
    "family_light": ("light", "lumière"),
    "family_blur": ("blur", "flou"),
    "family_jpeg": ("JPEG", "JPEG"),
    "family_scale": ("scale", "échelle"),
    "family_rotation": ("rotation", "rotation"),
    "family_flip": ("flip", "miroir"),
    "family_crop": ("crop", "recadrage"),
    "family_border": ("border", "cadre"),
    "family_background": ("background", "fond"),
    "family_cast": ("color cast", "dominante de couleur"),
    "family_watermark": ("watermark", "filigrane"),
    "family_all": ("mean of all", "moyenne de toutes"),
    "explain": ("What the model looks at", "Ce que regarde le modèle"),
    "audit": ("To mend", "À corriger"),
    "from_run": ("From {run}", "D'après {run}"),
    "level": ("level", "niveau"),
    "metric": ("metric", "mesure"),
    "value": ("value", "valeur"),
    "interval": ("95 % interval", "intervalle à 95 %"),
    "what": ("what", "quoi"),
    "accuracy": ("accuracy", "exactitude"),
    "finding": ("finding", "constat"),
    "picture": ("picture", "image"),
    "score": ("score", "score"),
    "evidence": ("evidence", "indices"),
    "action": ("suggested action", "action suggérée"),
    "reason": ("reason", "raison"),
    # findings of the audit, what they mean, and suggested actions
    "finding_copy": ("copy", "copie"),
    "meaning_copy": (
        "The same picture is there more than once: keep the best.",
        "La même image est là plusieurs fois : gardez la meilleure.",
    ),
    "finding_variant": ("variant", "variante"),
    "meaning_variant": (
        "The same shape in another shade, color or print.",
        "La même forme dans une autre teinte, couleur ou impression.",
    ),
    "finding_placeholder": ("placeholder", "image de remplacement"),
    "meaning_placeholder": (
        "One picture stands for products that have nothing in common.",
        "Une même image représente des produits sans rapport.",
    ),
    "finding_blank": ("blank", "vide"),
    "meaning_blank": ("Nothing is to be seen.", "On n'y voit rien."),
    "finding_blurred": ("blurred", "floue"),
    "meaning_blurred": ("No edge is sharp.", "Aucun contour n'est net."),
    "finding_dark": ("dark", "sombre"),
    "meaning_dark": ("Even the brightest parts are dark.", "Même le plus clair est sombre."),
    "finding_overexposed": ("overexposed", "surexposée"),
    "meaning_overexposed": (
        "Light parts have lost what was in them.",
        "Les parties claires ont perdu leurs détails.",
    ),
    "finding_tiny": ("tiny", "trop petite"),
    "meaning_tiny": (
        "Fewer pixels than the model reads.",
        "Moins de pixels que le modèle n'en lit.",
    ),
    "finding_odd_aspect": ("odd aspect", "proportions inhabituelles"),
    "meaning_odd_aspect": (
        "Much longer than wide, or the other way round.",
        "Beaucoup plus longue que large, ou l'inverse.",
    ),
    "finding_seen_in_part": ("seen in part", "vue en partie"),
    "meaning_seen_in_part": (
        "The model was shown a part of the picture only.",
        "Le modèle n'a vu qu'une partie de l'image.",
    ),
    "finding_outlier": ("outlier", "image atypique"),
    "meaning_outlier": (
        "Unlike all other pictures of the catalogue.",
        "Différente de toutes les autres images du catalogue.",
    ),
    "finding_outlier_in_class": ("outlier in class", "atypique dans sa classe"),
    "meaning_outlier_in_class": (
        "Unlike the other pictures of its class.",
        "Différente des autres images de sa classe.",
    ),
    "finding_label_error": ("label error", "étiquette douteuse"),
    "meaning_label_error": (
        "It looks like pictures of another class: the label may be wrong.",
        "Elle ressemble aux images d'une autre classe : l'étiquette est peut-être fausse.",
    ),
    "finding_ambiguous": ("ambiguous", "ambiguë"),
    "meaning_ambiguous": (
        "It looks like pictures of two classes.",
        "Elle ressemble aux images de deux classes.",
    ),
    "finding_label_spelling": ("label spelling", "graphie de l'étiquette"),
    "meaning_label_spelling": (
        "Two labels differ in case or spaces alone.",
        "Deux étiquettes ne diffèrent que par la casse ou des espaces.",
    ),
    "action_remove": ("remove", "supprimer"),
    "action_replace": ("replace", "remplacer"),
    "action_review": ("review", "vérifier"),
    "action_relabel": ("relabel", "corriger l'étiquette"),
    "action_keep": ("keep", "garder"),
    # provenance
    "provenance": ("Where this comes from", "Provenance"),
    "provenance_how": (
        "The same files, versions and seeds give the same numbers. Commands that make this again:",
        "Les mêmes fichiers, versions et graines donnent les mêmes nombres. Commandes pour "
        "refaire tout cela :",
    ),
    "embeddings": ("Embeddings", "Vecteurs"),
    "file": ("file", "fichier"),
    "weights": ("weights", "poids"),
    "versions": ("Versions", "Versions"),
    "runs": ("Runs", "Exécutions"),
    "notes": ("Notes", "Remarques"),
    "made": ("Made {when} by Sosie {version}", "Fait le {when} par Sosie {version}"),
}
"""By key: English, French. Terms of the field are the same in both where French uses them.

Of one, a text takes that of its key with ``_one`` where there is such a key.
"""

FINDINGS = tuple(key.removeprefix("finding_") for key in MESSAGES if key.startswith("finding_"))
"""Of the audit, by their names."""


@dataclass(frozen=True)
class Words:
    """The texts of one language.

    Parameters
    ----------
    language : str
        ``en`` or ``fr``.
    """

    language: Language = "en"

    def __call__(self, key: str, **values: Any) -> str:
        """Give a text with its values filled in."""
        one = f"{key}_one" if str(values.get("n")) == "1" else key
        text = MESSAGES[one if one in MESSAGES else key][self.language == "fr"]
        return text.format(**values) if values else text

    def named(self, kind: str, name: str, otherwise: str | None = None) -> str:
        """Give the text of a name that a command wrote; that name where there is no text."""
        key = f"{kind}_{name}"
        if key in MESSAGES:
            return self(key)
        return name.replace("_", " ") if otherwise is None else otherwise

    def number(self, value: float | None, digits: int = 3, *, signed: bool = False) -> str:
        """Spell a number as the language does; a dash where there is none."""
        if value is None:
            return "-"
        spelled = f"{round(value, digits) + 0:{'+' if signed else ''}.{digits}f}"
        return spelled.replace(".", ",") if self.language == "fr" else spelled

    def count(self, value: int) -> str:
        """Spell a whole number with its thousands apart."""
        return f"{value:,}".replace(",", "\u202f") if self.language == "fr" else f"{value:,}"

    def share(self, value: float | None) -> str:
        """Spell a share in percent."""
        return "-" if value is None else f"{100 * value:.0f} %"

    @property
    def of_script(self) -> dict[str, str]:
        """The texts that the page's script fills in by itself."""
        return {key: texts[self.language == "fr"] for key, texts in MESSAGES.items()}
