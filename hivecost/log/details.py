"""A session by its nodes, from what a log answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from hivecost.log.records import NodeDetails, NodeTotals
from hivecost.log.rows import SUM_NAMES
from hivecost.log.steps import Step


def node_details(
    nodes: Sequence[NodeTotals], models: Sequence[tuple[str, str]], steps: Sequence[Step]
) -> tuple[NodeDetails, ...]:
    """Return nodes with their steps, in the order of their first turn, after those whose turns were all pruned.

    `models` are (node, a model that its turns used).
    """
    steps_by_node: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        steps_by_node[step.node_id].append(step)
    by_name = {node.node_id: node for node in nodes}
    pruned = [node_id for node_id in by_name if node_id not in steps_by_node]
    return tuple(
        NodeDetails(
            *(getattr(by_name[node_id], name) for name in SUM_NAMES),
            node_id=node_id,
            models=_used(steps_by_node[node_id], [model for its_node, model in models if its_node == node_id]),
            steps=tuple(steps_by_node[node_id]),
        )
        for node_id in (*pruned, *steps_by_node)
    )


def _used(steps: Sequence[Step], models: Sequence[str]) -> tuple[str, ...]:
    """Return models in the order of first use, after those that only pruned turns used."""
    used = dict.fromkeys(step.counted_model for step in steps)
    return tuple(dict.fromkeys((*(model for model in models if model not in used), *used)))
