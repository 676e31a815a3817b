"""Why an answer is what it is: targets, saliency maps, their faithfulness, their sheets."""
