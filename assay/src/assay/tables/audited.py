"""The checks of a table, as they are known before any run: their names, what they say, whether they block."""

from __future__ import annotations

from assay.contract.contract import Contract
from assay.tables.graph import Graph
from assay.tables.nodes import Asset, ExportDef, InvariantDef, Reference, TableDef
from assay.words import sentence

FIXED = {
    "schema": "Columns and types are exactly the contract's.",
    "rows_valid": "Every row keeps the contract's rules; broken rows are set aside inside the budget.",
    "unique_key": "The contract's key is never null and never repeats.",
    "reconciles": "No row is lost or multiplied on the way.",
    "usual": "Its rows, rejects, nulls, seconds and metrics are what they usually are on this weekday.",
}
"""What every table's checks say."""
WARNS = "Only a warning: the table is published all the same."


def check_names(node: Asset, graph: Graph) -> list[str]:
    """The checks that building `node` reports, in order."""
    if isinstance(node, ExportDef):
        return []
    contract = Contract.of(node.model)
    names = ["schema", "rows_valid", *(["unique_key"] if contract.key else []), "reconciles"]
    names += [reference.name for reference in node.references]
    names += [rule.code for rule in contract.table_rules]
    return names + [invariant.name for invariant in graph.invariants_of(node.name)] + ["usual"]


def blocks(name: str, node: Asset, graph: Graph) -> bool:
    """Whether a failure of the check keeps the table from being published, ever."""
    if name == "usual":
        return isinstance(node, TableDef) and node.usual == "error"
    declared = _declared(name, node, graph)
    return declared is None or declared.severity == "error"


def describe(name: str, node: Asset, graph: Graph) -> str:
    """What the check says and what is known of it, as sentences."""
    known = node.known if isinstance(node, TableDef) else ()
    return " ".join([_says(name, node, graph), *(sentence(str(each)) for each in known if each.check == name)])


def _says(name: str, node: Asset, graph: Graph) -> str:
    if name in FIXED:
        return FIXED[name] + ("" if blocks(name, node, graph) else f" {WARNS}")
    declared = _declared(name, node, graph)
    if declared is None:
        assert isinstance(node, TableDef)
        texts = {rule.code: rule.description for rule in Contract.of(node.model).table_rules}
        return sentence(texts[name])
    if isinstance(declared, InvariantDef):
        said = sentence(declared.description or name.replace("_", " "))
    else:
        theirs = declared.to_columns if declared.to_columns not in ((), declared.columns) else ()
        named = f" ({', '.join(theirs)} there)" if theirs else ""
        said = f"Every {' and '.join(declared.columns)} that is not null is found in {declared.to}{named}."
    return said if declared.severity == "error" else f"{said} {WARNS}"


def _declared(name: str, node: Asset, graph: Graph) -> Reference | InvariantDef | None:
    """What declares the check, where that is not the contract."""
    references = {each.name: each for each in node.references} if isinstance(node, TableDef) else {}
    return references.get(name) or graph.invariants.get(name)
