"""The content hash of a program: what of its source can change what it computes."""

import ast
import functools
import hashlib
import os

from badpix_selfcal import parameters

PACKAGE = "badpix_selfcal"
# What says, reads command lines or is handed to programs as values, and computes nothing.
SILENT = {"program", "version", "parameters"}
OF_A_VERSION = {"ctx", "kind", "type_comment", "type_params"}  # no part of what is computed
SAYS = {"log", "warn"}  # functions whose calls are messages


def fingerprint(scripts, program):
    """
    Hash what a program computes: its own definitions and those that it uses of the shared package.

    What ``main`` reaches counts. Comments, docstrings, messages, command lines with their help
    texts and the version do not; the cards of its stage's parameters do.

    Parameters
    ----------
    scripts : str
        The folder of the programs' rooms.
    program : str
        Its room and name, such as ``stages/median``.

    Returns
    -------
    digest : str
        12 hexadecimal digits.
    """
    found = {}
    pending = [(os.path.join(scripts, f"{program}.py"), "main")]
    while pending:
        path, name = pending.pop()
        if (path, name) in found or not os.path.exists(path):
            continue
        definitions, imported, always = read_module(path)
        for key in (*definitions, *always) if name == "*" else (name, *always):
            if key in definitions and (path, key) not in found:
                text, uses = definitions[key]
                found[path, key] = text
                pending += [(path, use) for use in uses if use in definitions]
                for use in uses & imported.keys():
                    module, original = imported[use]
                    pending.append((os.path.join(scripts, *module.split(".")) + ".py", original))
    texts = sorted((os.path.relpath(path, scripts), key, t) for (path, key), t in found.items())
    cards = [(p.name, p.card) for p in parameters.of_stage(program.rpartition("/")[2])]
    return hashlib.sha256(repr((texts, cards)).encode()).hexdigest()[:12]


@functools.cache
def read_module(path):
    """
    Read the definitions of a module.

    Returns
    -------
    definitions : dict of str to (tuple, frozenset)
        The syntax tree of each definition at the module's top, normalised, and the names that it
        uses; a statement that defines nothing has a key of its own.
    imported : dict of str to (str, str)
        The module and the name there of what is imported from the shared package.
    always : tuple of str
        The keys of the statements that define nothing: they run when the module is imported.
    """
    with open(path, encoding="utf-8") as file:
        tree = Normalised().visit(ast.parse(file.read()))
    definitions, imported, always = {}, {}, []
    for node in ast.walk(tree):  # imports within functions count, too
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                whole = node.module == PACKAGE  # a module of it, all of whose definitions count
                module = f"{PACKAGE}.{alias.name}" if whole else node.module
                if module.split(".")[-1] not in SILENT:
                    imported[alias.asname or alias.name] = module, "*" if whole else alias.name
    for i, node in enumerate(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = defined(node)
        if not names:
            names = [f"statement {i}"]
            always += names
        uses = frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
        for name in names:  # which may be defined twice
            texts, others = definitions.get(name, ((), frozenset()))
            definitions[name] = (*texts, dump(node)), others | uses
    return definitions, imported, tuple(always)


def defined(node):
    """List the names that a statement at a module's top defines; a change of an object has none."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    parts = [n for target in targets for n in ast.walk(target)]
    changed = any(isinstance(n, ast.Attribute | ast.Subscript) for n in parts)
    return [] if changed else [n.id for n in parts if isinstance(n, ast.Name)]


def dump(node):
    """Return a syntax tree as nested tuples, the same for every version of Python."""
    if isinstance(node, list):
        return tuple(dump(item) for item in node)
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [(name, dump(value)) for name, value in ast.iter_fields(node)]
    return type(node).__name__, tuple(f for f in fields if f[0] not in OF_A_VERSION)


class Normalised(ast.NodeTransformer):
    """Removes from a syntax tree what only people read."""

    def visit_Expr(self, node):
        """Drop docstrings and messages."""
        if isinstance(node.value, ast.Constant):
            return None
        called = node.value.func if isinstance(node.value, ast.Call) else None
        if isinstance(called, ast.Name) and called.id in SAYS:
            return None
        return self.generic_visit(node)

    def visit_Call(self, node):
        """Drop the texts of faults."""
        if isinstance(node.func, ast.Name) and node.func.id == "Fault":
            node.args = []
        return self.generic_visit(node)
